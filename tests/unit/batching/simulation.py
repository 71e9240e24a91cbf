"""A scheduler driven step by step over a HashingRunner, with everything that must hold checked at every step."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from haiga.batching.blocks import BlockPool
from haiga.batching.cold import Stored
from haiga.batching.scheduler import Scheduler
from haiga.batching.sequence import Request
from haiga.batching.step import Advance, Plan
from haiga.core.generation import Usage
from haiga.core.ports import Horizon
from tests.unit.batching.cold_store import ColdStore
from tests.unit.batching.hashing_runner import HashingRunner, Logits


@dataclass
class Record:
    """What became of one request."""

    request: Request
    added: int
    tokens: list[int] = field(default_factory=list)
    stop: str | None = None
    usage: Usage | None = None
    computed: int = 0
    first: int | None = None
    ended: int | None = None


class Simulation:
    def __init__(
        self,
        blocks: int = 16,
        budget: int = 16,
        rows: int = 4,
        context: int = 1000,
        patience: int = 8,
        horizon: Horizon | None = None,
        local_blocks: int = 0,
        cold: ColdStore | None = None,
    ) -> None:
        self.cold = cold
        self.runner = HashingRunner(blocks, horizon=horizon, local_blocks=local_blocks)
        self.pool = BlockPool(blocks, self.runner.block_size)
        self.local = BlockPool(local_blocks, self.runner.block_size)
        self.scheduler = Scheduler(self.pool, budget, rows, context, patience, horizon, self.local, cold)
        self.records: dict[str, Record] = {}
        self.steps = 0
        self.now = 0.0
        self.scored: list[tuple[str, int]] = []  # whose logits were had, and which place they decide

    def add(self, request: Request) -> None:
        self.scheduler.add(request)
        self.records[request.id] = Record(request, self.steps)

    def abort(self, identifier: str) -> None:
        self.scheduler.abort(identifier)
        self.records.pop(identifier, None)
        self.scheduler.check_integrity()

    @property
    def busy(self) -> bool:
        return self.scheduler.running + self.scheduler.waiting > 0

    def step(self) -> Plan:
        """Plan, run, choose greedily, commit; every rule that one step can break is checked."""
        self._take_arrived()
        plan = self.scheduler.plan(self.now)
        if self.cold:
            self.cold.fetch(plan.fetches)
            if not plan.rows and self.cold.asked:
                self.steps += 1
                return plan
        self._check(plan)
        logits = self.runner.step(plan.rows)
        self.steps += 1
        advances = self.scheduler.commit(plan, self._chosen(plan, logits), self.now)
        for row, advance in zip(plan.rows, advances, strict=True):
            self._record(len(row.tokens), advance)
            for each in advance.stored:
                self._save(each)
            if self.cold:
                self.cold.used(advance.used)
        self.scheduler.check_integrity()
        return plan

    def _take_arrived(self) -> None:
        for fetch, content in self.cold.arrived() if self.cold else ():
            if fetch.dropped:
                continue
            pool = self.local if fetch.local else self.pool
            assert fetch.block not in pool._known.values(), "a block that others may read is written to"
            if content is not None:
                self.runner.copy_in(fetch.block, fetch.local, content)
            self.scheduler.arrived(fetch, content is not None, self.now)
            self.scheduler.check_integrity()

    def _save(self, block: Stored) -> None:
        assert self.cold
        if self.cold.wants(block.address, block.local):
            self.cold.put(block.address, block.local, self.runner.copy_out(block.block, block.local))

    def _chosen(self, plan: Plan, logits: Logits) -> list[list[int]]:
        """The greedy tokens behind each row: one, and one more for each drafted token that is right; none within the
        prompt."""
        chosen, at = [], 0
        for row, sequence in plan.sampled:
            best = [int(each.argmax()) for each in logits[at : at + row.sampled]]
            at += row.sampled
            first = row.past + len(row.tokens) - row.sampled + 1
            drafted = row.tokens[max(0, len(sequence.tokens) - row.past) :]
            own = best[max(0, len(sequence.tokens) - first) :]
            right = next(
                (i for i, pair in enumerate(zip(own, drafted, strict=False)) if pair[0] != pair[1]), len(drafted)
            )
            chosen.append(own[: right + 1] if sequence.request.max_tokens else [])
            self.scored += [(sequence.request.id, place) for place in range(first, first + row.sampled)]
        return chosen

    def _check(self, plan: Plan) -> None:
        assert plan.rows, "work is queued, and nothing runs"
        assert sum(len(row.tokens) for row in plan.rows) <= self.scheduler.budget
        assert len(plan.rows) <= self.scheduler.rows
        written: list[int] = []
        size = self.runner.block_size
        for row, sequence in zip(plan.rows, plan.sequences, strict=True):
            assert sequence.tokens[: row.past] == self.runner.content(row)
            written += row.blocks[row.past // size :]
        assert len(written) == len(set(written)), "two sequences write to one block"
        assert not set(written) & set(self.pool._known.values()), "a block that others may read is written to"
        near = [block for row in plan.rows for block in (row.local or ())[row.past // size - row.skipped :]]
        assert len(near) == len(set(near)), "two sequences write to one local block"
        assert not set(near) & set(self.local._known.values()), "a local block that others may read is written to"

    def _record(self, computed: int, advance: Advance) -> None:
        record = self.records[advance.id]
        record.tokens += advance.tokens
        record.computed += computed
        record.usage, record.stop = advance.usage, advance.stop
        record.first = self.steps if record.first is None else record.first
        if advance.stop:
            record.ended = self.steps

    def drain(self, limit: int) -> None:
        """Run until nothing is queued, in no more than `limit` further steps."""
        end = self.steps + limit
        while self.busy:
            assert self.steps < end, "somebody starves"
            self.step()

    def alone(self, request: Request) -> list[int]:
        """The greedy answer to this request with nobody else around."""
        room = self.scheduler.context - len(request.prompt)
        tokens: Sequence[int] = self.runner.alone(request.prompt, min(request.max_tokens, room))
        ends = [at for at, token in enumerate(tokens) if token in request.end]
        return list(tokens[: ends[0] + 1] if ends else tokens)


def request(
    name: str, prompt: int | tuple[int, ...] = 10, max_tokens: int = 3, start: int = 0, **fields: object
) -> Request:
    """A request; a number for a prompt means that many tokens counted up from `start`."""
    tokens = tuple(range(start, start + prompt)) if isinstance(prompt, int) else prompt
    return replace(Request(name, tokens, max_tokens), **fields)


def bound(requests: list[Request], budget: int, rows: int) -> int:
    """Steps that are enough for all of them: the oldest gets half of what decodes leave (a batch one, of its part of
    the budget), then a token per step; twice that, since what is sent back is computed again."""
    rate = {"interactive": (budget - rows + 2) // 2, "batch": max(1, budget // 16)}
    known = [(each, len(each.prompt) + each.max_tokens) for each in requests]
    return 2 * sum(-(-tokens // rate[each.priority]) + each.max_tokens + 2 for each, tokens in known)
