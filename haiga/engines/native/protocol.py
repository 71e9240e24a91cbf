"""What the server and an engine process say to each other: frames of JSON over one socket.

Rule: token ids, numbers, names and grammars cross; templates, stop strings and what was said stay on the server's
side.
Behind a submission come the pixels of its pictures, one after another, each picture's once.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from haiga.core.errors import HaigaError
from haiga.core.generation import Priority, Sampling, StopReason, Usage
from haiga.core.pictures import Picture, Placed
from haiga.engines.frames import frame, read_error, write_error
from haiga.models.load import CacheType
from haiga.models.pooling import Mode
from haiga.models.weights import Packing

BUDGET = 512  # tokens of a step


@dataclass(frozen=True, slots=True)
class Plant:
    """What an engine process is to run.

    blocks: size of the KV pool; local_blocks: of that of the local layers, if there are such. context: tokens. ends:
    ids that end an answer. budget: tokens per step. rows: sequences per step. threads: 0 for all cores. cache_dir:
    where compiled models are kept, or none. sees: whether it is to load its tower. kv_dir: where KV blocks are kept in
    files, or none; kv_disk: bytes of all of them; kv_room: bytes of memory for those that wait to be written. adapted:
    layers that adapters change, by name; slots: how many of them run at once.
    """

    directory: str
    weights: Packing
    cache: CacheType
    blocks: int
    context: int
    ends: Sequence[int] = ()
    budget: int = BUDGET
    rows: int = 64
    threads: int = 0
    cache_dir: str | None = None
    local_blocks: int = 0
    sees: bool = False
    kv_dir: str | None = None
    kv_disk: int = 0
    kv_room: int = 0
    adapted: Sequence[str] = ()
    slots: int = 8


@dataclass(frozen=True, slots=True)
class EmbeddingPlant:
    """What an engine process for embeddings is to run.

    pooling, unit: models/pooling.py. context: tokens that the rope is computed for. budget: tokens run side by side.
    The others as in `Plant`.
    """

    directory: str
    weights: Packing
    pooling: Mode
    unit: bool
    context: int
    budget: int = 1024
    threads: int = 0
    cache_dir: str | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """One text to be embedded, as token ids."""

    id: int
    tokens: Sequence[int]


@dataclass(frozen=True, slots=True)
class Thought:
    """A bound on thinking: a thought begins behind `open`, at the answer's beginning or, so on channels, `anywhere`,
    or in the prompt (`opened`), and ends with `close`, whose tokens are `closing`; it takes at most `budget` tokens
    with them."""

    open: str
    close: str
    closing: Sequence[int]
    budget: int
    opened: bool = False
    anywhere: bool = False


@dataclass(frozen=True, slots=True)
class Mounted:
    """An adapter: its directory, and the key that its files had when it was added."""

    directory: str
    key: str


@dataclass(frozen=True, slots=True)
class Submission:
    """One request as the engine process sees it.

    `breakpoints` are (token offset, lifetime in seconds). `salt` keeps workspaces' caches apart, `owner` may have its
    own deleted. `ends` are the token ids that end an answer. `grammar` is what the answer must follow (text/grammar),
    None where it is free; `thought` bounds its thoughts, None where they are not. `prediction` is what the answer is
    expected to be; `scored` asks for the log probabilities of the prompt's own tokens. `pictures` are those in the
    prompt, in their order. `adapter` is what changes the model for it.
    """

    id: int
    tokens: Sequence[int]
    sampling: Sampling
    max_tokens: int
    ends: Sequence[int]
    priority: Priority
    salt: str
    breakpoints: Sequence[tuple[int, float]] = ()
    grammar: str | None = None
    thought: Thought | None = None
    prediction: Sequence[int] = ()
    scored: bool = False
    pictures: Sequence[Placed] = ()
    owner: str = ""
    adapter: Mounted | None = None


@dataclass(frozen=True, slots=True)
class Logprob:
    """A token's natural log probability and the best (id, log probability) pairs, best first."""

    own: float
    best: Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Update:
    """What one step brought to one request. `usage` counts the prompt from the first update on; `prefilled` prompt
    tokens are computed so far, and `scores` are of further ones, from the second on; the last update has a `stop` or an
    `error`, or a text's `vector` (float32, little-endian)."""

    id: int
    tokens: Sequence[int] = ()
    logprobs: Sequence[Logprob] = ()
    usage: Usage = field(default_factory=Usage)
    prefilled: int = 0
    stop: StopReason | None = None
    error: HaigaError | None = None
    vector: bytes = b""
    scores: Sequence[Logprob] = ()
    waited: float = 0.0
    ran: float = 0.0


@dataclass(frozen=True, slots=True)
class Ready:
    """An engine process is up: its KV pool and its resident memory in bytes."""

    blocks: int
    block_size: int
    memory: int


def submit(submission: Submission | Text) -> bytes:
    if isinstance(submission, Text):
        return frame({"do": "embed", "id": submission.id, "tokens": submission.tokens})
    placed = submission.pictures
    pixels = b"".join({each.picture.digest: each.picture.rgb for each in placed}.values())
    fields = {**asdict(replace(submission, pictures=())), "pictures": [_write_placed(each) for each in placed]}
    return frame({"do": "submit", **fields}, pixels)


def abort(id: int) -> bytes:
    return frame({"do": "abort", "id": id})


def clear_cache() -> bytes:
    return frame({"do": "clear_cache"})


def ready(report: Ready) -> bytes:
    return frame({"is": "ready", **asdict(report)})


def step(updates: Sequence[Update], stats: Mapping[str, Any]) -> bytes:
    return frame({"is": "step", "updates": [_write_update(update) for update in updates], "stats": stats})


def embedded(vectors: Mapping[int, bytes]) -> bytes:
    """The vectors of one batch of texts, by the texts' ids."""
    return frame({"is": "embedded", "vectors": [[id, b64encode(vector).decode()] for id, vector in vectors.items()]})


def read_embedded(report: Mapping[str, Any]) -> list[Update]:
    return [Update(id, vector=b64decode(vector)) for id, vector in report["vectors"]]


def read_submission(fields: Mapping[str, Any], pixels: bytes = b"") -> Submission:
    sampling = fields["sampling"]
    bias = {int(token): value for token, value in sampling["logit_bias"].items()}
    return Submission(
        id=fields["id"],
        tokens=fields["tokens"],
        sampling=Sampling(**{**sampling, "logit_bias": bias}),
        max_tokens=fields["max_tokens"],
        ends=fields["ends"],
        priority=fields["priority"],
        salt=fields["salt"],
        breakpoints=[(offset, ttl) for offset, ttl in fields["breakpoints"]],
        grammar=fields["grammar"],
        thought=Thought(**fields["thought"]) if fields["thought"] else None,
        prediction=fields["prediction"],
        scored=fields["scored"],
        pictures=_read_pictures(fields["pictures"], pixels),
        owner=fields["owner"],
        adapter=Mounted(**fields["adapter"]) if fields["adapter"] else None,
    )


def _write_placed(placed: Placed) -> dict[str, Any]:
    picture = placed.picture
    return {
        "digest": picture.digest,
        "width": picture.width,
        "height": picture.height,
        "spans": placed.spans,
        "grid": placed.grid,
    }


def _read_pictures(listed: Sequence[Mapping[str, Any]], pixels: bytes) -> list[Placed]:
    known: dict[str, Picture] = {}
    at = 0
    for fields in listed:
        if fields["digest"] not in known:
            size = fields["width"] * fields["height"] * 3
            rgb = pixels[at : at + size]
            known[fields["digest"]] = Picture(rgb, fields["width"], fields["height"], fields["digest"])
            at += size
    return [
        Placed(
            known[fields["digest"]],
            tuple((first, count) for first, count in fields["spans"]),
            (fields["grid"][0], fields["grid"][1]) if fields["grid"] else None,
        )
        for fields in listed
    ]


def read_update(fields: Mapping[str, Any]) -> Update:
    return Update(
        id=fields["id"],
        tokens=fields["tokens"],
        logprobs=_read_logprobs(fields["logprobs"]),
        usage=Usage(**fields["usage"]),
        prefilled=fields["prefilled"],
        stop=fields["stop"],
        error=read_error(fields["error"]) if fields["error"] else None,
        scores=_read_logprobs(fields["scores"]),
        waited=fields["waited"],
        ran=fields["ran"],
    )


def _read_logprobs(pairs: Any) -> list[Logprob]:
    return [Logprob(own, [(token, value) for token, value in best]) for own, best in pairs]


def _write_update(update: Update) -> dict[str, Any]:
    return {
        "id": update.id,
        "tokens": update.tokens,
        "logprobs": [(logprob.own, logprob.best) for logprob in update.logprobs],
        "usage": asdict(update.usage),
        "prefilled": update.prefilled,
        "stop": update.stop,
        "error": write_error(update.error) if update.error else None,
        "scores": [(score.own, score.best) for score in update.scores],
        "waited": update.waited,
        "ran": update.ran,
    }
