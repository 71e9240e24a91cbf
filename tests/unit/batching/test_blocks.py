"""The pool of KV blocks, alone and against a slow model that sorts instead of keeping heaps."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from haiga.batching.blocks import BlockPool, address, root


def chain(count: int, salt: bytes = b"", size: int = 4) -> list[bytes]:
    """Addresses of `count` blocks of one text."""
    addresses = [root(salt)]
    for index in range(count):
        addresses.append(address(addresses[-1], range(index * size, (index + 1) * size)))
    return addresses[1:]


def fill(pool: BlockPool, addresses: list[bytes], now: float = 0.0) -> list[int]:
    """A sequence that has computed these blocks and still holds them."""
    blocks = pool.take(len(addresses), now)
    return [pool.store(block, wanted, now) for block, wanted in zip(blocks, addresses, strict=True)]


def test_addresses_differ_with_salt_parent_tokens_and_extra() -> None:
    base = address(root(b"a"), [1, 2])
    others = [
        address(root(b"b"), [1, 2]),
        address(base, [1, 2]),
        address(root(b"a"), [2, 1]),
        address(root(b"a"), [1]),
        address(root(b"a"), [1, 2], b"picture"),
        address(root(b"a"), [1], (2).to_bytes(8, "little")),
    ]
    assert 7 == len({base, *others})


def test_match_stops_at_the_first_unknown_block() -> None:
    pool = BlockPool(8, 4)
    one, two, three = chain(3)
    blocks = fill(pool, [one, two])
    assert blocks == pool.match([one, two, three])
    assert [] == pool.match([three, one])


def test_released_blocks_can_be_held_again_until_they_are_evicted() -> None:
    pool = BlockPool(2, 4)
    addresses = chain(2)
    pool.release(fill(pool, addresses))
    assert 2 == pool.free_count
    pool.hold(pool.match(addresses), 0)
    assert 0 == pool.free_count
    pool.release(pool.match(addresses))
    pool.take(1, 0)
    assert 1 == len(pool.match(addresses))


def test_the_tail_of_a_sequence_goes_before_its_head() -> None:
    pool = BlockPool(4, 4)
    addresses = chain(4)
    pool.release(fill(pool, addresses))
    for left in (3, 2, 1, 0):
        pool.take(1, 0)
        assert left == len(pool.match(addresses))


def test_the_least_recently_used_sequence_goes_first() -> None:
    pool = BlockPool(4, 4)
    old, new = chain(2, b"old"), chain(2, b"new")
    pool.release(fill(pool, old))
    pool.release(fill(pool, new))
    pool.hold(pool.match(old), 0)
    pool.release(pool.match(old))
    pool.take(2, 0)
    assert (2, 0) == (len(pool.match(old)), len(pool.match(new)))


def test_the_same_content_computed_twice_is_kept_once() -> None:
    pool = BlockPool(4, 4)
    addresses = chain(2)
    first = fill(pool, addresses)
    assert first == fill(pool, addresses)
    assert 2 == pool.free_count
    pool.check_integrity([first, first])


def test_pinned_blocks_outlive_others_and_the_soonest_expiry_goes_first() -> None:
    pool = BlockPool(3, 4)
    short, long, loose = chain(1, b"short"), chain(1, b"long"), chain(1, b"loose")
    for addresses, ttl in ((long, 3600), (short, 300), (loose, 0)):
        held = fill(pool, addresses)
        if ttl:
            pool.pin(addresses, ttl, 0)
        pool.release(held)
    order = []
    for _ in range(3):
        before = {name for name, each in (("short", short), ("long", long), ("loose", loose)) if pool.match(each)}
        pool.take(1, 10)
        after = {name for name, each in (("short", short), ("long", long), ("loose", loose)) if pool.match(each)}
        order += before - after
    assert ["loose", "short", "long"] == order


@pytest.mark.parametrize(("at", "survivor"), [(299.0, "pinned"), (301.0, "loose")])
def test_a_pin_lasts_its_lifetime_and_no_longer(at: float, survivor: str) -> None:
    pool = BlockPool(2, 4)
    pinned, loose = chain(1, b"pinned"), chain(1, b"loose")
    held = fill(pool, pinned)
    pool.pin(pinned, 300, 0)
    pool.release(held)
    pool.release(fill(pool, loose))
    pool.take(1, at)
    assert survivor == ("pinned" if pool.match(pinned) else "loose")


def test_use_starts_the_lifetime_again_but_not_after_its_end() -> None:
    for used, still_pinned in ((299.0, True), (301.0, False)):
        pool = BlockPool(2, 4)
        pinned, loose = chain(1, b"pinned"), chain(1, b"loose")
        held = fill(pool, pinned)
        pool.pin(pinned, 300, 0)
        pool.release(held)
        pool.hold(pool.match(pinned), used)
        pool.release(pool.match(pinned))
        pool.release(fill(pool, loose, used))
        pool.take(1, 590)
        assert still_pinned == bool(pool.match(pinned))


def test_clear_forgets_everything_that_nobody_holds() -> None:
    pool = BlockPool(4, 4)
    held, idle = chain(1, b"held"), chain(2, b"idle")
    mine = fill(pool, held)
    pool.release(fill(pool, idle))
    pool.pin(idle, 3600, 0)
    pool.clear()
    assert ([], mine) == (pool.match(idle), pool.match(held))
    pool.check_integrity([mine])


class PoolAgainstModel(RuleBasedStateMachine):
    """Random use of a small pool. The model keeps what is idle in a list and sorts it to know who goes next."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = BlockPool(8, 4)
        self.now = 0.0
        self.tables: list[list[int]] = []
        self.texts: list[int] = []
        self.idle: dict[bytes, int] = {}  # address -> age
        self.pins: dict[bytes, tuple[float, float]] = {}  # address -> until, ttl
        self.age = 0

    def _known(self) -> set[bytes]:
        return {each for text in range(3) for each in chain(6, bytes([text])) if self.pool.match([each])}

    def _next_out(self, wanted: bytes) -> tuple[float, int]:
        until, _ = self.pins.get(wanted, (0.0, 0.0))
        return (until if until > self.now else 0.0, self.idle[wanted])

    def _held(self) -> set[bytes]:
        return {
            a
            for table, text in zip(self.tables, self.texts, strict=True)
            for a in chain(6, bytes([text]))[: len(table)]
        }

    @rule(text=st.integers(0, 2), count=st.integers(1, 6))
    def start(self, text: int, count: int) -> None:
        addresses = chain(count, bytes([text]))
        matched = self.pool.match(addresses)
        fresh = count - len(matched)
        if self.pool.room_beside(matched) < fresh:
            return
        self.pool.hold(matched, self.now)
        for each in addresses[: len(matched)]:
            self.idle.pop(each, None)
            until, ttl = self.pins.pop(each, (0.0, 0.0))
            if until > self.now:
                self.pins[each] = (self.now + ttl, ttl)
        blank = self.pool.count - len(self.idle) - len(self._held() | set(addresses[: len(matched)]))
        out = sorted(self.idle, key=self._next_out)[: max(0, fresh - blank)]
        blocks = self.pool.take(fresh, self.now)
        self._drop(out)
        stored = [self.pool.store(b, a, self.now) for b, a in zip(blocks, addresses[len(matched) :], strict=True)]
        for each in addresses:
            self.idle.pop(each, None)
        self.tables.append(matched + stored)
        self.texts.append(text)

    def _drop(self, addresses: list[bytes]) -> None:
        for each in addresses:
            del self.idle[each]
            self.pins.pop(each, None)

    @precondition(lambda self: self.tables)
    @rule(which=st.integers(0, 99))
    def stop(self, which: int) -> None:
        table, text = self.tables.pop(which % len(self.tables)), self.texts.pop(which % len(self.texts))
        self.pool.release(table)
        for each in reversed(chain(len(table), bytes([text]))):
            if each not in self._held():
                self.age += 1
                self.idle[each] = self.age

    @rule(text=st.integers(0, 2), count=st.integers(1, 6), ttl=st.sampled_from([5.0, 60.0]))
    def pin(self, text: int, count: int, ttl: float) -> None:
        addresses = chain(count, bytes([text]))
        self.pool.pin(addresses, ttl, self.now)
        known = self.idle.keys() | self._held()
        for each in addresses:
            if each not in known:
                return
            until, before = self.pins.get(each, (0.0, 0.0))
            self.pins[each] = (max(until, self.now + ttl), max(before, ttl))

    @rule(seconds=st.sampled_from([1.0, 4.0, 70.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def clear(self) -> None:
        self.pool.clear()
        self._drop(list(self.idle))

    @invariant()
    def integrity(self) -> None:
        self.pool.check_integrity(self.tables)

    @invariant()
    def knows_what_the_model_knows(self) -> None:
        assert self.idle.keys() | self._held() == self._known()


PoolAgainstModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestPoolAgainstModel = PoolAgainstModel.TestCase
