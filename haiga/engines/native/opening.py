"""From a checkpoint's directory or a GGUF file to an engine: what to run, how much memory, how long a context.

Rule: everything is read from the checkpoint's own files here, once, before any weights are loaded; what is wrong with
them is one clear line.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import orjson

from haiga.core.errors import Unsupported
from haiga.core.ports import Capabilities, ModelCard
from haiga.engines.link import LEAVE
from haiga.engines.native.embedder import NativeEmbedder, SentenceModel
from haiga.engines.native.engine import Model, NativeEngine
from haiga.engines.native.pools import plan_pools, pool_bytes, waiting_room
from haiga.engines.native.protocol import BUDGET, EmbeddingPlant, Plant
from haiga.engines.native.speech import Speech
from haiga.engines.native.texts import load_template, load_tokenizer
from haiga.engines.supervised import child_command
from haiga.models.description import Description, describe
from haiga.models.load import BLOCK, CacheType, Settings, count_weights, prepare
from haiga.models.pooling import is_sentence_model, read_limit, read_pooling
from haiga.models.registry import DECODERS, ENCODERS
from haiga.models.sources import open_tensors
from haiga.models.vision.load import check_tower, tower_bytes
from haiga.models.vision.registry import read_sight
from haiga.models.weights import Packing, check_vocabulary
from haiga.text.prompt import TAGS, Prompter
from haiga.text.raw import infill_of
from haiga.text.template import ChatTemplate
from haiga.text.tokenizer import Tokenizer

OVERHEAD = 300 << 20  # bytes of an engine process besides weights and KV pool
SMALL = 64 << 20  # weights up to this many bytes in f32 are run in f32, exactly
SMALL_EMBEDDER = 512 << 20  # as SMALL, of a model that makes embeddings alone
LONGEST_TEXT = 8192  # tokens of a text that a decoder embeds


@dataclass(frozen=True, slots=True)
class NativeOptions:
    """How a checkpoint is to be run; None leaves the choice to us.

    `weights`: f32, bf16, int8, int4, or kept as the file has them. `cache`: precision of keys and values, f32, bf16,
    u8 or u4. `kv_memory`: bytes of the KV pool. `context`: tokens. `cache_dir`: where compiled models are kept.
    `threads`: 0 for all cores. `tags` go on the model's card. `kv_disk`: bytes of keys and values in files in `kv_dir`,
    of all models together; 0: none. `slots`: adapters that run at once.
    """

    weights: Packing | None = None
    cache: CacheType | None = None
    kv_memory: int | None = None
    context: int | None = None
    cache_dir: Path | None = None
    threads: int = 0
    queue: int = 256
    tags: tuple[str, ...] = ()
    kv_disk: int = 0
    kv_dir: Path | None = None
    slots: int = 8


@dataclass(frozen=True, slots=True)
class Found:
    """A model directory or GGUF file, described and with its tokenizer read: what everything here starts from."""

    name: str
    directory: Path
    created: int
    description: Description
    tokenizer: Tokenizer

    @classmethod
    def at(cls, name: str, directory: Path, created: int) -> "Found":
        """Raises Invalid and Unsupported naming the file."""
        description = describe(directory)
        tokenizer = load_tokenizer(directory)
        check_vocabulary(len(tokenizer) - 1, description.vocabulary, directory)
        return cls(name, directory, created, description, tokenizer)

    @property
    def embeds_alone(self) -> bool:
        """Whether the model makes embeddings and writes no text."""
        return _embeds_alone(self.directory, self.description)


def open_model(name: str, directory: Path, options: NativeOptions, created: int) -> NativeEngine | NativeEmbedder:
    """What runs the model in `directory`, not started yet. Raises Invalid and Unsupported naming the file."""
    found = Found.at(name, directory, created)
    return open_embedder(found, options) if found.embeds_alone else open_engine(found, options)


def open_engine(found: Found, options: NativeOptions) -> NativeEngine:
    """An engine for a model that writes text, not started yet. Raises Invalid and Unsupported naming the file."""
    description, tokenizer = found.description, found.tokenizer
    plant = plan(found.directory, description, options)
    pools = pool_bytes(description, plant.cache, plant.blocks, plant.local_blocks)
    memory = description.weight_bytes(plant.weights) + pools + plant.kv_room
    context = min(plant.context, plant.blocks * BLOCK)
    template = load_template(found.directory)
    sight = read_sight(found.directory)
    if sight is not None:
        check_tower(found.directory, description.vocabulary, tokenizer.id(sight.filler))
        plant = replace(plant, sees=True)
        memory += tower_bytes(found.directory, plant.weights)
    prompter = Prompter(tokenizer, template, sight=sight)
    embedder = open_embedder(found, options) if description.can_embed else None
    thinks = _thinks(template, prompter)
    able = Capabilities(
        images=sight is not None,
        documents=True,
        tools=True,
        structured_output=True,
        thinking=thinks,
        embeddings=embedder is not None,
        infill=infill_of(tokenizer.added) is not None,
        scoring=True,
    )
    size = embedder.card.dimensions if embedder else 0
    precision = f"{plant.weights}, {plant.cache}"
    card = ModelCard(found.name, found.name, found.created, context, context, able, size, precision, options.tags)
    speech = Speech(tokenizer, prompter)
    model = Model(card, prompter, speech, description.sampling, description.ends, pool=plant.blocks * BLOCK)
    return NativeEngine(model, plant, memory + OVERHEAD, options.queue, embedder, LEAVE if plant.kv_dir else 0.0)


def open_embedder(found: Found, options: NativeOptions) -> NativeEmbedder:
    """What makes a model's embeddings, not started yet. Raises Invalid and Unsupported naming the file."""
    name, directory, description = found.name, found.directory, found.description
    if not description.can_embed:
        raise Unsupported(f"{directory}: an exported IR makes no embeddings")
    pooling = read_pooling(directory, causal=description.architecture not in ENCODERS)
    context = _longest_text(directory, description, options)
    plant = EmbeddingPlant(
        directory=str(directory),
        weights=_packing(directory, description, options),
        pooling=pooling.mode,
        unit=pooling.unit,
        context=context,
        threads=options.threads,
        cache_dir=str(options.cache_dir) if options.cache_dir else None,
    )
    able = Capabilities(prefill=False, embeddings=True, text=False)
    size, tags = description.hidden, options.tags
    card = ModelCard(name, name, found.created, context, context, able, dimensions=size, tags=tags)
    model = SentenceModel(card, found.tokenizer, description.vocabulary, pooling.unit)
    command = child_command("haiga.engines.native.embedding_child", orjson.dumps(asdict(plant)).decode())
    return NativeEmbedder(model, command, description.weight_bytes(plant.weights) + OVERHEAD, options.queue)


def _embeds_alone(directory: Path, description: Description) -> bool:
    return description.can_embed and (description.architecture not in DECODERS or is_sentence_model(directory))


def _longest_text(directory: Path, description: Description, options: NativeOptions) -> int:
    limits = [description.context, options.context, read_limit(directory)]
    if description.architecture not in ENCODERS:
        limits.append(LONGEST_TEXT)
    return min(limit for limit in limits if limit is not None)


def pack(directory: Path, options: NativeOptions, progress: Callable[[int, int], None]) -> None:
    """Pack the weights that `open_engine` with these options would use into the cache; `progress` is called with how
    many bytes of packed weights there are so far and in the end. Nothing to do for an exported IR."""
    description = describe(directory)
    if options.cache_dir is None or not description.matrices:
        return
    plant = plan(directory, description, options)
    whole = count_weights(open_tensors(directory))
    size, done = description.weight_bytes(plant.weights), 0

    def advance(packed: int) -> None:
        nonlocal done
        done += packed
        progress(done * size // whole, size)

    prepare(directory, Settings(plant.weights, plant.cache, plant.threads, plant.context), options.cache_dir, advance)


def _thinks(template: ChatTemplate | None, prompter: Prompter) -> bool:
    """Whether the model reasons: its template spells the tags of thoughts, or has a channel for them."""
    source = template.source + template.tool_source if template else ""
    return prompter.format.channels or any(all(tag in source for tag in tags) for tags in TAGS)


def _packing(directory: Path, description: Description, options: NativeOptions) -> Packing:
    """The weights' packing, one for text and embeddings of the same model, which share the packed file."""
    if options.weights is not None:
        return options.weights
    if description.quantized:
        return "kept"
    if _embeds_alone(directory, description):
        return "f32" if description.weight_bytes("f32") <= SMALL_EMBEDDER else "int8"
    return "f32" if description.weight_bytes("f32") <= SMALL else "int4"


def plan(directory: Path, description: Description, options: NativeOptions) -> Plant:
    """What its engine process would be told to run."""
    weights = _packing(directory, description, options)
    cache: CacheType = options.cache or ("f32" if weights == "f32" else "u8")
    context = min(options.context or description.context, description.context)
    pools = plan_pools(description, cache, context, options.kv_memory, BUDGET)
    kept = options.kv_dir is not None and options.kv_disk > 0
    return Plant(
        directory=str(directory),
        weights=weights,
        cache=cache,
        blocks=pools.blocks,
        context=context,
        ends=description.ends,
        threads=options.threads,
        local_blocks=pools.local,
        kv_dir=str(options.kv_dir) if kept else None,
        kv_disk=options.kv_disk,
        kv_room=waiting_room(description, cache, BUDGET) if kept else 0,
        slots=options.slots,
        cache_dir=str(options.cache_dir) if options.cache_dir else None,
    )
