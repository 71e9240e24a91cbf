"""What a sequence that waits can take over of what is known of its beginning, and how it does.

Rule: a block that is in the pool is held, for one that lies outside a blank one is taken.
"""

from dataclasses import dataclass

from haiga.batching.blocks import BlockPool
from haiga.batching.cold import Fetch
from haiga.batching.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Found:
    """What a sequence that waits can take over: `blocks` of its beginning, None for those to be fetched, likewise
    `near` of the local layers; `known` are there, which may be one more than can be taken over."""

    blocks: list[int | None]
    near: list[int | None]
    known: int

    @property
    def first(self) -> int:
        """The first block that is not in the pool."""
        return self.blocks.index(None) if None in self.blocks else len(self.blocks)


def hold_and_take(pool: BlockPool, found: list[int | None], count: int, now: float) -> list[int]:
    """A table of `count` blocks: those found are held, the others taken."""
    held = [block for block in found if block is not None]
    pool.hold(held, now)
    fresh = iter(pool.take(count - len(held), now))
    return [next(fresh) if block is None else block for block in found] + list(fresh)


def to_fetch(sequence: Sequence, found: list[int | None], first: int, *, local: bool) -> list[Fetch]:
    """What is to be read back of the blocks `found`, of which the first is block `first` of the sequence."""
    table = sequence.local if local else sequence.blocks
    return [
        Fetch(sequence.request.id, index, sequence.address(index), table[index - first], local)
        for index, block in enumerate(found, first)
        if block is None
    ]
