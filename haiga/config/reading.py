"""Where a setting's value comes from: a flag beats the environment beats the file beats the default."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from haiga.config.table import TABLE, Settings
from haiga.core.errors import Invalid


@dataclass(frozen=True, slots=True)
class Said:
    """All that has been said, as text: by flags and the file under the settings' names, by the environment under its
    variables'. `path` is the file's."""

    flags: Mapping[str, str | None] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    file: Mapping[str, str] = field(default_factory=dict)
    path: Path | None = None

    def of(self, name: str) -> tuple[str, str | None]:
        """Where a setting comes from (a flag, a variable, a place in the file or "default"), and its text."""
        row = TABLE[name]
        if (text := self.flags.get(name)) is not None:
            return row.flag or name, text
        if text := self.environment.get(row.environment):
            return row.environment, text
        return (f"{self.path}: {name}", self.file[name]) if name in self.file else ("default", row.default)

    def value(self, name: str) -> Any:
        """A setting as it is read. Raises Invalid naming where it comes from."""
        row, (where, text) = TABLE[name], self.of(name)
        if text is None:
            return None
        try:
            return row.parse(text)
        except ValueError as problem:
            raise Invalid(str(problem) if row.secret else f"{problem}, not {text!r}", field=where) from None


def read_settings(
    flags: Mapping[str, str | None],
    environment: Mapping[str, str],
    file: Mapping[str, str] | None = None,
    path: Path | None = None,
) -> Settings:
    """Every setting from the flags given (by the setting's name), the environment, the file and the defaults.

    Raises Invalid naming the flag, the variable or the place in the file whose value does not fit.
    """
    said = Said(flags, environment, file or {}, path)
    return Settings(**{name: said.value(name) for name in TABLE})
