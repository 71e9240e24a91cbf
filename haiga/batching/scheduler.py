"""Which tokens run in the next step. Pure: tokens, memory and time come in as arguments, a plan comes out.

Rules, in the order in which they are applied by `plan`:

1.  Interactive sequences come before batch ones in everything: blocks, rows, budget. An interactive request is in the
    very next plan; for its blocks or its row a running batch sequence is sent back to wait.
2.  Ageing: when the oldest batch sequence has been left out of `patience` plans (counted over its life), it counts as
    interactive until it ends. One sequence at a time can be so promoted. Because it takes its place by arrival, every
    later interactive sequence queues behind it, so batch work always ends; because it is one, interactive work loses
    at most one row and that row's share. A time slice instead would not do: a batch sequence that is sent back loses
    what it computed, and could go round for ever.
3.  Growing and admission, by arrival within a priority. A sequence is admitted with blocks for its whole prompt, so
    two half-filled prompts never wait for each other; then it grows block by block. When no block is left, the lowest
    priority's latest arrival is sent back (its blocks stay cached until they are needed, so most is reused later).
    Nobody is sent back for a later arrival of its own priority: the oldest interactive sequence always goes on.
4.  Sharing: on admission the longest cached prefix is taken over. A sequence whose next block is being computed by
    another one right now waits for it instead of computing it too. At least one token is always computed, to have
    logits. Blocks can be shared as soon as they are full and computed, generated ones too.
5.  The budget of tokens per step: first every decode (a gap of one token), then prefill chunks. At least half of what
    is left goes to the oldest prefill, the rest to the shortest ones. So a long prompt never blocks short ones that
    come later, they never stop it, and equal ones are served in order.
6.  Layers that see no further than a horizon have a pool of their own (batching/local.py). A sequence needs blocks in
    both, those in the local one for what it sees and what a step writes alone; whichever is short, rule 3 holds.
7.  Each token of prefill delays the next token of every answer in the step. So while an interactive answer is being
    generated, interactive prefill gets at most a quarter of the budget. Batch prefill never gets more than an eighth,
    since an interactive request has to wait for the step that is running when it comes. Batch tokens delay the first
    token of an interactive answer, too: while an interactive prompt is being computed, batch sequences keep their
    blocks and sit out.
8.  Where a picture's tokens see each other, its span is never cut: a chunk ends before it, or takes it whole.
9.  Drafts (speculation.py) ride on decodes, in what decodes leave of the budget, an eighth of it at most. A prompt
    whose own tokens are to be scored is run few tokens at a time: a place's logits are as wide as the vocabulary.
10. Blocks may lie outside the pool as well (cold.py). They count as cached; a sequence that takes such over is admitted
    with a place for each, and does not run until they are read back. Where one is lost, it is sent back to wait.
11. No more than `slots` adapters run at once. Others pass by a sequence of one more, but for `patience` plans at most.
"""

from bisect import insort
from collections.abc import Iterator
from collections.abc import Sequence as Items
from itertools import islice
from operator import attrgetter

from haiga.batching.blocks import BlockPool
from haiga.batching.cold import Fetch, Index, Stored
from haiga.batching.known import find
from haiga.batching.local import LocalBlocks
from haiga.batching.reuse import Found, hold_and_take, to_fetch
from haiga.batching.sequence import Request, Sequence, bill, check
from haiga.batching.slots import has_slot, in_its_slot
from haiga.batching.step import Advance, Plan, answers, share
from haiga.core.errors import Invalid
from haiga.core.ports import Horizon, Row

_SHARE = {True: 4, False: 8}  # by urgency, the part of the budget that prefill gets which delays others, or may
_SCORED = 64  # places of prompts whose logits one step gives
_by_arrival = attrgetter("arrival")


class Scheduler:
    """Sequences over one pool of blocks.

    budget: tokens per step. rows: sequences running at once, at most `budget`. context: tokens of prompt and output
    together; what the pool can hold limits it too. patience: plans that the oldest batch sequence may be left out of.
    horizon, local: how far local layers see, and the pool of their blocks, where there are such. cold: where blocks
    may be besides. slots: adapters that run at once.
    """

    def __init__(
        self,
        pool: BlockPool,
        budget: int,
        rows: int,
        context: int,
        patience: int = 64,
        horizon: Horizon | None = None,
        local: BlockPool | None = None,
        cold: Index | None = None,
        slots: int = 8,
    ) -> None:
        if not 1 <= rows <= budget:
            raise Invalid(f"rows must be between 1 and the token budget of {budget}, not {rows}", field="rows")
        self.pool = pool
        self.budget = budget
        self.rows = rows
        self.context = min(context, pool.count * pool.block_size)
        self.local = LocalBlocks(local or BlockPool(0, pool.block_size), horizon, budget, self.context, cold)
        self._cold = cold
        self._fetches: list[Fetch] = []
        self.patience = patience
        self.slots = slots
        self.preemptions = 0
        self._arrivals = 0
        self._promoted: Sequence | None = None
        self._sequences: dict[str, Sequence] = {}
        self._running: dict[bool, list[Sequence]] = {True: [], False: []}  # by urgency, each in order of arrival
        self._waiting: dict[bool, list[Sequence]] = {True: [], False: []}

    @property
    def running(self) -> int:
        return len(self._running[True]) + len(self._running[False])

    @property
    def waiting(self) -> int:
        return len(self._waiting[True]) + len(self._waiting[False])

    def add(self, request: Request) -> None:
        """Queue a request. Raises Invalid when it is empty, could never fit, or its id is taken."""
        if request.id in self._sequences:
            raise Invalid(f"a request with the id {request.id} is already under way", field="id")
        check(request, self.context)
        self._arrivals += 1
        urgent = request.priority == "interactive"
        sequence = Sequence(request, self._arrivals, self.context, self.pool.block_size, urgent)
        self._sequences[request.id] = sequence
        self._waiting[urgent].append(sequence)

    def abort(self, identifier: str) -> bool:
        """Drop a sequence and give its blocks back at once; False when there is none of that id."""
        sequence = self._sequences.pop(identifier, None)
        if sequence is None:
            return False
        self._leave(sequence)
        return True

    def check_integrity(self) -> None:
        """Raises AssertionError when a block leaked or anything in the pools disagrees."""
        self.pool.check_integrity([sequence.blocks for sequence in self._sequences.values()])
        self.local.pool.check_integrity([sequence.local for sequence in self._sequences.values()])

    def clear(self) -> None:
        """Forget the content of every block that no sequence holds, pinned or not."""
        self.pool.clear()
        self.local.pool.clear()

    def forget(self, owner: bytes) -> None:
        """Forget the content of this owner's blocks that no sequence holds; `owner` is its mark (blocks.py)."""
        self.pool.forget(owner)
        self.local.pool.forget(owner)

    def known(self) -> list[Stored]:
        """Every known block of the pool, the one most worth keeping first."""
        return [Stored(wanted, block, False) for wanted, block in self.pool.worth_keeping()]

    # -- planning: who runs ------------------------------------------------------------------------------------------

    def plan(self, now: float) -> Plan:
        """The next step; it has rows whenever anything is queued, unless all that could run wait for blocks to be read
        back. `commit` must follow before the next plan."""
        self._fetches = []
        self._grow(True, now)
        everyone_fits = self._admit(True, now)
        self._grow(False, now)
        if everyone_fits:
            self._admit(False, now)
        chunks = list(self._chunks())
        self._age({sequence.arrival for sequence, *_ in chunks})
        fetches = tuple(fetch for fetch in self._fetches if not fetch.dropped)
        return Plan(
            tuple(each.row(count, draft) for each, count, draft in chunks), tuple(each for each, *_ in chunks), fetches
        )

    def _grow(self, urgent: bool, now: float) -> None:
        """Give running sequences the blocks that their known tokens need, oldest first."""
        for sequence in list(self._running[urgent]):
            if not sequence.blocks:  # sent back just now, for an older one
                continue
            missing = self.pool.blocks_for(len(sequence.tokens)) - len(sequence.blocks)
            if self._make_room(missing, self.local.missing(sequence), sequence):
                sequence.blocks += self.pool.take(missing, now)
                self.local.grow(sequence, now)
            else:
                self._send_back(sequence)

    def _make_room(self, count: int, local: int, sequence: Sequence) -> bool:
        """Free blocks by sending back lower priorities, and of its own those that came after `sequence`."""
        while self.pool.free_count < count or self.local.pool.free_count < local:
            victim = self._victim(sequence)
            if victim is None:
                return False
            self._send_back(victim)
        return True

    def _victim(self, sequence: Sequence) -> Sequence | None:
        """The latest of the lowest priority that runs, unless that is `sequence` itself."""
        last = (self._running[False] or self._running[True])[-1]
        return last if last is not sequence else None

    def _send_back(self, sequence: Sequence) -> None:
        """Preemption with recompute."""
        self._wait(sequence)
        self.preemptions += 1

    def _wait(self, sequence: Sequence) -> None:
        self._leave(sequence)
        insort(self._waiting[sequence.urgent], sequence, key=_by_arrival)

    def _leave(self, sequence: Sequence) -> None:
        """Out of its queue, without blocks."""
        queue = self._running if sequence.blocks else self._waiting
        queue[sequence.urgent].remove(sequence)
        self.pool.release(sequence.blocks)
        self.local.leave(sequence)
        for fetch in sequence.fetches:
            fetch.dropped = True
        sequence.blocks, sequence.computed, sequence.fetches = [], 0, {}

    def _admit(self, urgent: bool, now: float) -> bool:
        """Waiting sequences start, in order of arrival, until one does not fit; whether all did that could start. No
        more than can run at once are looked at."""
        under_way = self._under_way(urgent)
        for sequence in self._waiting[urgent][: self.rows]:
            found = find(sequence, self.pool, self.local, self._cold)
            if found.first < sequence.reusable and sequence.address(found.first) in under_way:
                continue
            if not self._has_slot(sequence):
                if sequence.held_back > self.patience:
                    return False
                continue
            if not self._make_way(sequence, found):
                return False
            self._waiting[urgent].remove(sequence)
            insort(self._running[urgent], sequence, key=_by_arrival)
            self._start(sequence, found, now)
            under_way.update(self._computing(sequence))
        return True

    def _has_slot(self, sequence: Sequence) -> bool:
        """Whether its adapter may run: rule 11."""
        while not (fits := has_slot(sequence, self._running, self.slots)):
            if (victim := in_its_slot(sequence, self._running)) is None:
                sequence.held_back += 1
                break
            self._send_back(victim)
        return fits

    def _under_way(self, urgent: bool) -> set[bytes]:
        """The addresses that running sequences of this priority or a higher one are computing, or reading back."""
        leaders = self._running[True] if urgent else self._running[True] + self._running[False]
        return {wanted for sequence in leaders for wanted in self._computing(sequence)}

    def _computing(self, sequence: Sequence) -> Iterator[bytes]:
        index = sequence.computed // self.pool.block_size
        if (index + 1) * self.pool.block_size <= len(sequence.tokens):
            yield sequence.address(index)
        for fetch in islice(sequence.fetches, 1):
            yield fetch.address

    def _make_way(self, sequence: Sequence, found: Found) -> bool:
        """A row and blocks for a sequence that waits; only lower priorities are sent back for it."""
        while self.running >= self.rows or not self._fits(sequence, found):
            if not sequence.urgent or not self._running[False]:
                return False
            self._send_back(self._running[False][-1])
        return True

    def _fits(self, sequence: Sequence, found: Found) -> bool:
        """Whether both pools have what a sequence that waits needs beside what they hold of it already."""
        reused, near = ([block for block in each if block is not None] for each in (found.blocks, found.near))
        wanted = self.pool.blocks_for(len(sequence.tokens)) - len(reused)
        local = self.local.wanted(sequence, len(found.blocks)) + found.near.count(None)
        return self.pool.room_beside(reused) >= wanted and self.local.pool.room_beside(near) >= local

    def _start(self, sequence: Sequence, found: Found, now: float) -> None:
        sequence.known, sequence.computed = found.known, len(found.blocks) * self.pool.block_size
        sequence.blocks = hold_and_take(self.pool, found.blocks, self.pool.blocks_for(len(sequence.tokens)), now)
        fetches = to_fetch(sequence, found.blocks, 0, local=False)
        fetches += self.local.start(sequence, found.near, len(found.blocks), now)
        sequence.fetches = dict.fromkeys(fetches)
        self._fetches += fetches
        if not fetches:
            self._taken_over(sequence, now)

    def _taken_over(self, sequence: Sequence, now: float) -> None:
        """What was known of its beginning is in its blocks: it can run, and its prompt's origin is certain."""
        size = self.pool.block_size
        if sequence.usage is None:
            sequence.usage = bill(sequence.request, sequence.computed, sequence.known * size, size)
        self._pin(sequence, 0, sequence.computed // size, now)

    def arrived(self, fetch: Fetch, filled: bool, now: float) -> None:
        """A block that is not dropped was read back into its place; or it is lost."""
        sequence = self._sequences[fetch.request]
        if not filled:
            self._wait(sequence)
            return
        if fetch.local:
            self.local.fill(sequence, fetch, now)
        else:
            sequence.blocks[fetch.index] = self.pool.store(fetch.block, fetch.address, now)
        del sequence.fetches[fetch]
        if not sequence.fetches:
            self._taken_over(sequence, now)

    # -- planning: how many tokens -----------------------------------------------------------------------------------

    def _chunks(self) -> Iterator[tuple[Sequence, int, tuple[int, ...]]]:
        """Who runs, how many of its known tokens, and the draft behind them."""
        left, scores = self.budget, _SCORED
        ready = {urgent: [each for each in self._running[urgent] if not each.fetches] for urgent in (True, False)}
        prompting = any(sequence.gap > 1 for sequence in ready[True])
        for urgent in (True,) if prompting else (True, False):
            decodes = [sequence for sequence in ready[urgent] if sequence.gap == 1][:left]
            left -= len(decodes)
            spare = min(left, self.budget // 8)
            for sequence in decodes:
                draft = sequence.draft(spare)
                spare, left = spare - len(draft), left - len(draft)
                yield sequence, 1, draft
            prefills = [sequence for sequence in ready[urgent] if sequence.gap > 1]
            allowance = min(left, self._allowance(urgent, beside=answers(decodes)))
            gaps = []
            for sequence in prefills:
                gaps.append(min(sequence.gap, scores) if sequence.unscored else sequence.gap)
                scores -= gaps[-1] if sequence.unscored else 0
            shares = [sequence.whole(count) for sequence, count in zip(prefills, share(gaps, allowance), strict=True)]
            yield from ((sequence, count, ()) for sequence, count in zip(prefills, shares, strict=True) if count)
            left = max(0, left - sum(shares))

    def _allowance(self, urgent: bool, beside: bool) -> int:
        """How many tokens of prefill a step may have: rule 7. beside: interactive answers are in the step."""
        return self.budget if urgent and not beside else max(1, self.budget // _SHARE[urgent])

    def _age(self, served: set[int]) -> None:
        """Rule 2: count the plans that left the oldest batch sequence out; promote it when they are too many."""
        if self._promoted is not None and self._sequences.get(self._promoted.request.id) is self._promoted:
            return
        batch = self._running[False][:1] + self._waiting[False][:1]
        oldest = min(batch, key=_by_arrival, default=None)
        if oldest is None or oldest.arrival in served or oldest.fetches:
            return
        oldest.passed_over += 1
        if oldest.passed_over >= self.patience:
            self._promote(oldest)

    def _promote(self, sequence: Sequence) -> None:
        queue = self._running if sequence.blocks else self._waiting
        queue[False].remove(sequence)
        insort(queue[True], sequence, key=_by_arrival)
        sequence.urgent = True
        self._promoted = sequence

    # -- after the step ----------------------------------------------------------------------------------------------

    def commit(self, plan: Plan, chosen: Items[Items[int]], now: float) -> list[Advance]:
        """The plan was run: `chosen` holds, for each of `plan.sampled`, the tokens that follow. Computed blocks can
        now be shared, sequences that end give theirs back. What was aborted since the plan is left out."""
        following = iter(chosen)
        advances = []
        for row, sequence in zip(plan.rows, plan.sequences, strict=True):
            tokens = next(following) if row.sampled else ()
            if self._sequences.get(sequence.request.id) is sequence:
                advances.append(self._advance(sequence, row, tokens, now))
        return advances

    def _advance(self, sequence: Sequence, row: Row, tokens: Items[int], now: float) -> Advance:
        first = sequence.computed // self.pool.block_size
        accepted = sequence.advance(row.past, row.tokens, tokens)
        last = sequence.computed // self.pool.block_size
        for index in range(first, last):
            sequence.blocks[index] = self.pool.store(sequence.blocks[index], sequence.address(index), now)
        self.local.advance(sequence, first, last, now)
        self._pin(sequence, first, last, now)
        sequence.prefilled = max(sequence.prefilled, min(sequence.computed, len(sequence.request.prompt)))
        stored = tuple(self._stored(sequence, first, last)) if self._cold else ()
        used = tuple(self._used(sequence, last)) if self._cold and sequence.stop else ()
        if sequence.stop:
            del self._sequences[sequence.request.id]
            self._leave(sequence)
        return Advance(sequence.request.id, accepted, sequence.stop, sequence.used, sequence.prefilled, stored, used)

    def _stored(self, sequence: Sequence, first: int, last: int) -> Iterator[Stored]:
        """Blocks first to last - 1, which were just computed; of local layers what is in sight where another request is
        likely to go on: at the end of the prompt, of the answer, and at breakpoints."""
        for index in range(first, last):
            yield Stored(sequence.address(index), sequence.blocks[index], False)
        offsets = (len(sequence.request.prompt), *(point.offset for point in sequence.request.breakpoints))
        ends = {offset // self.pool.block_size for offset in offsets}
        for end in {end for end in ends if first < end <= last} | ({last} if sequence.stop else set()):
            yield from self.local.settled(sequence, end)

    def _used(self, sequence: Sequence, last: int) -> Iterator[tuple[bytes, bool]]:
        for block in self.local.settled(sequence, last):
            yield block.address, True
        for wanted in sequence.addresses(last):
            yield wanted, False

    def _pin(self, sequence: Sequence, first: int, last: int, now: float) -> None:
        """Breakpoints whose last full block has just become known, of blocks first to last - 1."""
        for point in sequence.request.breakpoints:
            end = point.offset // self.pool.block_size
            if first < end <= last:
                self.pool.pin(sequence.addresses(end), point.ttl, now)
                self.local.pin(sequence, end, point.ttl, now)
