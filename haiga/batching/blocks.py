"""KV blocks: who holds them, what is in them, which of them may go.

The rule of this file: a block's address is a hash of everything that its keys and values depend on (all tokens before
it, its own tokens, the pictures in it, a salt), so equal addresses mean equal content, and a block that has an address
is never written again while it has it. A block is at any time exactly one of

    blank   free, content unknown
    held    used by one or more sequences; it has an address once it is full and computed
    idle    free, content known: a later sequence may hold it again until it is evicted

Evicted first are blanks, then idle blocks without a pin, least recently used first, then pinned ones, soonest expiry
first. A sequence releases its tail before its head, so that what others are likeliest to share goes last. Time is an
argument everywhere, in seconds of any one clock. An address ends with the mark of its owner, so that all of one owner's
blocks can be told from others', wherever they are kept.
"""

from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from heapq import heapify, heappop, heappush

_DIGEST, _MARK = 24, 8  # bytes of an address

_Entry = tuple[float, int, int]  # (pinned until, or 0; age at release; block)


def mark(owner: bytes) -> bytes:
    """What all addresses of an owner end with (8 bytes)."""
    return blake2b(owner, digest_size=_MARK, person=b"kv owner").digest()


def root(salt: bytes, owner: bytes = b"") -> bytes:
    """The parent of a first block. What must not share blocks (workspaces, adapters) must differ in `salt`."""
    return blake2b(salt, digest_size=_DIGEST, person=b"kv root").digest() + mark(owner)


def address(parent: bytes, tokens: Sequence[int], extra: bytes = b"") -> bytes:
    """The address (32 bytes) of a full block of `tokens` after `parent`; `extra` is what tokens cannot tell,
    such as the hash of a picture that begins in this block."""
    packed = array("q", tokens).tobytes()
    whole = parent + len(packed).to_bytes(4, "little") + packed + extra
    return blake2b(whole, digest_size=_DIGEST).digest() + parent[_DIGEST:]


@dataclass(slots=True)
class _Pin:
    until: float
    ttl: float


class BlockPool:
    """`count` blocks of `block_size` tokens each, all blank at first."""

    def __init__(self, count: int, block_size: int) -> None:
        self.count = count
        self.block_size = block_size
        self._blank = list(range(count - 1, -1, -1))
        self._holders = [0] * count
        self._address: list[bytes | None] = [None] * count
        self._known: dict[bytes, int] = {}
        self._idle: dict[int, _Entry] = {}
        self._loose: list[_Entry] = []  # heaps over the idle blocks; an entry that is no longer in _idle is stale
        self._pinned: list[_Entry] = []
        self._pins: dict[bytes, _Pin] = {}
        self._age = 0

    @property
    def free_count(self) -> int:
        """Blocks that `take` could hand out now: blank and idle, pinned ones included."""
        return len(self._blank) + len(self._idle)

    @property
    def cached_count(self) -> int:
        """Blocks whose content is known, in use or not."""
        return len(self._known)

    def blocks_for(self, tokens: int) -> int:
        """How many blocks hold `tokens` tokens."""
        return -(-tokens // self.block_size)

    def match(self, addresses: Iterable[bytes]) -> list[int]:
        """The blocks of the longest known prefix of `addresses`. They are not held yet."""
        return list(self._walk(addresses))

    def get(self, wanted: bytes) -> int | None:
        """The block with this address. It is not held yet."""
        return self._known.get(wanted)

    def worth_keeping(self) -> list[tuple[bytes, int]]:
        """Every known block with its address: those in use, then pinned ones, then by last use."""
        idle = sorted(self._idle.values(), reverse=True)
        known = [block for block in self._known.values() if block not in self._idle]
        return [(self._named(block), block) for block in (*known, *(block for _, _, block in idle))]

    def _walk(self, addresses: Iterable[bytes]) -> Iterator[int]:
        for wanted in addresses:
            block = self._known.get(wanted)
            if block is None:
                return
            yield block

    def room_beside(self, matched: Iterable[int]) -> int:
        """How many blocks would still be free once `matched` are held."""
        return self.free_count - sum(1 for block in matched if block in self._idle)

    def hold(self, blocks: Iterable[int], now: float) -> None:
        """One more holder for each of these known blocks. A pin that still lives starts its lifetime again."""
        for block in blocks:
            if not self._holders[block]:
                del self._idle[block]
            self._holders[block] += 1
            self._refresh(block, now)

    def _refresh(self, block: int, now: float) -> None:
        wanted = self._address[block]
        pin = self._pins.get(wanted) if wanted else None
        if wanted and pin and pin.until <= now:
            del self._pins[wanted]
        elif pin:
            pin.until = now + pin.ttl

    def take(self, count: int, now: float) -> list[int]:
        """`count` blocks with nothing in them, held once each. The caller has looked at `free_count` before."""
        assert count <= self.free_count, f"{count} blocks wanted, {self.free_count} free"
        self._expire(now)
        taken = [self._blank.pop() if self._blank else self._evict() for _ in range(count)]
        for block in taken:
            self._holders[block] = 1
        return taken

    def _expire(self, now: float) -> None:
        """Pins whose time is over: their blocks take the place in the LRU order that they have by last use."""
        while self._pinned and self._pinned[0][0] <= now:
            entry = heappop(self._pinned)
            _, age, block = entry
            if self._idle.get(block) == entry:
                del self._pins[self._named(block)]
                self._rest(block, age)

    def _evict(self) -> int:
        for heap in (self._loose, self._pinned):
            while heap:
                entry = heappop(heap)
                if self._idle.get(entry[2]) == entry:
                    return self._forget(entry[2])
        raise AssertionError("no free block has an entry")

    def _forget(self, block: int) -> int:
        """An idle block loses its content."""
        wanted = self._named(block)
        del self._idle[block], self._known[wanted]
        self._pins.pop(wanted, None)
        self._address[block] = None
        return block

    def store(self, block: int, wanted: bytes, now: float) -> int:
        """A held block is full and computed: from now on it is known as `wanted`. Returns the block to use in its
        place, which is another when two sequences computed the same content at once; its own is then blank."""
        known = self._known.setdefault(wanted, block)
        if known != block:
            self.hold([known], now)
            self.release([block])
        else:
            self._address[block] = wanted
        return known

    def release(self, blocks: Sequence[int]) -> None:
        """One holder less for each; blocks are given in sequence order and freed from the tail."""
        for block in reversed(blocks):
            self._holders[block] -= 1
            if self._holders[block]:
                continue
            if self._address[block] is None:
                self._blank.append(block)
            else:
                self._age += 1
                self._rest(block, self._age)

    def _rest(self, block: int, age: int) -> None:
        """An address without holders becomes idle. Stale heap entries are dropped once they are the majority."""
        pin = self._pins.get(self._named(block))
        heap = self._pinned if pin else self._loose
        self._idle[block] = entry = (pin.until if pin else 0.0, age, block)
        heappush(heap, entry)
        if len(heap) > 2 * self.count:
            heap[:] = [fresh for fresh in heap if self._idle.get(fresh[2]) == fresh]
            heapify(heap)

    def pin(self, addresses: Iterable[bytes], ttl: float, now: float) -> None:
        """Keep these known prefix blocks for `ttl` seconds after now and after each later use. The longer of two
        lifetimes holds. A pin never keeps a block from a running sequence: it only goes last."""
        for wanted in addresses:
            block = self._known.get(wanted)
            if block is None:
                return
            pin = self._pins.setdefault(wanted, _Pin(0.0, 0.0))
            pin.until, pin.ttl = max(pin.until, now + ttl), max(pin.ttl, ttl)
            if block in self._idle:
                self._rest(block, self._idle[block][1])

    def clear(self) -> None:
        """Forget the content of every block that nobody holds, pinned or not."""
        self._blank.extend(map(self._forget, list(self._idle)))
        self._loose.clear()
        self._pinned.clear()

    def forget(self, owner: bytes) -> None:
        """Forget the content of this owner's blocks that nobody holds; `owner` is its mark."""
        gone = [block for block in self._idle if self._named(block).endswith(owner)]
        self._blank.extend(map(self._forget, gone))

    def _named(self, block: int) -> bytes:
        wanted = self._address[block]
        assert wanted is not None, f"block {block} has no address"
        return wanted

    def check_integrity(self, held: Collection[Sequence[int]] | None = None) -> None:
        """Raises AssertionError unless every invariant of this file holds, and, when the block tables of all
        sequences are given, unless the holders are exactly these."""
        in_use = {block for block, holders in enumerate(self._holders) if holders}
        states = [*self._blank, *self._idle, *in_use]
        assert sorted(states) == list(range(self.count)), "a block is in no state or in two"
        assert {a: b for b, a in enumerate(self._address) if a} == self._known, "addresses and blocks disagree"
        assert not any(self._address[block] for block in self._blank), "a blank block has an address"
        assert all(self._address[block] for block in self._idle), "an idle block has no address"
        assert self._pins.keys() <= self._known.keys(), "a pin on nothing"
        assert set(self._idle.values()) <= {*self._loose, *self._pinned}, "an idle block that eviction cannot find"
        if held is not None:
            counted = [0] * self.count
            for block in (block for table in held for block in table):
                counted[block] += 1
            assert counted == self._holders, "holders are not the sequences that run"
