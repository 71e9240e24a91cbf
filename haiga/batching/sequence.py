"""One sequence on its way through the scheduler: what was asked, and how far it is.

The rule of this file: there are no phases. A sequence has tokens known (prompt and output), tokens computed (their
keys and values are in its blocks), and a gap between the two which steps close. Once the gap is closed the next token
is sampled, and there is a gap of one again.
"""

from collections.abc import Iterator
from collections.abc import Sequence as Items
from dataclasses import dataclass, field, replace

from haiga.batching.blocks import address, root
from haiga.batching.cold import Fetch
from haiga.batching.speculation import Drafter
from haiga.core.errors import Invalid
from haiga.core.generation import Priority, StopReason, Usage
from haiga.core.pictures import Seen
from haiga.core.ports import Adapter, Row

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
    not share KV blocks differs here (workspace, adapter); owner: who can have them deleted. pictures: in the order of
    their places. prediction: token ids that the answer is expected to follow. scored: the log probabilities of the
    prompt's own tokens are wanted. adapter: what changes the model for it.
    """

    id: str
    prompt: tuple[int, ...]
    max_tokens: int
    end: frozenset[int] = frozenset()
    priority: Priority = "interactive"
    salt: bytes = b""
    owner: bytes = b""
    breakpoints: tuple[Breakpoint, ...] = ()
    pictures: tuple[Seen, ...] = ()
    prediction: tuple[int, ...] = ()
    scored: bool = False
    adapter: Adapter | None = None


def check(request: Request, context: int) -> None:
    """Raises Invalid for a request that is empty, or that could never fit into `context` tokens."""
    if not request.prompt:
        raise Invalid("the prompt has no tokens", field="messages")
    room = context - min(request.max_tokens, 1)
    if len(request.prompt) > room:
        message = f"prompt is too long: {len(request.prompt)} tokens > {room} maximum"
        raise Invalid(message, code="context_length_exceeded")


@dataclass(slots=True, eq=False)
class Sequence:
    """A request under way. `arrival` orders sequences by age, `context` is its limit in tokens. `scored`: for how many
    of the prompt's places logits were had, where they are wanted for all but the last. `local` are
    its blocks in the local layers' pool, the first being its block `skipped`. `known`: blocks of its beginning that
    were there when it was admitted; it does not run while there are `fetches`, in order."""

    request: Request
    arrival: int
    context: int
    block_size: int
    urgent: bool
    tokens: list[int] = field(init=False)
    computed: int = 0
    blocks: list[int] = field(default_factory=list)
    local: list[int] = field(default_factory=list)
    skipped: int = 0
    known: int = 0
    fetches: dict[Fetch, None] = field(default_factory=dict)
    usage: Usage | None = None
    stop: StopReason | None = None
    prefilled: int = 0
    passed_over: int = 0
    held_back: int = 0
    scored: int = 0
    accepted: int = 0
    rejected: int = 0
    _drafter: Drafter | None = None
    _addresses: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tokens = list(self.request.prompt)
        if self.request.prediction:
            self._drafter = Drafter(self.request.prediction)

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
            pictures = b"".join(self._pictures(start, end)) if self.request.pictures else b""
            parent = self._addresses[-1] if self._addresses else root(self.request.salt, self.request.owner)
            self._addresses.append(address(parent, self.tokens[start:end], pictures))
        return self._addresses[index]

    def _pictures(self, start: int, end: int) -> Iterator[bytes]:
        """What tells the pictures that begin between two places, all digests being of one length."""
        return (
            seen.first.to_bytes(8, "little") + seen.digest
            for seen in self.request.pictures
            if start <= seen.first < end
        )

    def addresses(self, count: int) -> Iterator[bytes]:
        """The addresses of the first `count` blocks, hashed as they are asked for."""
        return map(self.address, range(count))

    @property
    def reusable(self) -> int:
        """How many blocks may come from the cache: the last token must be computed, to have logits, and so must those
        of the prompt that are not scored yet."""
        free = len(self.tokens) - 1
        return (min(free, self.scored) if self.unscored else free) // self.block_size

    @property
    def unscored(self) -> int:
        """Places of the prompt whose logits are still wanted: each decides the token behind it."""
        return len(self.request.prompt) - 1 - self.scored if self.request.scored else 0

    def wanted(self, end: int) -> int:
        """For how many of the last places logits are wanted from a row that ends before place `end`."""
        if self.unscored:
            return max(0, end - max(self.computed, self.scored))
        return int(end == len(self.tokens) and self.request.max_tokens > 0)

    def whole(self, count: int) -> int:
        """How many tokens to run where `count` may: no picture whose tokens see each other is cut."""
        end = self.computed + count
        for seen in self.request.pictures if count else ():
            for first, length in seen.spans if seen.mutual else ():
                if first < end < first + length:
                    return first - self.computed if first > self.computed else first + length - self.computed
        return count

    def row(self, count: int, draft: Items[int]) -> Row:
        """Its share of a step: its next `count` tokens, and a draft behind the last one."""
        end = self.computed + count
        tokens = [*self.tokens[self.computed : end], *draft]
        reached, sampled = -(-(end + len(draft)) // self.block_size), self.wanted(end) + len(draft)
        local, request = self.local[: reached - self.skipped], self.request
        table = self.blocks[:reached]
        return Row(tokens, self.computed, table, sampled, local, self.skipped, request.pictures, request.adapter)

    def draft(self, most: int) -> tuple[int, ...]:
        """Tokens to be tried behind the last one, as many as the answer and its blocks have room for."""
        if self._drafter is None:
            return ()
        room = len(self.blocks) * self.block_size - len(self.tokens)
        left = min(self.request.max_tokens - self.output, self.context - len(self.tokens)) - 1
        return self._drafter.draft(max(0, min(most, room, left)))

    @property
    def used(self) -> Usage:
        """The bill so far; it exists from the first admission on."""
        assert self.usage is not None
        return replace(self.usage, output=self.output, accepted=self.accepted, rejected=self.rejected)

    def advance(self, past: int, run: Items[int], chosen: Items[int]) -> tuple[int, ...]:
        """A row ran: `run` were its tokens from place `past` on, the last of them perhaps a draft; `chosen` follow
        (none after a chunk of prefill). Returns those that count: up to the one that ends the sequence, which sets
        `stop`."""
        known = len(self.tokens)
        drafted = max(0, past + len(run) - known)
        right = max(0, len(chosen) - 1)  # the last one is chosen behind the drafted tokens that came true
        self.computed = past + len(run) - drafted + right
        self.scored = max(self.scored, min(self.computed, len(self.request.prompt) - 1))
        if drafted and self._drafter:
            self._drafter.told(drafted, right)
            self.accepted += right
            self.rejected += drafted - right
        self._extend(chosen)
        self.computed = min(self.computed, len(self.tokens))
        return tuple(self.tokens[known:])

    def _extend(self, chosen: Items[int]) -> None:
        for token in chosen:
            self.tokens.append(token)
            if self._drafter:
                self._drafter.follow(token)
            self.stop = self._reason()
            if self.stop:
                return
        if self.gap == 0:
            self.stop = "max_tokens"  # nothing was wanted but a filled cache

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
