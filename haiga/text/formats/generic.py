"""For models that know no dialect: JSON in tags, told to the model in the system text."""

from collections.abc import Mapping, Sequence
from typing import Any

from haiga.text.formats.arguments import JSON, dumped
from haiga.text.formats.format import Format

GENERIC = Format(
    name="generic",
    models="any model whose chat template knows no tools",
    hints=(),
    open="<tool_call>",
    before='{"name": "',
    middle='", "arguments": ',
    arguments=JSON,
    after="}",
    close="</tool_call>",
    between="\n",
    apart=True,
)


def described(functions: Sequence[Mapping[str, Any]], example: str) -> str:
    """The system text that tells a model of its tools. example: a call of `tool_name` in the model's dialect."""
    lines = "\n".join(dumped(function["function"]) for function in functions)
    return (
        f"You can call these tools, each given as JSON:\n{lines}\n"
        f"To call one, write its name and its arguments exactly so, and nothing after it:\n{example}\n"
        "The result comes in <tool_response> tags."
    )


def response(text: str) -> str:
    """A tool's result as the model is shown it."""
    return f"<tool_response>\n{text}\n</tool_response>"
