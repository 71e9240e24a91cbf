"""Which architecture sees how.

Rule: a name as config.json's `architectures` gives it, to the function that reads how it sees. A model sees where its
files say how pictures are prepared and hold a tower's weights; without either it reads text alone.
"""

from collections.abc import Callable
from pathlib import Path

from haiga.models.fields import Fields, read_fields
from haiga.models.ir import is_ir
from haiga.models.parts import SIGHT
from haiga.models.vision.gemma import read_gemma
from haiga.models.vision.idefics import read_idefics
from haiga.models.vision.llama4 import read_llama4_sight
from haiga.models.vision.llava import read_llava, read_llava_next
from haiga.models.vision.qwen2_5 import read_qwen2_5
from haiga.models.vision.qwen3 import read_qwen3
from haiga.models.vision.sight import Sight
from haiga.models.weights import Checkpoint

SIGHTS: dict[str, Callable[[Fields, Fields], Sight]] = {
    "Gemma3ForConditionalGeneration": read_gemma,
    "Llama4ForConditionalGeneration": read_llama4_sight,
    "Idefics3ForConditionalGeneration": read_idefics,
    "SmolVLMForConditionalGeneration": read_idefics,
    "Qwen2_5_VLForConditionalGeneration": read_qwen2_5,
    "Qwen3VLForConditionalGeneration": read_qwen3,
    "LlavaForConditionalGeneration": read_llava,
    "LlavaNextForConditionalGeneration": read_llava_next,
}
_PROCESSOR, _OLD_PROCESSOR = "processor_config.json", "preprocessor_config.json"


def read_sight(directory: Path) -> Sight | None:
    """How the checkpoint in `directory` sees, None where it does not. Raises Invalid naming file and field."""
    if not directory.is_dir() or is_ir(directory):
        return None
    processor = read_processor(directory)
    if processor is None:
        return None
    checkpoint = Checkpoint(directory)
    names = checkpoint.config.sequence("architectures") or []
    read = next((SIGHTS[name] for name in names if name in SIGHTS), None)
    if read is None or not any(SIGHT.search(name) for name in checkpoint):
        return None
    return read(checkpoint.config, processor)


def read_processor(directory: Path) -> Fields | None:
    """The fields of the image processor's config; None where there is no such file."""
    old = directory / _OLD_PROCESSOR
    outer = read_fields(directory / _PROCESSOR) if (directory / _PROCESSOR).is_file() else Fields("", {})
    inner = outer.object("image_processor")  # as transformers 5 keeps it
    if inner is not None:
        return inner
    return read_fields(old) if old.is_file() else None
