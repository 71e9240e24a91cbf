"""Writes docs/settings.md."""

from haiga.config import settings_page

print(settings_page(), end="")  # noqa: T201
