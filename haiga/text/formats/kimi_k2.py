"""Kimi K2: a section of control tokens; every call has a number."""

from haiga.text.formats.arguments import JSON
from haiga.text.formats.format import Format

KIMI_K2 = Format(
    name="kimi_k2",
    models="Kimi K2, K2-0905, K2-Thinking",
    hints=(("<|tool_calls_section_begin|>",), ("<|im_system|>tool_declare",)),
    open="<|tool_calls_section_begin|>",
    before="<|tool_call_begin|>functions.",
    middle=":{index}<|tool_call_argument_begin|>",
    arguments=JSON,
    after="<|tool_call_end|>",
    close="<|tool_calls_section_end|>",
    call_id="functions.{name}:{index}",
)
