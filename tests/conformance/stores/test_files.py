"""Files and uploads in the database."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.core.files import FileFilter, FilePage, KeptFile, KeptUpload, Part, Used
from haiga.stores.files import DAY, DatabaseFiles

NOW, MUCH = 1000, 10**9
FILE = KeptFile("file-1", "w", 1, "a.txt", "text/plain", "batch", 10, "d1", False, NOW)
UPLOAD = KeptUpload("upload_1", "w", "a.txt", "text/plain", "batch", 10, NOW, NOW + 100)


@pytest.fixture
def store(database: AsyncEngine) -> DatabaseFiles:
    return DatabaseFiles(database)


async def put(store: DatabaseFiles, *files: KeptFile) -> None:
    for file in files:
        assert await store.put(file, MUCH, MUCH)


def named(page: FilePage) -> tuple[str, bool]:
    return "".join(file.id for file in page.files), page.more


async def test_a_file_is_there_for_its_workspace_until_it_is_deleted(store: DatabaseFiles) -> None:
    await put(store, FILE)
    assert (FILE, None) == (await store.get("w", "file-1"), await store.get("x", "file-1"))
    assert None is await store.delete("x", "file-1")
    assert FILE == await store.delete("w", "file-1")
    assert None is await store.get("w", "file-1")


async def test_pages_follow_each_other_in_both_orders(store: DatabaseFiles) -> None:
    files = {name: replace(FILE, id=name, serial=i) for i, name in enumerate("abcde")}
    await put(store, *files.values(), replace(FILE, id="x", workspace="x", serial=9))
    listed = [
        (FileFilter(2), "ed", True),
        (FileFilter(2, after=files["d"]), "cb", True),
        (FileFilter(2, after=files["b"]), "a", False),
        (FileFilter(2, before=files["a"]), "cb", True),
        (FileFilter(2, before=files["d"]), "e", False),
        (FileFilter(2, newest_first=False), "ab", True),
        (FileFilter(9, after=files["c"], newest_first=False), "de", False),
        (FileFilter(9, ids=("b", "x", "d")), "db", False),
        (FileFilter(9, ids=()), "", False),
        (FileFilter(9, purpose="vision"), "", False),
    ]
    for wanted, names, more in listed:
        assert (names, more) == named(await store.page("w", wanted, NOW)), wanted


async def test_no_more_is_kept_than_may_be_even_when_all_come_at_once(store: DatabaseFiles) -> None:
    files = [replace(FILE, id=f"file-{i}", serial=i, workspace="wx"[i % 2]) for i in range(8)]
    kept = await asyncio.gather(*(store.put(file, 20, 35) for file in files))
    assert 3 == sum(kept)
    assert 30 == (await store.used("w")).total
    assert not await store.add_part(Part("p", "u", 10, "d", NOW), "w", 100, 35)
    assert await store.add_part(Part("p", "u", 5, "d", NOW), "w", 100, 35)


async def test_what_has_expired_is_not_listed_and_its_bytes_are_nobody_s(store: DatabaseFiles) -> None:
    await put(store, replace(FILE, expires_at=NOW + 10))
    assert "file-1" == named(await store.page("w", FileFilter(9), NOW + 9))[0]
    assert {"d1"} == await store.referenced({"d1", "d2"}, NOW + 9)
    await store.expire(NOW + 10)
    assert "" == named(await store.page("w", FileFilter(9), NOW + 10))[0]
    assert set() == await store.referenced({"d1"}, NOW + 10)
    found = await store.get("w", "file-1")
    assert found and found.expired(NOW + 10)
    await store.expire(NOW + 10 + DAY)
    assert None is await store.get("w", "file-1")


async def test_an_upload_becomes_one_file_or_is_given_up_once(store: DatabaseFiles) -> None:
    await store.open_upload(UPLOAD)
    parts = [Part("p1", UPLOAD.id, 4, "d1", NOW), Part("p2", UPLOAD.id, 6, "d2", NOW + 1)]
    for part in parts:
        assert await store.add_part(part, "w", MUCH, MUCH)
    assert (parts, Used(10, 10)) == (await store.parts(UPLOAD.id), await store.used("w"))
    assert {"d1", "d2"} == await store.referenced({"d1", "d2"}, NOW)
    assert [True, False, False] == [
        await store.complete(UPLOAD, FILE),
        await store.complete(UPLOAD, replace(FILE, id="file-2")),
        await store.cancel_upload(UPLOAD),
    ]
    assert replace(UPLOAD, status="completed", file="file-1") == await store.upload("w", UPLOAD.id)
    assert (None, FILE, None) == (
        await store.upload("x", UPLOAD.id),
        await store.get("w", "file-1"),
        await store.get("w", "file-2"),
    )
    assert ([], Used(10, 10)) == (await store.parts(UPLOAD.id), await store.used("w"))


async def test_an_upload_that_is_not_completed_in_time_gives_its_parts_back(store: DatabaseFiles) -> None:
    await store.open_upload(UPLOAD)
    assert await store.add_part(Part("p1", UPLOAD.id, 4, "d1", NOW), "w", MUCH, MUCH)
    await store.expire(NOW + 99)
    assert 1 == len(await store.parts(UPLOAD.id))
    await store.expire(NOW + 100)
    assert (replace(UPLOAD, status="expired"), []) == (await store.upload("w", UPLOAD.id), await store.parts(UPLOAD.id))
