"""What a model directory says about itself, read without touching its weights.

Rule: config.json, generation_config.json and the weight files' headers only; every figure that a server needs to plan
memory and context comes from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from haiga.core.errors import Invalid
from haiga.core.generation import Sampling
from haiga.models.fields import Fields, read_fields
from haiga.models.registry import find_architecture
from haiga.models.weights.checkpoint import Checkpoint
from haiga.models.weights.packing import Packing

IR = "openvino_model.xml"
WEIGHT_BITS: Mapping[Packing, float] = {"f32": 32, "bf16": 16, "int8": 8.1, "int4": 4.2}
DEFAULT_CONTEXT = 2048


@dataclass(frozen=True, slots=True)
class Description:
    """A model as its files describe it.

    context: tokens it was made for. vocabulary: rows of its head. ends: ids that end an answer. parameters: how many
    numbers its weight files hold (0 for an exported IR, whose weights are `stored_bytes` as they lie).
    """

    architecture: str
    layers: int
    kv_heads: int
    head_size: int
    vocabulary: int
    context: int
    ends: tuple[int, ...]
    sampling: Sampling
    parameters: int
    stored_bytes: int

    def kv_bytes(self, cache: str) -> int:
        """Bytes of keys and values per token. The 8-bit and 4-bit forms keep their scales in the cache: 8 rows beside
        each 32 of keys, 8 bytes beside each row of values."""
        bits = {"f32": 32, "bf16": 16, "f16": 16, "u8": 8, "u4": 4}[cache]
        key, value = self.head_size * bits / 8, self.head_size * bits / 8
        if bits < 16:
            key, value = key * 40 / 32, value + 8
        return int(self.layers * self.kv_heads * (key + value))

    def weight_bytes(self, packing: Packing) -> int:
        """Bytes of the weights in memory; an exported IR is as big as its file."""
        return int(self.parameters * WEIGHT_BITS[packing] / 8) if self.parameters else self.stored_bytes


def describe(directory: Path) -> Description:
    """Read a Hugging Face directory or an exported IR. Raises Invalid naming the file and field that is wrong."""
    config = read_fields(directory / "config.json")
    exported = (directory / IR).exists()
    architecture = "OpenVINO IR" if exported else find_architecture(config)
    heads = config.integer("num_attention_heads")
    parameters, stored = (0, _size(directory)) if exported else _count(Checkpoint(directory))
    generation = _generation(directory)
    return Description(
        architecture=architecture,
        layers=config.integer("num_hidden_layers"),
        kv_heads=config.integer("num_key_value_heads", heads),
        head_size=config.integer("head_dim", config.integer("hidden_size") // heads),
        vocabulary=config.integer("vocab_size"),
        context=config.integer("max_position_embeddings", DEFAULT_CONTEXT),
        ends=tuple(dict.fromkeys((*generation.ids("eos_token_id"), *config.ids("eos_token_id")))),
        sampling=_sampling(generation),
        parameters=parameters,
        stored_bytes=stored,
    )


def _size(directory: Path) -> int:
    weights = directory / Path(IR).with_suffix(".bin")
    if not weights.exists():
        raise Invalid(f"{weights}: there is no such file")
    return weights.stat().st_size


def _count(checkpoint: Checkpoint) -> tuple[int, int]:
    entries = [checkpoint.entry(name) for name in checkpoint]
    return sum(prod(entry.shape) for entry in entries), sum(entry.size for entry in entries)


def _generation(directory: Path) -> Fields:
    file = directory / "generation_config.json"
    return read_fields(file) if file.exists() else Fields(str(file), {})


def _sampling(fields: Fields) -> Sampling:
    """The checkpoint's own sampling. Names and neutral values are transformers' own; its `do_sample: false` counts only
    where the file says so: the bare default of that library would make every model greedy."""
    if not fields.flag("do_sample", True):
        return Sampling(temperature=0.0)
    return Sampling(
        temperature=fields.number("temperature", 1.0),
        top_p=fields.number("top_p", 1.0),
        top_k=fields.integer("top_k", 0, least=0),
        min_p=fields.number("min_p", 0.0),
        repetition_penalty=fields.number("repetition_penalty", 1.0),
    )
