"""Qwen3-Coder: functions and parameters as elements; text stands as it is."""

from haiga.text.formats.arguments import Tagged
from haiga.text.formats.format import Format

QWEN3_CODER = Format(
    name="qwen3_coder",
    models="Qwen3-Coder, Qwen3-Coder-Next, Nemotron 3",
    hints=(("<tool_call>", "<function=", "<parameter="),),
    open="<tool_call>",
    before="\n<function=",
    middle=">\n",
    arguments=Tagged("<parameter=", ">\n", "\n</parameter>\n"),
    after="</function>\n",
    close="</tool_call>",
    between="\n",
    apart=True,
)
