"""What is known of a sequence's beginning: in the pool, in that of the local layers, outside of both.

Rule: pure; nothing is held or taken for having been found.
"""

from itertools import takewhile

from haiga.batching.blocks import BlockPool
from haiga.batching.cold import Index
from haiga.batching.local import LocalBlocks
from haiga.batching.reuse import Found
from haiga.batching.sequence import Sequence


def find(sequence: Sequence, pool: BlockPool, local: LocalBlocks, cold: Index | None) -> Found:
    """What a sequence that waits can take over of what the pools hold, or of what is `cold`."""

    def there(wanted: bytes) -> bool:
        return pool.get(wanted) is not None or (cold is not None and cold.has(wanted, False))

    known = sum(1 for _ in takewhile(there, sequence.addresses(len(sequence.tokens) // pool.block_size)))
    reused = local.match(sequence, min(known, sequence.reusable))
    blocks = [pool.get(wanted) for wanted in sequence.addresses(reused)]
    return Found(blocks, local.in_sight(sequence, reused), known if reused == sequence.reusable else reused)
