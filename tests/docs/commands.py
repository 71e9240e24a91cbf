"""docs/cli.md's help texts, taken from the program itself.

Rule: what stands between a heading and its fence is written by people, what stands in the fence by this file.
"""

import re
from collections.abc import Iterator
from typing import Any

from typer import Context
from typer.core import TyperGroup
from typer.main import get_command

from haiga.cli import app

PAGE = "docs/cli.md"
WIDTH = 100
SECTION = re.compile(r"^## (haiga[\w -]*)$(.*?)^```text\n.*?^```$", re.MULTILINE | re.DOTALL)


def helps() -> dict[str, str]:
    """What `--help` says, for the program and each of its commands."""
    return dict(_helps(get_command(app), None, "haiga"))


def _helps(command: Any, parent: Context | None, name: str) -> Iterator[tuple[str, str]]:
    context = Context(command, parent=parent, info_name=name, terminal_width=WIDTH, max_content_width=WIDTH)
    yield context.command_path, command.get_help(context) + "\n"
    if isinstance(command, TyperGroup):
        for inner in command.list_commands(context):
            yield from _helps(command.get_command(context, inner), context, inner)


def page(text: str) -> str:
    """The page with every help text as it is now."""
    current = helps()

    def renewed(section: re.Match[str]) -> str:
        return f"## {section[1]}{section[2]}```text\n{current.get(section[1], '')}```"

    return SECTION.sub(renewed, text)
