"""One sequence on its way through the scheduler: what was asked, and how far it is.

The rule of this file: there are no phases. A sequence has tokens known (prompt and output), tokens computed (their
keys and values are in its blocks), and a gap between the two which steps close. Once the gap is closed the next token
is sampled, and there is a gap of one again.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from haiga.batching.blocks import address, root
from haiga.core.generation import Priority, StopReason, Usage

ONE_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Breakpoint:
    """The prompt's first `offset` tokens are worth keeping for `ttl` seconds after each use."""

    offset: int
    ttl: float


@dataclass(frozen=True, slots=True)
class Request:
    """What a sequence is to do.

    prompt: token ids, at least one. max_tokens: 0 only fills the cache. end: ids that end the answer. salt: what must
    not share KV blocks differs here (workspace, adapter). images: the hash of each picture, all of one length, by
    the offset of its first placeholder token.
    """

    id: str
    prompt: tuple[int, ...]
    max_tokens: int
    end: frozenset[int] = frozenset()
    priority: Priority = "interactive"
    salt: bytes = b""
    breakpoints: tuple[Breakpoint, ...] = ()
    images: Mapping[int, bytes] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Sequence:
    """A request under way. `arrival` orders sequences by age, `context` is its limit in tokens."""

    request: Request
    arrival: int
    context: int
    block_size: int
    urgent: bool
    tokens: list[int] = field(init=False)
    computed: int = 0
    blocks: list[int] = field(default_factory=list)
    usage: Usage | None = None
    stop: StopReason | None = None
    prefilled: int = 0
    passed_over: int = 0
    _addresses: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tokens = list(self.request.prompt)

    @property
    def gap(self) -> int:
        return len(self.tokens) - self.computed

    @property
    def output(self) -> int:
        """Tokens generated."""
        return len(self.tokens) - len(self.request.prompt)

    def address(self, index: int) -> bytes:
        """The address of block `index`, whose tokens are all known."""
        while len(self._addresses) <= index:
            start = len(self._addresses) * self.block_size
            end = start + self.block_size
            pictures = b"".join(self._pictures(start, end)) if self.request.images else b""
            parent = self._addresses[-1] if self._addresses else root(self.request.salt)
            self._addresses.append(address(parent, self.tokens[start:end], pictures))
        return self._addresses[index]

    def _pictures(self, start: int, end: int) -> Iterator[bytes]:
        images = self.request.images
        return (offset.to_bytes(8, "little") + images[offset] for offset in sorted(images) if start <= offset < end)

    def addresses(self, count: int) -> Iterator[bytes]:
        """The addresses of the first `count` blocks, hashed as they are asked for."""
        return map(self.address, range(count))

    @property
    def reusable(self) -> int:
        """How many blocks may come from the cache: the last token must be computed, to have logits."""
        return (len(self.tokens) - 1) // self.block_size

    @property
    def used(self) -> Usage:
        """The bill so far; it exists from the first admission on."""
        assert self.usage is not None
        return replace(self.usage, output=self.output)

    def extend(self, tokens: Iterable[int]) -> tuple[int, ...]:
        """Tokens were chosen (none after a chunk of prefill). Returns those that count: up to the one that ends the
        sequence, which sets `stop`."""
        before = len(self.tokens)
        for token in tokens:
            self.tokens.append(token)
            self.stop = self._reason()
            if self.stop:
                break
        if self.gap == 0:
            self.stop = "max_tokens"  # nothing was wanted but a filled cache
        return tuple(self.tokens[before:])

    def _reason(self) -> StopReason | None:
        if self.tokens[-1] in self.request.end:
            return "end_turn"
        if self.output >= self.request.max_tokens:
            return "max_tokens"
        return "model_context_window_exceeded" if len(self.tokens) >= self.context else None


def bill(request: Request, reused: int, cached: int, block_size: int) -> Usage:
    """The prompt's tokens by what happened to them; the four parts sum to the prompt.

    `reused` tokens were taken from the cache. `cached` tokens were known there, which can be one block more: the last
    token is always computed to have logits, so its block is not written anew but not reused either, and counts as
    input. The rest up to the last full block before a breakpoint is written for that breakpoint's lifetime.
    """
    hour = max((point.offset for point in request.breakpoints if point.ttl >= ONE_HOUR), default=0)
    short = max((point.offset for point in request.breakpoints if point.ttl < ONE_HOUR), default=0)
    hour_end = max(cached, hour // block_size * block_size)
    short_end = max(hour_end, short // block_size * block_size)
    creation_1h, creation_5m = hour_end - cached, short_end - hour_end
    rest = len(request.prompt) - reused - creation_1h - creation_5m
    return Usage(input=rest, creation_5m=creation_5m, creation_1h=creation_1h, cache_read=reused)
