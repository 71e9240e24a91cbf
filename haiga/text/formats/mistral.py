"""Mistral: a JSON list after a control token; from version 11 of its tokenizer, name and arguments for each call."""

from haiga.text.formats.arguments import JSON
from haiga.text.formats.format import Format

MISTRAL = Format(
    name="mistral",
    models="Mistral 7B v0.3, Nemo, Small 2409-2503, Large 2407-2411, Ministral 8B",
    hints=(("[TOOL_CALLS]",),),
    open="[TOOL_CALLS][",
    before='{"name": "',
    middle='", "arguments": ',
    arguments=JSON,
    after="}",
    between=", ",
    close="]",
)
MISTRAL_ARGS = Format(
    name="mistral_args",
    models="Mistral Small 3.2, Magistral, Devstral, Ministral 3",
    hints=(("[TOOL_CALLS]", "[ARGS]"),),
    open="[TOOL_CALLS]",
    before="",
    middle="[ARGS]",
    arguments=JSON,
    apart=True,
)
