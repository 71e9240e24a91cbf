"""What can be said about a model directory without loading it: sizes, memory, end tokens, sampling defaults.

Rule: every end token counts, whether generation_config.json or config.json names it; a sampling default is only what
generation_config.json says, and absent means that the server's own default holds.
"""

from dataclasses import dataclass
from math import prod
from pathlib import Path

from haiga.models.fields import Fields, read_fields
from haiga.models.geometry import Geometry, read_geometry
from haiga.models.ir import ir_file, is_ir
from haiga.models.load import BLOCK, CacheType
from haiga.models.registry import find_architecture
from haiga.models.weights import Checkpoint, Packing
from haiga.models.weights.packing import group_size

_TABLES = ("embed_tokens.weight", "lm_head.weight", "output.weight")


@dataclass(frozen=True, slots=True)
class SamplingDefaults:
    """generation_config.json's wishes; None where it has none. temperature 0 is greedy (do_sample false)."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None


@dataclass(frozen=True, slots=True)
class ModelShape:
    """end_ids: tokens that end an answer; begin_id: token that begins a text, None where the model has none;
    matrices: the [out, in] shapes of the layers; tables: those of embedding and head; fixed: bytes of an IR, 0 else."""

    architecture: str
    geometry: Geometry
    end_ids: tuple[int, ...]
    begin_id: int | None
    sampling: SamplingDefaults
    matrices: tuple[tuple[int, ...], ...]
    tables: tuple[tuple[int, ...], ...]
    fixed: int = 0

    @property
    def context(self) -> int:
        """The longest context that the model was made for, in tokens."""
        return self.geometry.context

    @property
    def vocabulary(self) -> int:
        """Rows of the embedding table."""
        return self.geometry.vocabulary

    def block_bytes(self, cache: CacheType) -> int:
        """Bytes of one KV block of 32 tokens over all layers, in the plugin's layout: u8 keeps a scale and a zero
        (f32 both) per channel of a block's keys and per token of its values."""
        heads = self.geometry.heads
        width = {"f32": 4, "bf16": 2, "u8": 1}[cache]
        extra = 8 * (heads.size + BLOCK) if cache == "u8" else 0
        return self.geometry.layers * heads.key_value * (2 * BLOCK * heads.size * width + extra)

    def weight_bytes(self, packing: Packing) -> int:
        """Bytes of matrices and tables in a packing (norms and biases left out); an IR's are what they are."""
        if self.fixed:
            return self.fixed
        return sum(_matrix_bytes(shape, packing) for shape in self.matrices) + sum(
            _matrix_bytes(shape, "int8" if packing == "int4" else packing) for shape in self.tables
        )


def describe(directory: Path) -> ModelShape:
    """Read config.json, generation_config.json and the headers of the weight files, not the weights.

    Raises Invalid with one line naming the file, field or tensor.
    """
    config = read_fields(directory / "config.json")
    generation = _read_generation(directory)
    if is_ir(directory):
        named = config.sequence("architectures") or ["(exported)"]
        return _shape(str(named[0]), config, generation, (), (), ir_file(directory).with_suffix(".bin").stat().st_size)
    architecture = find_architecture(config)
    checkpoint = Checkpoint(directory)
    shapes = {name: checkpoint.entry(name).shape for name in checkpoint}
    tables = tuple(shape for name, shape in shapes.items() if name.endswith(_TABLES))
    matrices = tuple(shape for name, shape in shapes.items() if len(shape) == 2 and not name.endswith(_TABLES))
    return _shape(architecture, config, generation, matrices, tables, 0)


def _shape(
    architecture: str,
    config: Fields,
    generation: Fields,
    matrices: tuple[tuple[int, ...], ...],
    tables: tuple[tuple[int, ...], ...],
    fixed: int,
) -> ModelShape:
    ends = generation.ids("eos_token_id") + config.ids("eos_token_id")
    begins = generation.ids("bos_token_id") + config.ids("bos_token_id")
    return ModelShape(
        architecture=architecture,
        geometry=read_geometry(config, architecture),
        end_ids=tuple(dict.fromkeys(ends)),
        begin_id=begins[0] if begins else None,
        sampling=_sampling(generation),
        matrices=matrices,
        tables=tables,
        fixed=fixed,
    )


def _read_generation(directory: Path) -> Fields:
    file = directory / "generation_config.json"
    return read_fields(file) if file.exists() else Fields(str(file), {})


def _sampling(generation: Fields) -> SamplingDefaults:
    def given(name: str) -> float | None:
        return None if generation.get(name) is None else generation.number(name)

    greedy = not generation.flag("do_sample", True)
    return SamplingDefaults(
        temperature=0.0 if greedy else given("temperature"),
        top_p=given("top_p"),
        top_k=None if generation.get("top_k") is None else generation.integer("top_k", least=0),
        min_p=given("min_p"),
        repetition_penalty=given("repetition_penalty"),
    )


def _matrix_bytes(shape: tuple[int, ...], packing: Packing) -> int:
    count = prod(shape)
    match packing:
        case "f32":
            return 4 * count
        case "bf16":
            return 2 * count
        case "int8":
            return count + 4 * shape[0]
        case "int4":
            return count // 2 + 4 * count // group_size(shape[-1])
