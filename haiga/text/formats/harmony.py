"""GPT-OSS: messages on channels. Thinking is on `analysis`, the answer on `final`, calls on `commentary`.

A message is `<|channel|>` name, perhaps ` to=functions.` tool and ` <|constrain|>json`, `<|message|>`, what it says,
and `<|end|>`, `<|call|>` or `<|return|>`; `<|start|>assistant` begins the next. The prompt ends in the first one.
"""

from haiga.text.formats.arguments import JSON
from haiga.text.formats.format import Format

START, CHANNEL, CONSTRAIN, MESSAGE = "<|start|>", "<|channel|>", "<|constrain|>", "<|message|>"
ENDS = ("<|end|>", "<|call|>", "<|return|>")

HARMONY = Format(
    name="harmony",
    models="gpt-oss 20b and 120b",
    hints=((CHANNEL, MESSAGE),),
    open=CHANNEL,
    before="commentary to=functions.",
    middle=f" {CONSTRAIN}json{MESSAGE}",
    arguments=JSON,
    close="<|call|>",
    between=f"{START}assistant",
    others=ENDS,
    apart=True,
    channels=True,
)
