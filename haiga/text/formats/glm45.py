"""GLM-4.5 and 4.6: the name, then keys and values as elements."""

from haiga.text.formats.arguments import Tagged
from haiga.text.formats.format import Format

GLM45 = Format(
    name="glm45",
    models="GLM-4.5, GLM-4.5-Air, GLM-4.6",
    hints=(("<tool_call>", "<arg_key>", "<arg_value>"),),
    open="<tool_call>",
    before="",
    middle="\n",
    arguments=Tagged("<arg_key>", "</arg_key>\n<arg_value>", "</arg_value>\n"),
    close="</tool_call>",
    between="\n",
    apart=True,
)
