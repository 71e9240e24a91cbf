"""Llama 3.1, 3.2 and 3.3: the answer is one JSON object and nothing else."""

from haiga.text.formats.arguments import JSON
from haiga.text.formats.format import Format

LLAMA3_JSON = Format(
    name="llama3_json",
    models="Llama 3.1, 3.2, 3.3",
    hints=(('"parameters": ', "<|start_header_id|>"),),
    open="",
    before='{"name": "',
    middle='", "parameters": ',
    arguments=JSON,
    after="}",
    between="; ",
    at_start=True,
)
