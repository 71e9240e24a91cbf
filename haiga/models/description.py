"""What a model directory says about itself, read without touching its weights.

Rule: config.json, generation_config.json and the weight files' headers only; every figure that a server needs to plan
memory and context comes from here.
"""

from dataclasses import dataclass
from math import prod
from pathlib import Path

from haiga.core.errors import Invalid
from haiga.core.generation import Sampling
from haiga.core.ports import Horizon
from haiga.models.fields import Fields, read_fields
from haiga.models.files import require_regular
from haiga.models.geometry import read_geometry
from haiga.models.gguf import GGUF
from haiga.models.ir import ir_file, is_ir
from haiga.models.load import BLOCK, CacheType
from haiga.models.parts import SIGHT
from haiga.models.registry import DECODERS, find_architecture, unused_places
from haiga.models.sources import open_tensors
from haiga.models.weights import Packing, Tensors
from haiga.models.weights.checkpoint import text_fields
from haiga.models.weights.packing import packed_bytes

_TABLES = ("embed_tokens.weight", "lm_head.weight", "output.weight")

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Description:
    """A model as its files describe it.

    context: tokens it was made for. hidden: width of a token's state. vocabulary: rows of its head. ends: ids that end
    an answer. begin: id that begins a text, if there is one. matrices, tables: shapes of what is packed, layers'
    matrices apart from embedding and head; none for an exported IR. parameters: how many numbers they are.
    stored_bytes: what the weights take as the file has them, where that says how it is meant to run, and of an exported
    IR; else 0. horizon, local_layers: how far local layers see, and how many of the layers they are.
    """

    architecture: str
    layers: int
    kv_heads: int
    head_size: int
    hidden: int
    vocabulary: int
    context: int
    ends: tuple[int, ...]
    begin: int | None
    sampling: Sampling
    matrices: tuple[Shape, ...]
    tables: tuple[Shape, ...]
    stored_bytes: int
    horizon: Horizon | None = None
    local_layers: int = 0

    @property
    def quantized(self) -> bool:
        """Whether the file says in which precision it is meant to run: a GGUF file, a checkpoint in MXFP4."""
        return bool(self.parameters and self.stored_bytes)

    @property
    def can_embed(self) -> bool:
        """Whether its states can be had: an exported IR gives logits alone."""
        return bool(self.matrices)

    @property
    def parameters(self) -> int:
        """How many numbers the matrices and tables hold; 0 for an exported IR."""
        return sum(map(prod, (*self.matrices, *self.tables)))

    def kv_bytes(self, cache: CacheType) -> int:
        """Bytes of keys and values per token that are kept however long the text grows, in the plugin's layout: u8
        and u4 keep a scale and a zero (f32 both) per channel of a block's 32 keys and per token of its values."""
        return self._kv_bytes(self.layers - self.local_layers, cache)

    def local_kv_bytes(self, cache: CacheType) -> int:
        """As `kv_bytes`, of local layers, which keep a bounded number of tokens."""
        return self._kv_bytes(self.local_layers, cache)

    def _kv_bytes(self, layers: int, cache: CacheType) -> int:
        bits = {"f32": 32, "bf16": 16, "u8": 8, "u4": 4}[cache]
        extra = 8 * (self.head_size + BLOCK) if cache in ("u8", "u4") else 0
        return layers * self.kv_heads * (2 * BLOCK * self.head_size * bits // 8 + extra) // BLOCK

    def weight_bytes(self, packing: Packing) -> int:
        """Bytes of the packed weights (norms and biases left out); an exported IR is as big as its file."""
        if packing == "kept" or not self.matrices:
            return self.stored_bytes
        coarse = sum(packed_bytes(shape, packing) for shape in self.matrices)
        return coarse + sum(packed_bytes(shape, "int8" if packing == "int4" else packing) for shape in self.tables)


def describe(directory: Path) -> Description:
    """Read a Hugging Face directory, a GGUF file or an exported IR.

    Raises Invalid naming the file and field that is wrong.
    """
    exported = is_ir(directory)
    tensors = None if exported else open_tensors(directory)
    config = tensors.config if tensors else text_fields(read_fields(directory / "config.json"))
    architecture = "OpenVINO IR" if exported else find_architecture(config)
    decoder = DECODERS[architecture](config, architecture, 0) if architecture in DECODERS else None
    geometry = decoder.geometry if decoder else read_geometry(config, architecture)
    generation = tensors.generation if isinstance(tensors, GGUF) else _generation(directory)
    shapes = _shapes(tensors) if tensors else {}
    ends = tuple(end for each in (generation, config) for end in _ends(each, geometry.vocabulary))
    begins = (*generation.ids("bos_token_id"), *config.ids("bos_token_id"))
    return Description(
        architecture=architecture,
        layers=geometry.layers,
        kv_heads=geometry.heads.key_value,
        head_size=geometry.heads.size,
        hidden=geometry.hidden,
        vocabulary=geometry.vocabulary,
        context=geometry.context - unused_places(config, architecture),
        ends=tuple(dict.fromkeys(ends)),
        begin=begins[0] if begins else None,
        sampling=_sampling(generation),
        matrices=tuple(shape for name, shape in shapes.items() if not name.endswith(_TABLES)),
        tables=tuple(shape for name, shape in shapes.items() if name.endswith(_TABLES)),
        stored_bytes=_stored_bytes(directory, tensors),
        horizon=decoder.horizon if decoder else None,
        local_layers=sum(decoder.local) if decoder else 0,
    )


def _stored_bytes(directory: Path, tensors: Tensors | None) -> int:
    if tensors is None:
        return _size(ir_file(directory).with_suffix(".bin"))
    told = isinstance(tensors, GGUF) or any(tensors.grouped(name) for name in tensors)
    return tensors.kept_bytes() if told else 0


def _shapes(tensors: Tensors) -> dict[str, Shape]:
    """The matrices by name; of a model that sees pictures too, the decoder's alone."""
    shapes = {name: tensors.entry(name).shape for name in tensors}
    return {name: shape for name, shape in shapes.items() if len(shape) == 2 and not SIGHT.search(name)}


def _size(file: Path) -> int:
    if not file.exists():
        raise Invalid(f"{file}: there is no such file")
    require_regular(file)
    return file.stat().st_size


def _generation(directory: Path) -> Fields:
    file = directory / "generation_config.json"
    return read_fields(file) if file.exists() else Fields(str(file), {})


def _ends(fields: Fields, vocabulary: int) -> tuple[int, ...]:
    """The ids that end an answer, as one of the files names them. Raises Invalid for one that no token has."""
    ends = fields.ids("eos_token_id")
    for end in ends:
        if end >= vocabulary:
            raise fields.refuse("eos_token_id", f"is {end}, but the vocabulary (vocab_size) has {vocabulary} entries")
    return ends


def _sampling(fields: Fields) -> Sampling:
    """The checkpoint's own sampling. Names and neutral values are transformers' own; its `do_sample: false` counts only
    where the file says so: the bare default of that library would make every model greedy."""
    if not fields.flag("do_sample", True):
        return Sampling(temperature=0.0)
    return Sampling(
        temperature=fields.number("temperature", 1.0, least=0),
        top_p=fields.number("top_p", 1.0, least=0, most=1),
        top_k=fields.integer("top_k", 0, least=0),
        min_p=fields.number("min_p", 0.0, least=0, most=1),
        repetition_penalty=fields.number("repetition_penalty", 1.0, least=1e-3, most=1e3),
    )
