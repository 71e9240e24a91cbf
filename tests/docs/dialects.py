"""docs/models.md's list of tool-call dialects, in the order in which they are looked for, and how each was checked."""

import re

from haiga.text.formats import FORMATS
from tests.e2e.test_tools_dialects import DIALECTS

PAGE = "docs/models.md"
HEAD = "| dialect | models | checked |\n|---|---|---|\n"
SERVED = {*DIALECTS, "generic"}  # forced in tests/e2e, the generic one in test_tools_messages.py
ROWS = re.compile(rf"{re.escape(HEAD)}(\|.*\n)*")


def page(text: str) -> str:
    """The page with every dialect as it is now."""
    rows = "".join(f"| `{each.name}` | {each.models} | {_checked(each.name)} |\n" for each in FORMATS)
    return ROWS.sub(lambda _: HEAD + rows, text)


def _checked(name: str) -> str:
    """Every dialect's reading, writing and grammar are held to each other in tests/unit/text."""
    return "read, written, forced; forced calls of a served model" if name in SERVED else "read, written, forced"
