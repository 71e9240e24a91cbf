"""KV blocks outside the pool: how they leave it, and how they come back.

Rule: a block is written once it is full and computed, so its place in the pool can be given to others at any time; and
it is read back before its sequence runs. Who keeps them may lose any of them at any time: then they are computed anew,
and nothing else happens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(slots=True, eq=False)
class Fetch:
    """A block to be read back: what has `address` into `block` of the pool (of the local layers' one, if `local`), for
    place `index` of a request's text. `dropped`: nobody waits for it any more, and the block may be another's."""

    request: str
    index: int
    address: bytes
    block: int
    local: bool
    dropped: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """A block of a pool that is full and computed, and worth keeping."""

    address: bytes
    block: int
    local: bool


class Index(Protocol):
    """What the scheduler asks."""

    def has(self, address: bytes, local: bool) -> bool:
        """Whether a block could be read back. When it is fetched it may be gone all the same."""


class Cold(Index, Protocol):
    """What the loop asks; nothing here takes longer than looking something up, but for `close`."""

    def wants(self, address: bytes, local: bool) -> bool:
        """Whether this block is to be `put`: it is not kept yet. One passed over for want of room is counted."""

    @property
    def full(self) -> bool:
        """Whether there is no room on the way for another block."""

    def put(self, address: bytes, local: bool, content: "NDArray[np.uint8]") -> None:
        """Keep a block's bytes; they are the keeper's from now on."""

    def fetch(self, fetches: Sequence[Fetch]) -> None:
        """Read these back, in this order."""

    def arrived(self) -> "list[tuple[Fetch, NDArray[np.uint8] | None]]":
        """What was read back since the last call, as much of it as one may copy between two steps; None: lost."""

    def clear(self) -> None:
        """Forget everything."""

    def close(self, patience: float) -> None:
        """Take nothing more, and write what is on its way for up to `patience` seconds."""

    def used(self, blocks: "Sequence[tuple[bytes, bool]]") -> None:
        """A request has ended that used these blocks (addresses, and whether they are local layers'), the first of them
        likeliest to be used again."""

    @property
    def capacity(self) -> int:
        """How many blocks of the pool it has room for, were there nothing else."""

    @property
    def stats(self) -> Mapping[str, int]:
        """Sizes and counters, by their names in core/load.py."""
