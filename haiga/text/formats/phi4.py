"""Phi-4-mini: a JSON list between control tokens, or, where the template shows that, an object for each call."""

from haiga.text.formats.arguments import JSON
from haiga.text.formats.format import Format

PHI4 = Format(
    name="phi4",
    models="Phi-4-mini, Phi-4-multimodal",
    hints=(("<|tool|>", "<|/tool|>"),),
    open="<|tool_call|>[",
    before='{"name": "',
    middle='", "arguments": ',
    arguments=JSON,
    after="}",
    between=", ",
    close="]<|/tool_call|>",
)
PHI4_OBJECT = Format(
    name="phi4_object",
    models="Phi-4-mini with a template that shows calls",
    hints=(("<|tool_call|>", "<|/tool_call|>"),),
    open="<|tool_call|>",
    before='{"name": "',
    middle='", "arguments": ',
    arguments=JSON,
    after="}",
    close="<|/tool_call|>",
    apart=True,
)
