"""Blobs: whole or not at all, and swept only when nobody uses them."""

import asyncio
import resource
from collections.abc import Collection, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haiga.core.errors import Busy, Failed
from haiga.core.files import Blob
from haiga.stores import blobs
from haiga.stores.blobs import DiskBlobs

TEXT = b"hello blob"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def store(folder: Path) -> DiskBlobs:
    return DiskBlobs(folder)


async def put(store: DiskBlobs, *pieces: bytes) -> Blob:
    async with store.draft() as draft:
        for piece in pieces:
            await draft.write(piece)
        return await draft.keep()


async def told(store: DiskBlobs, digest: str, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join([piece async for piece in store.read(digest, start, stop)])


async def nobody(_: Collection[str]) -> set[str]:
    return set()


async def everybody(digests: Collection[str]) -> set[str]:
    return set(digests)


def files(folder: Path) -> set[str]:
    return {file.name for file in folder.rglob("*") if file.is_file() and file.name != "lock"}


async def test_a_blob_is_its_bytes_under_their_digest(store: DiskBlobs, folder: Path) -> None:
    blob = await put(store, b"hello ", b"blob")
    assert Blob(sha256(TEXT).hexdigest(), len(TEXT)) == blob == await put(store, TEXT)
    assert {blob.digest} == files(folder)
    assert TEXT == await told(store, blob.digest)


@settings(max_examples=20, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 45), st.none() | st.integers(0, 45))
async def test_any_range_is_that_part_of_the_bytes(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, start: int, stop: int | None
) -> None:
    store = DiskBlobs(tmp_path_factory.mktemp("blobs"))
    stop = None if stop is None else max(start, stop)
    assert data[start:stop] == await told(store, (await put(store, data)).digest, start, stop)


async def test_more_than_one_piece_is_read_whole(store: DiskBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIECE", "READ"):
        monkeypatch.setattr(blobs, name, 3)
    assert TEXT[2:9] == await told(store, (await put(store, TEXT[:5], TEXT[5:])).digest, 2, 9)


async def test_what_was_not_kept_leaves_nothing(
    store: DiskBlobs, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "PIECE", 1)
    with suppress(ZeroDivisionError):
        async with store.draft() as draft:
            await draft.write(TEXT)
            assert 1 == len(files(folder))
            raise ZeroDivisionError
    assert set() == files(folder)


async def test_only_its_owner_reads_what_is_kept(store: DiskBlobs, folder: Path) -> None:
    await put(store, TEXT)
    assert {0o600} == {file.stat().st_mode & 0o777 for file in folder.rglob("*") if file.is_file()}
    assert {0o700} == {file.stat().st_mode & 0o777 for file in folder.rglob("*") if file.is_dir()}


async def test_a_sweep_removes_what_nobody_uses(store: DiskBlobs, folder: Path) -> None:
    blob, other = await put(store, TEXT), await put(store, b"other")
    await store.sweep(everybody)
    await store.sweep(nobody, [other.digest])
    assert {blob.digest} == files(folder)
    await store.sweep(nobody)
    assert set() == files(folder)
    with pytest.raises(Failed, match="not there any more"):
        await told(store, blob.digest)


async def test_a_sweep_waits_for_whoever_keeps_a_blob(store: DiskBlobs) -> None:
    used: set[str] = set()

    async def known(digests: Collection[str]) -> set[str]:
        return used.intersection(digests)

    async with store.draft() as draft:
        await draft.write(TEXT)
        blob = await draft.keep()
        sweep = asyncio.create_task(store.sweep(known))
        await asyncio.sleep(0.05)
        assert not sweep.done()
        used.add(blob.digest)
    await sweep
    assert TEXT == await told(store, blob.digest)


async def test_a_sweep_removes_drafts_without_a_writer_and_no_others(
    store: DiskBlobs, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "PIECE", len(TEXT))
    async with store.draft() as draft:
        await draft.write(TEXT)
        (folder / "drafts" / "left").write_bytes(b"by a process that was killed")
        await store.sweep(nobody)
        assert "left" not in files(folder)
        assert TEXT == await told(store, (await draft.keep()).digest)


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may have more than 4,096 bytes in this process."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


async def test_a_full_disk_is_told_and_nothing_half_is_left(store: DiskBlobs, folder: Path, small_disk: None) -> None:
    with pytest.raises(Busy, match="disk is full"):
        await put(store, bytes(5000))
    assert set() == files(folder)
    assert 4096 == (await put(store, bytes(4096))).size


async def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failed, match="disk cannot be used: Not a directory"):
        await put(DiskBlobs(tmp_path / "file" / "blobs"), TEXT)


async def test_who_is_canceled_while_writing_leaves_nothing(store: DiskBlobs, folder: Path) -> None:
    async def write() -> None:
        async with store.draft() as draft:
            while True:
                await draft.write(bytes(blobs.PIECE))

    for pause in (0, 0.001, 0.01):
        task = asyncio.create_task(write())
        await asyncio.sleep(pause)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await store.sweep(nobody)
    assert set() == files(folder)
