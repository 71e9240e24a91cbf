"""docs/models.md's list of tool-call dialects, in the order in which they are looked for."""

import re

from haiga.text.formats import FORMATS

PAGE = "docs/models.md"
HEAD = "| dialect | models |\n|---|---|\n"
ROWS = re.compile(rf"{re.escape(HEAD)}(\|.*\n)*")


def page(text: str) -> str:
    """The page with every dialect as it is now."""
    rows = "".join(f"| `{each.name}` | {each.models} |\n" for each in FORMATS)
    return ROWS.sub(lambda _: HEAD + rows, text)
