"""Llama 4 and the pythonic fine-tunes: a Python list of calls with keyword arguments."""

from haiga.text.formats.arguments import PYTHON
from haiga.text.formats.format import Format

LLAMA4_PYTHONIC = Format(
    name="llama4_pythonic",
    models="Llama 4 Scout and Maverick, Llama 3.2 in its pythonic template",
    hints=(("<|header_start|>", "tool"), ("[func_name1(",)),
    open="[",
    before="",
    middle="(",
    arguments=PYTHON,
    between=", ",
    close="]",
    at_start=True,
)
