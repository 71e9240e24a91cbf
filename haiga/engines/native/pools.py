"""How many KV blocks a model gets.

Rule: pure. What was asked for, else two full contexts as far as a limit goes. Where some layers are local, whose blocks
are given back as a text grows, their pool holds several sequences of any length, and the rest goes to the other one.
"""

from dataclasses import dataclass

from haiga.batching.local import least_blocks
from haiga.core.errors import Invalid
from haiga.models.description import Description
from haiga.models.load import BLOCK, CacheType

POOL_LIMIT = 2 << 30  # bytes of KV pool that are taken without being asked for
_ROOM = 64 << 20  # bytes that may at least wait to be written to files
_SEQUENCES = 16  # of any length, for whom the local pool has room


@dataclass(frozen=True, slots=True)
class Pools:
    """Blocks of the pool, and of that of the local layers (0: there are none)."""

    blocks: int
    local: int


def plan_pools(description: Description, cache: CacheType, context: int, kv_memory: int | None, budget: int) -> Pools:
    """budget: tokens of a step. Raises Invalid when `kv_memory` holds no two blocks beside what one sequence needs of
    local layers."""
    whole, near = description.kv_bytes(cache) * BLOCK, description.local_kv_bytes(cache) * BLOCK
    least = min(_least_local(description, budget), -(-context // BLOCK))
    floor = 2 * whole + least * near
    memory = max(POOL_LIMIT, floor) if kv_memory is None else kv_memory
    if memory < floor:
        beside = f" beside {least} of {near} bytes for local layers" if least else ""
        raise Invalid(f"{kv_memory} bytes hold no two blocks of {whole} bytes{beside}", field="kv-memory")
    alike = memory // (whole + near)  # blocks, were there as many of either kind
    enough = max(2, 2 * -(-context // BLOCK))
    local = min(max(alike, least), _SEQUENCES * _least_local(description, budget))
    # where all layers are local, the others' blocks are numbers alone
    blocks = (memory - local * near) // whole if whole else _SEQUENCES * enough
    if kv_memory is None:
        blocks, local = min(blocks, enough) if whole else blocks, min(local, enough)
    return Pools(blocks, local)


def _least_local(description: Description, budget: int) -> int:
    """Blocks of local layers that one sequence may need at once."""
    return least_blocks(description.horizon, budget, BLOCK) if description.horizon else 0


def waiting_room(description: Description, cache: CacheType, budget: int) -> int:
    """Bytes of memory for blocks on their way to files: two steps' worth at least."""
    return max(_ROOM, 2 * budget * (description.kv_bytes(cache) + description.local_kv_bytes(cache)))


def pool_bytes(description: Description, cache: CacheType, blocks: int, local: int) -> int:
    """What pools of so many blocks take."""
    return BLOCK * (blocks * description.kv_bytes(cache) + local * description.local_kv_bytes(cache))
