"""Hermes 2 Pro and 3, Qwen2.5, Qwen3, Granite 4: one JSON object in tags for each call."""

from haiga.text.formats.arguments import JSON
from haiga.text.formats.format import Format

HERMES = Format(
    name="hermes",
    models="Hermes 2 Pro, Hermes 3, Qwen2.5, Qwen3, QwQ, Granite 4",
    hints=(("<tool_call>", '"arguments": '), ("<tool_call>", "tojson", "</tool_call>")),
    open="<tool_call>",
    before='\n{"name": "',
    middle='", "arguments": ',
    arguments=JSON,
    after="}\n",
    close="</tool_call>",
    between="\n",
    apart=True,
)
