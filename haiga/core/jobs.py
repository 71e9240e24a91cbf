"""Batches and their lines: what is kept of them, and which status changes there are.

Rule: pure values; a line that has its result never changes again, a batch that has ended never goes back.

    line   new ──────┬─> waiting <─────> running ──> succeeded | errored | canceled | expired
                     ├─> following ──> waiting, or succeeded with the answer of the line that it follows
                     └─> succeeded (an earlier answer), errored (its params are wrong), canceled, expired
    batch  receiving ──> in_progress ──> canceling ──> ended             one whose lines came with the request
    batch  validating ──> in_progress ──> canceling ──> finalizing ──> ended    one whose lines are in a file,
           validating ──> failed, or ended when it is canceled                  and whose results go to files
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

BatchStatus: TypeAlias = Literal["receiving", "validating", "in_progress", "canceling", "finalizing", "ended", "failed"]
LineState: TypeAlias = Literal["new", "waiting", "following", "running", "succeeded", "errored", "canceled", "expired"]
Dedupe: TypeAlias = Literal["all", "deterministic", "off"]

HOUR = 3600
LIFETIME = 24 * HOUR  # seconds until what has no result expires
KEPT = 29 * 24 * HOUR  # seconds from creation that results are kept
RECEIVED = HOUR  # seconds after which a batch that was never received whole is forgotten
SUSPECT = 3  # tries after which a line may be what kills the engine, and runs alone
TRIES = 8  # tries after which it is given up

CHANGES: Mapping[LineState, frozenset[LineState]] = {
    "new": frozenset({"waiting", "following", "succeeded", "errored", "canceled", "expired"}),
    "waiting": frozenset({"running", "canceled", "expired"}),
    "following": frozenset({"waiting", "succeeded", "canceled", "expired"}),
    "running": frozenset({"waiting", "succeeded", "errored", "canceled", "expired"}),
    "succeeded": frozenset(),
    "errored": frozenset(),
    "canceled": frozenset(),
    "expired": frozenset(),
}
FINAL: tuple[LineState, ...] = tuple(state for state, after in CHANGES.items() if not after)
UNFINISHED: tuple[LineState, ...] = tuple(state for state, after in CHANGES.items() if after)


def before(state: LineState) -> tuple[LineState, ...]:
    """The states that a line may come to `state` from."""
    return tuple(earlier for earlier, after in CHANGES.items() if state in after)


@dataclass(frozen=True, slots=True)
class Counts:
    """Lines with a result, by its kind, and the tokens that were read and generated for them (reused ones not
    counted): `cached_tokens` are a part of the input, `reasoning_tokens` of the output."""

    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0
    output_tokens: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def done(self) -> int:
        return self.succeeded + self.errored + self.canceled + self.expired


@dataclass(frozen=True, slots=True)
class Rules:
    """What the request that made a batch said of how its lines are to be read: the API's version, its betas,
    which lines may share one answer, and the moderation policy that holds for them besides the key's."""

    version: str | None = None
    betas: tuple[str, ...] = ()
    dedupe: Dedupe = "deterministic"
    policy: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with an input file, at a line of it, counted from 1."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


@dataclass(frozen=True, slots=True)
class Papers:
    """The files of a batch, by their ids: its lines come from `input`; the results of those that succeeded go to
    `output`, those of others to `errors`, both kept for `lifetime` seconds. `problems` are why it failed."""

    input: str
    lifetime: int
    metadata: Mapping[str, str] | None = None
    model: str | None = None
    begun_at: int | None = None
    finalizing_at: int | None = None
    output: str | None = None
    errors: str | None = None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of requests to `endpoint`, made with the key of id `key`. Times are unix seconds; ids are in the order of
    creation."""

    id: str
    workspace: str
    endpoint: str
    created_at: int
    expires_at: int
    status: BatchStatus = "receiving"
    rules: Rules = Rules()
    total: int = 0
    counts: Counts = Counts()
    cancel_initiated_at: int | None = None
    ended_at: int | None = None
    archived_at: int | None = None
    key: str | None = None
    papers: Papers | None = None

    @property
    def live(self) -> bool:
        """Whether it still wants results."""
        return self.status in ("in_progress", "canceling")

    @property
    def over(self) -> bool:
        """Whether nothing about it changes any more."""
        return self.status in ("ended", "failed")

    @property
    def readable(self) -> bool:
        """Whether its results can be read: it has ended, and they are kept yet."""
        return self.status == "ended" and self.archived_at is None


def cancel(batch: Batch, now: int) -> Batch:
    """The batch once somebody asked to cancel it: one that is canceling or has its results stays as it is."""
    if batch.status == "validating":
        return replace(batch, status="ended", cancel_initiated_at=now, ended_at=now)
    if batch.status != "in_progress":
        return batch
    return replace(batch, status="canceling", cancel_initiated_at=now)


def settle(batch: Batch, now: int) -> Batch:
    """The batch ended, if it is live and every line has its result; one with papers has those to be written."""
    if not batch.live or batch.counts.done < batch.total:
        return batch
    if batch.papers is not None:
        return replace(batch, status="finalizing", papers=replace(batch.papers, finalizing_at=now))
    return replace(batch, status="ended", ended_at=now)


def verdict(batch: Batch, now: int) -> Literal["canceled", "expired"] | None:
    """What becomes of the lines of a live batch that have no result; None while they go on."""
    if batch.status == "canceling":
        return "canceled"
    return "expired" if batch.status == "in_progress" and batch.expires_at <= now else None


@dataclass(frozen=True, slots=True)
class Line:
    """One request of a batch. `params` is its JSON as sent; `result` the JSON of its result, once it has one.

    `order` sorts requests that share a prefix next to each other, `digest` is the same for lines that may share an
    answer (None: with none). `tries` counts how often it was begun.
    """

    batch: str
    position: int
    custom_id: str
    params: bytes
    workspace: str = "default"
    endpoint: str = ""
    rules: Rules = Rules()
    state: LineState = "new"
    order: str = ""
    digest: str | None = None
    tries: int = 0
    result: bytes | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a line: its final state and result, or None for both when it is to be run again; `counted`: False
    then gives back the try."""

    line: Line
    state: Literal["succeeded", "errored"] | None = None
    result: bytes | None = None
    output_tokens: int = 0
    counted: bool = True
    input_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Prepared:
    """A line that was read: `error` is the result of one that cannot be run. See Line for `order` and `digest`."""

    line: Line
    order: str = ""
    digest: str | None = None
    error: bytes | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """A line's result as JSON; `reused` says that it was computed for another line."""

    custom_id: str
    result: bytes
    reused: bool = False
    position: int = 0
    state: LineState = "succeeded"


@dataclass(frozen=True, slots=True)
class Page:
    """Some batches, newest first, and whether there are more beyond."""

    batches: tuple[Batch, ...] = ()
    more: bool = False
