"""Granite 3: a JSON list after a control token."""

from haiga.text.formats.arguments import JSON
from haiga.text.formats.format import Format

GRANITE = Format(
    name="granite",
    models="Granite 3.0 to 3.3",
    hints=(("<|tool_call|>", "<|start_of_role|>"),),
    open="<|tool_call|>[",
    before='{"name": "',
    middle='", "arguments": ',
    arguments=JSON,
    after="}",
    between=", ",
    close="]",
)
