"""Tool-call dialects, one small file each, and which of them a chat template speaks.

Rule: the most particular dialect comes first in the list; the first that a template spells is taken.
"""

from haiga.core.errors import Invalid
from haiga.text.formats.deepseek import DEEPSEEK_V3, DEEPSEEK_V31
from haiga.text.formats.format import Format
from haiga.text.formats.gemma import GEMMA, GEMMA4
from haiga.text.formats.generic import GENERIC
from haiga.text.formats.glm45 import GLM45
from haiga.text.formats.granite import GRANITE
from haiga.text.formats.harmony import HARMONY
from haiga.text.formats.hermes import HERMES
from haiga.text.formats.kimi_k2 import KIMI_K2
from haiga.text.formats.llama3_json import LLAMA3_JSON
from haiga.text.formats.llama4_pythonic import LLAMA4_PYTHONIC
from haiga.text.formats.mistral import MISTRAL, MISTRAL_ARGS
from haiga.text.formats.phi4 import PHI4, PHI4_OBJECT
from haiga.text.formats.qwen3_coder import QWEN3_CODER

FORMATS: tuple[Format, ...] = (
    HARMONY,
    DEEPSEEK_V3,
    DEEPSEEK_V31,
    KIMI_K2,
    GEMMA,
    GEMMA4,
    QWEN3_CODER,
    GLM45,
    MISTRAL_ARGS,
    MISTRAL,
    GRANITE,
    PHI4_OBJECT,
    PHI4,
    LLAMA4_PYTHONIC,
    LLAMA3_JSON,
    HERMES,
    GENERIC,
)

__all__ = ["FORMATS", "GENERIC", "Format", "named", "recognise"]


def recognise(source: str) -> Format:
    """The dialect that a chat template spells; the generic one where it spells none."""
    return next((each for each in FORMATS if each.recognised(source)), GENERIC)


def named(name: str) -> Format:
    """The dialect called `name`. Raises Invalid listing the ones there are."""
    for each in FORMATS:
        if each.name == name:
            return each
    raise Invalid(f"no tool-call format {name!r}; there are {', '.join(each.name for each in FORMATS)}")
