"""Files, with the official anthropic SDK as client."""

import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest

from haiga.web.app import WebSettings
from tests.wire.batch_server import Counting, serving_batches
from tests.wire.test_batches_sdk import Clock

QUOTA = 5000
KEY = {"x-api-key": "team"}
VERSION = {"anthropic-version": "2023-06-01"}


class Served:
    """A server with files, and clients of it."""

    def __init__(self, url: str, clock: Clock, blobs: Path) -> None:
        self.url, self.clock, self.blobs = url, clock, blobs
        self.files = self.as_("team")

    def as_(self, workspace: str) -> Any:
        return anthropic.Anthropic(base_url=self.url, api_key=workspace, max_retries=0).beta.files

    def kept(self) -> list[bytes]:
        """What is on the disk."""
        return [file.read_bytes() for file in self.blobs.glob("??/*")]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    clock, settings = Clock(), WebSettings(open=False, file_limit=6000)
    with serving_batches(tmp_path / "db", [Counting()], clock=clock, settings=settings, quota=QUOTA) as url:
        yield Served(url, clock, tmp_path / "blobs")


def test_a_file_is_kept_described_listed_and_deleted(served: Served) -> None:
    made = served.files.upload(file=("notes/my notes.txt", b"hello", "text/plain"))
    assert ("file", "my notes.txt", "text/plain", 5, False, None) == (
        made.type,
        made.filename,
        made.mime_type,
        made.size_bytes,
        made.downloadable,
        made.expires_at,
    )
    assert abs(made.created_at.timestamp() - time.time()) < 60
    assert made == served.files.retrieve_metadata(made.id)
    assert [made] == list(served.files.list())
    assert [b"hello"] == served.kept()
    deleted = served.files.delete(made.id)
    assert (made.id, "file_deleted") == (deleted.id, deleted.type)
    assert [] == list(served.files.list())
    assert [] == served.kept()
    for call in (served.files.retrieve_metadata, served.files.delete, served.files.download):
        with pytest.raises(anthropic.NotFoundError):
            call(made.id)


def test_what_was_sent_cannot_be_fetched(served: Served) -> None:
    with pytest.raises(anthropic.BadRequestError) as caught:
        served.files.download(served.files.upload(file=b"secret").id)
    assert "file_not_downloadable" == caught.value.body["error"]["details"]["error_code"]  # type: ignore[index]


def test_equal_bytes_are_kept_once_and_as_long_as_one_file_has_them(served: Served) -> None:
    first, second = (served.files.upload(file=(name, b"same")) for name in "ab")
    assert [b"same"] == served.kept()
    served.files.delete(first.id)
    assert ([b"same"], [second.id]) == (served.kept(), [file.id for file in served.files.list()])


def test_pages_lead_to_one_another(served: Served) -> None:
    ids = [served.files.upload(file=(f"{i}.txt", b"x")).id for i in range(5)]
    assert ids[::-1] == [file.id for file in served.files.list(limit=2)]
    page = served.files.list(limit=3)
    assert (ids[:1:-1], f"page_{ids[2]}") == ([file.id for file in page.data], page.next_page)
    assert [ids[3], ids[1]] == [file.id for file in served.files.list(ids=[ids[1], "file_none", ids[3]])]
    older = httpx.get(
        f"{served.url}/v1/files", params={"limit": 2, "after_id": ids[2]}, headers={**KEY, **VERSION}
    ).json()
    assert ([ids[1], ids[0]], False, ids[1], ids[0]) == (
        [file["id"] for file in older["data"]],
        older["has_more"],
        older["first_id"],
        older["last_id"],
    )
    for wrong in ({"limit": 1001}, {"page": "x"}, {"page": ids[0], "ids": ids}, {"ids": [str(i) for i in range(101)]}):
        with pytest.raises(anthropic.BadRequestError):
            served.files.list(**wrong)


def test_another_workspace_s_file_is_not_there(served: Served) -> None:
    id = served.files.upload(file=b"x").id
    other = served.as_("others")
    assert [] == list(other.list())
    for call in (other.retrieve_metadata, other.delete, other.download):
        with pytest.raises(anthropic.NotFoundError):
            call(id)
    assert id == served.files.retrieve_metadata(id).id


def test_a_file_expires_when_it_is_to(served: Served) -> None:
    made = served.files.upload(file=b"x", expires_in_seconds=3600)
    assert 3600 == (made.expires_at - made.created_at).total_seconds()
    served.clock.ahead = 3601
    assert [] == list(served.files.list())
    with pytest.raises(anthropic.NotFoundError) as caught:
        served.files.retrieve_metadata(made.id)
    assert "file_expired" == caught.value.body["error"]["details"]["error_code"]  # type: ignore[index]
    for wrong in (3599, 7776001):
        with pytest.raises(anthropic.BadRequestError, match="expires_in_seconds"):
            served.files.upload(file=b"x", expires_in_seconds=wrong)


@pytest.mark.parametrize("name", ["a<b", "a|b", "a?b", "a*b", "a:b", "a\\b", "n" * 256])
def test_a_name_that_is_no_name_is_refused(served: Served, name: str) -> None:
    with pytest.raises(anthropic.BadRequestError, match="filename"):
        served.files.upload(file=(name, b"x"))
    assert [] == served.kept()


def test_a_file_without_a_name_is_called_for_its_type(served: Served) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="file"\r\nContent-Type: image/png\r\n\r\nx\r\n--b--\r\n'
    headers = {**KEY, **VERSION, "content-type": "multipart/form-data; boundary=b"}
    answer = httpx.post(f"{served.url}/v1/files", content=body, headers=headers)
    assert ("unnamed.png", "image/png") == (answer.json()["filename"], answer.json()["mime_type"])


def test_no_more_is_kept_than_the_workspace_may(served: Served) -> None:
    kept = served.files.upload(file=b"x" * QUOTA)
    with pytest.raises(anthropic.BadRequestError) as caught:
        served.files.upload(file=b"y")
    assert "storage_quota_exceeded" == caught.value.body["error"]["details"]["error_code"]  # type: ignore[index]
    with pytest.raises(anthropic.RequestTooLargeError):
        served.files.upload(file=b"x" * 7000)
    served.files.delete(kept.id)
    assert ([], 1) == (served.kept(), served.files.upload(file=b"y").size_bytes)


def test_an_upload_that_breaks_off_leaves_nothing(served: Served) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nsome bytes'
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        httpx.post(
            f"{served.url}/v1/files",
            content=pieces(),
            headers={**KEY, **VERSION, "content-type": "multipart/form-data; boundary=b"},
        )
    assert ([], []) == (list(served.files.list()), served.kept())


def test_a_full_disk_is_told_in_both_families_words_and_leaves_nothing(tmp_path: Path) -> None:
    limits, form = resource.getrlimit(resource.RLIMIT_FSIZE), {"file": ("a.txt", bytes(12 << 20))}
    with serving_batches(tmp_path / "db", [Counting()]) as url:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20, limits[1]))  # of any file that this process writes
        try:
            theirs = httpx.post(f"{url}/v1/files", files=form, headers={**KEY, **VERSION})
            ours = httpx.post(f"{url}/v1/files", files=form, data={"purpose": "user_data"}, headers=KEY)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        for told, status in ((theirs, 529), (ours, 503)):
            assert (status, "60") == (told.status_code, told.headers["retry-after"])
            assert "disk is full" in told.json()["error"]["message"]
        assert [] == httpx.get(f"{url}/v1/files", headers=KEY).json()["data"]
    assert [] == [file for file in (tmp_path / "blobs").rglob("*") if file.is_file() and file.name != "lock"]
