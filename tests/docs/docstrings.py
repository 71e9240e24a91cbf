"""docs/engine.md's rules, which are the files' own docstrings.

Rule: a heading names a file, the fence under it holds that file's docstring; what stands between is written by people.
"""

import ast
import re

from tests.docs.pages import read

PAGE = "docs/engine.md"
SECTION = re.compile(r"^## (\S+\.py)$(.*?)^```text\n.*?^```$", re.MULTILINE | re.DOTALL)


def docstring(file: str) -> str:
    """The rule that a file of the package opens with."""
    written = ast.get_docstring(ast.parse(read(f"haiga/{file}")))
    assert written is not None, f"{file} opens with no docstring"
    return written + "\n"


def page(text: str) -> str:
    """The page with every docstring as it is now."""
    return SECTION.sub(lambda section: f"## {section[1]}{section[2]}```text\n{docstring(section[1])}```", text)
