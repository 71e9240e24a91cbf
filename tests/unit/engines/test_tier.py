"""KV blocks in files: what is read is what was written or nothing, within a bound, and of nobody who was deleted."""

import os
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import pytest

from haiga.batching.blocks import address, mark, root
from haiga.batching.cold import Fetch
from haiga.engines.native.tier import Shelf, Tier, erase, forget_model
from haiga.engines.native.tier.files import Content

SIZES = (1000, 400)
WHAT = {"model": "/models/a", "weights": "1f", "cache": "u8", "layout": "key_cache.0 u8 [?,2,40,64]"}
NOW = time.time


def name(number: int, owner: bytes = b"me") -> bytes:
    return address(root(b"", owner), [number])


def content(number: int, local: bool = False) -> Content:
    return np.random.default_rng(number).integers(0, 256, SIZES[local], np.uint8)


@pytest.fixture
def root_folder(tmp_path: Path) -> Path:
    return tmp_path / "kv"


@pytest.fixture
def shelf(root_folder: Path) -> Shelf:
    return Shelf(root_folder, WHAT, SIZES, 1 << 20)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in (".kv", ".local"))


def test_blocks_of_both_pools_come_back_in_another_process_to_the_byte(shelf: Shelf, root_folder: Path) -> None:
    for local in (False, True):
        assert shelf.write(name(1), local, content(1, local), NOW())
    other = Shelf(root_folder, WHAT, SIZES, 1 << 20)
    for local in (False, True):
        assert other.has(name(1), local)
        np.testing.assert_array_equal(content(1, local), other.read(name(1), local))
    assert shelf.total == other.total == sum(file.stat().st_size for file in files(root_folder))


def test_only_its_owner_may_read_a_file_and_it_says_what_made_it(shelf: Shelf, root_folder: Path) -> None:
    shelf.write(name(1), False, content(1), NOW())
    (file,) = files(root_folder)
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    assert {0o700} == {stat.S_IMODE(each.stat().st_mode) for each in (root_folder, file.parent, file.parent.parent)}
    head = file.read_bytes()[:300]
    assert all(each.encode() in head for each in WHAT.values())


@pytest.mark.parametrize("at", [0, 12, 20, 60, -1001, -1000, -1])
def test_one_wrong_bit_anywhere_and_the_block_is_gone(shelf: Shelf, root_folder: Path, at: int) -> None:
    shelf.write(name(1), False, content(1), NOW())
    (file,) = files(root_folder)
    damaged = bytearray(file.read_bytes())
    damaged[at] ^= 1
    file.write_bytes(damaged)
    assert shelf.read(name(1), False) is None
    assert ([], False) == (files(root_folder), shelf.has(name(1), False))


@pytest.mark.parametrize("size", [0, 1, 50, 1100])
def test_a_torn_file_is_no_block(shelf: Shelf, root_folder: Path, size: int) -> None:
    shelf.write(name(1), False, content(1), NOW())
    (file,) = files(root_folder)
    file.write_bytes(file.read_bytes()[:size])
    assert shelf.read(name(1), False) is None


def test_a_whole_file_under_another_blocks_name_is_no_block(shelf: Shelf, root_folder: Path) -> None:
    shelf.write(name(1), False, content(1), NOW())
    (file,) = files(root_folder)
    shelf.write(name(2), False, content(2), NOW())
    (other,) = (each for each in files(root_folder) if each != file)
    shutil.copy(file, other)
    assert shelf.read(name(2), False) is None


@pytest.mark.parametrize("field", WHAT)
def test_what_another_model_cache_or_layout_made_is_not_met(shelf: Shelf, root_folder: Path, field: str) -> None:
    shelf.write(name(1), False, content(1), NOW())
    other = Shelf(root_folder, {**WHAT, field: "another"}, SIZES, 1 << 20)
    assert not other.has(name(1), False)
    with pytest.raises(FileNotFoundError):
        other.read(name(1), False)


def test_the_limit_holds_for_all_models_together_and_what_was_not_used_for_longest_goes(root_folder: Path) -> None:
    first = Shelf(root_folder, WHAT, SIZES, 30_000)
    second = Shelf(root_folder, {**WHAT, "model": "/models/b"}, SIZES, 30_000)
    for number in range(40):
        shelf = first if number < 10 else second
        shelf.write(name(number), False, content(number), NOW())
        assert 30_000 * 17 // 16 >= sum(file.stat().st_size for file in files(root_folder))
    assert second.has(name(39), False)
    assert not any(file.exists() for file in files(root_folder) if file.is_relative_to(first._folder))
    assert second.evicted > 10


def test_a_texts_beginning_outlasts_its_end(root_folder: Path) -> None:
    shelf = Shelf(root_folder, WHAT, SIZES, 15_000)
    for number in range(10):
        shelf.write(name(number), False, content(number), NOW())
    shelf.touch([(name(number), False) for number in range(10)])
    for number in range(20, 26):
        time.sleep(0.005)  # file times are those of the kernel's clock
        shelf.write(name(number), False, content(number), NOW())
    left = [number for number in range(10) if shelf.has(name(number), False)]
    assert left == list(range(len(left)))
    assert 0 < len(left) < 10


def test_a_limit_below_one_block_keeps_nothing(root_folder: Path) -> None:
    shelf = Shelf(root_folder, WHAT, SIZES, 500)
    assert not shelf.write(name(1), False, content(1), NOW())
    assert [] == files(root_folder)


def test_a_deleted_workspace_loses_its_blocks_of_every_model_and_no_other_does(root_folder: Path) -> None:
    shelves = [Shelf(root_folder, {**WHAT, "model": model}, SIZES, 1 << 20) for model in ("a", "b")]
    for shelf in shelves:
        for owner in (b"me", b"you"):
            shelf.write(name(1, owner), False, content(1), NOW())
    erase(root_folder, "me")
    assert {mark(b"you").hex()} == {file.parent.name for file in files(root_folder)}
    assert [[mark(b"me")], [mark(b"me")]] == [shelf.deleted() for shelf in shelves]
    assert [False, True] == [shelves[0].has(name(1, owner), False) for owner in (b"me", b"you")]


def test_what_a_running_engine_still_holds_of_a_deleted_workspace_is_not_written(
    shelf: Shelf, root_folder: Path
) -> None:
    before = NOW()
    erase(root_folder, "me")
    assert not shelf.write(name(1), False, content(1), NOW()), "the engine has not heard yet"
    assert [mark(b"me")] == shelf.deleted()
    assert not shelf.write(name(1), False, content(1), before), "it waited to be written when the workspace was deleted"
    assert [] == files(root_folder)
    time.sleep(0.05)
    assert shelf.write(name(2), False, content(2), NOW()), "a workspace of the same name was made anew"
    assert [] == shelf.deleted()


def test_a_removed_model_takes_its_blocks_along(shelf: Shelf, root_folder: Path) -> None:
    other = Shelf(root_folder, {**WHAT, "model": "/models/b"}, SIZES, 1 << 20)
    for each in (shelf, other):
        each.write(name(1), False, content(1), NOW())
    forget_model(root_folder, Path("/models/a"))
    assert [True] == [file.is_relative_to(other._folder) for file in files(root_folder)]
    with pytest.raises(OSError, match="No such file"):
        shelf.write(name(2), False, content(2), NOW())


def test_drafts_that_a_killed_process_left_are_swept_and_foreign_files_are_not(root_folder: Path) -> None:
    shelf = Shelf(root_folder, WHAT, SIZES, 1 << 20)
    shelf.write(name(1), False, content(1), NOW())
    (file,) = files(root_folder)
    draft, foreign = file.with_name(f".{file.name}.123"), file.with_name("notes.txt")
    for each in (draft, foreign):
        each.write_text("x")
        os.utime(each, (1, 1))
    Shelf(root_folder, WHAT, SIZES, 1 << 20)
    assert [False, True, True] == [each.exists() for each in (draft, foreign, file)]


class Ears:
    """What a loop would be told."""

    def __init__(self) -> None:
        self.woken: SimpleQueue[bool] = SimpleQueue()
        self.forgotten: SimpleQueue[bytes] = SimpleQueue()

    def wake(self) -> None:
        self.woken.put(True)

    def forget(self, owner: bytes) -> None:
        self.forgotten.put(owner)


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
def tier(shelf: Shelf, ears: Ears) -> Iterator[Tier]:
    tier = Tier(shelf, sum(SIZES), 8 * sum(SIZES))
    tier.start(ears)
    yield tier
    tier.close(5)


def fetch(number: int, dropped: bool = False) -> Fetch:
    return Fetch("r", number, name(number), number, False, dropped)


def test_blocks_go_out_and_come_back_in_order_and_those_that_are_gone_come_as_lost(tier: Tier, ears: Ears) -> None:
    for number in range(5):
        tier.put(name(number), False, content(number))
    tier._catch_up(5)
    assert all(tier.has(name(number), False) for number in range(5))
    tier.fetch([fetch(0), fetch(9), fetch(1, dropped=True), fetch(4)])
    arrived: list[tuple[Fetch, Content | None]] = []
    while len(arrived) < 3:
        ears.woken.get(timeout=5)
        arrived += tier.arrived()
    assert [0, 9, 4] == [each.index for each, _ in arrived]
    np.testing.assert_array_equal(content(4), arrived[2][1])
    assert arrived[1][1] is None


def test_when_the_way_is_full_blocks_are_passed_over_and_counted(shelf: Shelf) -> None:
    tier = Tier(shelf, sum(SIZES), 3 * sum(SIZES))  # not started: a disk that never ends
    for number in range(5):
        if tier.wants(name(number), False):
            tier.put(name(number), False, content(number))
    assert (True, 2) == (tier.full, tier.stats["disk_dropped"])
    assert not tier.wants(name(0), False), "it is on its way"


def test_a_disk_that_fails_costs_the_blocks_and_nothing_else(tier: Tier, root_folder: Path) -> None:
    shutil.rmtree(root_folder)
    tier.put(name(1), False, content(1))
    tier._catch_up(5)
    assert (False, False, 1) == (tier.has(name(1), False), tier.full, tier.stats["disk_dropped"])


def test_a_cleared_tier_has_nothing_and_takes_more(tier: Tier, root_folder: Path) -> None:
    for number in range(3):
        tier.put(name(number), False, content(number))
    tier.clear()
    assert ([], 0) == (files(root_folder), tier.stats["disk_bytes"])
    tier.put(name(1), False, content(1))
    tier._catch_up(5)
    assert tier.has(name(1), False)


def test_the_loop_hears_of_a_deleted_workspace_within_seconds(tier: Tier, ears: Ears, root_folder: Path) -> None:
    erase(root_folder, "me")
    assert mark(b"me") == ears.forgotten.get(timeout=10)
