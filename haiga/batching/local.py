"""KV blocks of local layers, which see no further back than a horizon.

Rule: a sequence holds the blocks that it still sees and those that its next step writes, and gives each back as soon as
it has passed out of sight. What was given back stays known until its block is needed, as in the other pool: a prefix
can be taken over where the blocks in sight at its end are known. Addresses are the same in both pools.
"""

from itertools import accumulate

from haiga.batching.blocks import BlockPool
from haiga.batching.cold import Fetch, Index, Stored
from haiga.batching.reuse import hold_and_take, to_fetch
from haiga.batching.sequence import Sequence
from haiga.core.errors import Invalid
from haiga.core.ports import Horizon


class LocalBlocks:
    """The pool of a model's local layers; without a `horizon` there are none, and nothing is held.

    budget: tokens that a step runs at most; context: that a sequence has; cold: where blocks may be besides. Raises
    Invalid where the pool cannot hold what one sequence needs.
    """

    def __init__(
        self, pool: BlockPool, horizon: Horizon | None, budget: int, context: int, cold: Index | None = None
    ) -> None:
        self.pool, self._horizon, self._budget, self._cold = pool, horizon, budget, cold
        if horizon is None:
            return
        least = min(least_blocks(horizon, budget, pool.block_size), pool.blocks_for(context))
        if pool.count < least:
            raise Invalid(f"the pool of local layers has {pool.count} blocks, {least} are needed", field="kv-memory")

    def missing(self, sequence: Sequence) -> int:
        """Blocks that the sequence must have before its next step."""
        return self._wanted(sequence, sequence.computed) - sequence.skipped - len(sequence.local)

    def wanted(self, sequence: Sequence, reused: int) -> int:
        """Blocks that a sequence must take to start behind `reused` blocks."""
        return self._wanted(sequence, reused * self.pool.block_size) - reused

    def _wanted(self, sequence: Sequence, computed: int) -> int:
        if self._horizon is None:
            return sequence.skipped + len(sequence.local)
        return self.pool.blocks_for(min(len(sequence.tokens), computed + self._budget))

    def match(self, sequence: Sequence, count: int) -> int:
        """The most blocks, up to `count`, behind which the sequence could go on: those in sight there are known."""
        if self._horizon is None:
            return count
        known = [self._there(wanted) for wanted in sequence.addresses(count)]
        unknown = [0, *accumulate(not each for each in known)]
        return next(end for end in range(count, -1, -1) if unknown[end] == unknown[self._first(end)])

    def _there(self, wanted: bytes) -> bool:
        return self.pool.get(wanted) is not None or (self._cold is not None and self._cold.has(wanted, True))

    def in_sight(self, sequence: Sequence, count: int) -> list[int | None]:
        """The blocks in sight behind `count` ones, None for those to be fetched; they are not held yet."""
        if self._horizon is None:
            return []
        return [self.pool.get(sequence.address(index)) for index in range(self._first(count), count)]

    def start(self, sequence: Sequence, found: list[int | None], reused: int, now: float) -> list[Fetch]:
        """Hold what is in sight behind `reused` blocks, and take what the next step writes; what is to be fetched."""
        if self._horizon is None:
            return []
        sequence.skipped = reused - len(found)
        sequence.local = hold_and_take(self.pool, found, len(found) + self.wanted(sequence, reused), now)
        return to_fetch(sequence, found, sequence.skipped, local=True)

    def fill(self, sequence: Sequence, fetch: Fetch, now: float) -> None:
        """A block was fetched."""
        sequence.local[fetch.index - sequence.skipped] = self.pool.store(fetch.block, fetch.address, now)

    def settled(self, sequence: Sequence, end: int) -> list[Stored]:
        """What is in sight behind `end` blocks, and still known."""
        if self._horizon is None:
            return []
        wanted = [sequence.address(index) for index in range(self._first(end), end)]
        return [Stored(each, block, True) for each in wanted if (block := self.pool.get(each)) is not None]

    def grow(self, sequence: Sequence, now: float) -> None:
        """Take what is missing; the caller has looked at `pool.free_count` before."""
        sequence.local += self.pool.take(self.missing(sequence), now)

    def advance(self, sequence: Sequence, first: int, last: int, now: float) -> None:
        """Blocks first to last - 1 are computed: they become known, and what is out of sight is given back."""
        if self._horizon is None:
            return
        for index in range(first, last):
            at = index - sequence.skipped
            sequence.local[at] = self.pool.store(sequence.local[at], sequence.address(index), now)
        passed = self._horizon.first(sequence.computed) // self.pool.block_size - sequence.skipped
        self.pool.release(sequence.local[:passed])
        sequence.local, sequence.skipped = sequence.local[passed:], sequence.skipped + passed

    def pin(self, sequence: Sequence, end: int, ttl: float, now: float) -> None:
        """Keep what is in sight behind `end` blocks."""
        if self._horizon is not None:
            self.pool.pin([sequence.address(index) for index in range(self._first(end), end)], ttl, now)

    def leave(self, sequence: Sequence) -> None:
        """Give all back."""
        self.pool.release(sequence.local)
        sequence.local, sequence.skipped = [], 0

    def _first(self, count: int) -> int:
        """The first block that is in sight behind `count` blocks."""
        assert self._horizon is not None
        size = self.pool.block_size
        return self._horizon.first(count * size) // size


def least_blocks(horizon: Horizon, budget: int, block_size: int) -> int:
    """Blocks that one sequence may need at once: what it sees and what a step writes, each cut by a block's border."""
    return -(-horizon.reach // block_size) + -(-budget // block_size) + 2
