"""Phi-4-mini: a JSON list between control tokens."""

from haiga.text.formats.arguments import JSON
from haiga.text.formats.format import Format

PHI4 = Format(
    name="phi4",
    models="Phi-4-mini, Phi-4-multimodal",
    hints=(("<|tool|>", "<|/tool|>"), ("<|tool_call|>", "<|/tool_call|>")),
    open="<|tool_call|>[",
    before='{"name": "',
    middle='", "arguments": ',
    arguments=JSON,
    after="}",
    between=", ",
    close="]<|/tool_call|>",
)
