"""DeepSeek: control tokens around every part; V3 and R1 fence the arguments, V3.1 does not."""

from haiga.text.formats.arguments import JSON
from haiga.text.formats.format import Format

DEEPSEEK_V3 = Format(
    name="deepseek_v3",
    models="DeepSeek V3, V3-0324, R1, R1-0528",
    hints=(("<｜tool▁calls▁begin｜>", "```json"),),
    open="<｜tool▁calls▁begin｜>",
    before="<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
    middle="\n```json\n",
    arguments=JSON,
    after="\n```<｜tool▁call▁end｜>",
    between="\n",
    close="<｜tool▁calls▁end｜>",
)
DEEPSEEK_V31 = Format(
    name="deepseek_v31",
    models="DeepSeek V3.1, V3.1-Terminus",
    hints=(("<｜tool▁calls▁begin｜>",),),
    open="<｜tool▁calls▁begin｜>",
    before="<｜tool▁call▁begin｜>",
    middle="<｜tool▁sep｜>",
    arguments=JSON,
    after="<｜tool▁call▁end｜>",
    close="<｜tool▁calls▁end｜>",
)
