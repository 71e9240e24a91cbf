"""Models from a Hugging Face hub: which files a repository has, and how they get here whole.

Rule: a file bears its own name only after its hash matched the hub's. Until then it is NAME.part, and the next try
goes on where the last one broke off. The hub's own library (2.4) does neither: it deletes a broken download, and
checks sizes only; so the bytes are fetched here.
"""

import asyncio
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import httpx

from haiga.core.errors import Denied, Failed, Invalid, NotFound

Progress = Callable[[str, int, int], None]
"""What is being done, how much of it is done, how much there is (bytes; 0 when unknown)."""

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
PIPELINE = "model_index.json"
ADAPTER = ("adapter_config.json", "adapter_model.safetensors")
_SMALL_FILES = ("*.json", "*.jinja", "tokenizer.model")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a repository. `sha256` is known of large files (LFS), `git_sha1` (over a header and the content, as
    git hashes a blob) of small ones; size is bytes."""

    name: str
    size: int
    sha256: str | None
    git_sha1: str | None

    def hasher(self) -> "hashlib._Hash":
        if self.sha256:
            return hashlib.sha256()
        return hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)

    @property
    def digest(self) -> str | None:
        return self.sha256 or self.git_sha1


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A repository at one commit: the files at its top, none in folders."""

    repository: str
    commit: str
    files: tuple[RemoteFile, ...]

    def pick(self, patterns: Iterable[str]) -> list[RemoteFile]:
        """The files that match."""
        kept = tuple(patterns)
        return [file for file in self.files if any(fnmatchcase(file.name, pattern) for pattern in kept)]


class Hub:
    """A hub at `endpoint`. `token` is sent to that host alone. A broken transfer is tried `attempts` times, `pause`
    seconds apart and growing, before it is left for a later call to go on with."""

    def __init__(self, endpoint: str, token: str | None = None, attempts: int = 5, pause: float = 1.0) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._token = token
        self._attempts = attempts
        self._pause = pause

    async def find(self, repository: str, revision: str = "main") -> Snapshot:
        """The repository's files at a branch, tag or commit. Raises NotFound, Denied, Failed."""
        url = f"{self._endpoint}/api/models/{repository}/revision/{quote(revision, safe='')}"
        async with self._client() as client:
            try:
                response = await client.get(url, params={"blobs": "true"})
            except httpx.HTTPError as problem:
                raise Failed(f"{self._endpoint} cannot be reached: {problem or type(problem).__name__}") from None
            _check_status(response, f"{repository}@{revision}")
        return _read_snapshot(repository, response)

    async def download(self, snapshot: Snapshot, directory: Path, progress: Progress) -> None:
        """Bring the files a model needs into `directory`. Raises Invalid when the repository holds no safetensors,
        Failed for a broken transfer or a wrong hash, naming the file; a second call goes on where it stopped."""
        if snapshot.pick([PIPELINE]):
            raise Invalid(
                f"{snapshot.repository} makes pictures; its parts are in folders, which are not downloaded: fetch the"
                " repository with another tool and add its directory",
                field="source",
            )
        await self._fetch_all(snapshot, snapshot.pick(_SMALL_FILES), directory, progress)
        await self._fetch_all(snapshot, _weight_files(snapshot, directory), directory, progress)

    async def _fetch_all(
        self, snapshot: Snapshot, files: list[RemoteFile], directory: Path, progress: Progress
    ) -> None:
        total = sum(file.size for file in files)
        before = 0
        async with self._client() as client:
            for file in files:
                transfer = _Transfer(file, directory / file.name, _Tail(progress, file.name, before, total))
                if not transfer.complete:
                    _make_room(directory, file)
                    await self._fetch(client, snapshot, transfer)
                before += file.size
                progress(file.name, before, total)

    async def _fetch(self, client: httpx.AsyncClient, snapshot: Snapshot, transfer: "_Transfer") -> None:
        name = transfer.file.name
        url = f"{self._endpoint}/{snapshot.repository}/resolve/{snapshot.commit}/{quote(name)}"
        for attempt in range(1, self._attempts + 1):
            try:
                await transfer.run(client, url)
                break
            except httpx.TransportError as problem:
                if attempt == self._attempts:
                    raise Failed(
                        f"{name}: the download broke off at {transfer.offset} of {transfer.file.size} bytes"
                        f" ({problem or type(problem).__name__}); add the model again to go on from there"
                    ) from None
                await asyncio.sleep(self._pause * attempt)
        transfer.accept()

    def _client(self) -> httpx.AsyncClient:
        # identity: sizes and ranges are those of the file itself; httpx drops the token on another host's redirect
        headers = {"accept-encoding": "identity", "user-agent": "haiga"}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        return httpx.AsyncClient(headers=headers, follow_redirects=True, timeout=httpx.Timeout(30, connect=10))


@dataclass(frozen=True, slots=True)
class _Tail:
    """Progress of one file, told as progress of all."""

    tell: Progress
    name: str
    before: int
    total: int

    def __call__(self, done: int) -> None:
        self.tell(self.name, self.before + done, self.total)


class _Transfer:
    """One file on its way: what has come lies in NAME.part."""

    def __init__(self, file: RemoteFile, target: Path, progress: Callable[[int], None]) -> None:
        self.file = file
        self._target = target
        self._part = target.with_name(target.name + ".part")
        self._progress = progress

    @property
    def complete(self) -> bool:
        return self._target.is_file() and self._target.stat().st_size == self.file.size

    @property
    def offset(self) -> int:
        """Bytes that are here already."""
        return self._part.stat().st_size if self._part.exists() else 0

    async def run(self, client: httpx.AsyncClient, url: str) -> None:
        """Bring what is missing. Raises httpx.TransportError when the transfer breaks, Failed for a refusal."""
        if self.offset > self.file.size:
            self._part.unlink()
        start = self.offset
        if start == self.file.size and start:
            return
        async with client.stream("GET", url, headers={"range": f"bytes={start}-"} if start else {}) as response:
            if response.status_code >= 500 or response.status_code == 429:
                raise httpx.TransportError(f"the hub answered {response.status_code}")
            _check_status(response, self.file.name)
            with self._open(append=start > 0 and response.status_code == 206) as part:
                # chunks as they come: a buffer here would lose its content when the connection breaks
                async for chunk in response.aiter_raw():
                    part.write(chunk)
                    self._progress(part.tell())
        if self.offset < self.file.size:
            raise httpx.TransportError("the hub sent less than it announced")

    def accept(self) -> None:
        """Give the file its name if its hash is the hub's; delete it and raise Failed otherwise."""
        hasher = self.file.hasher()
        if self.offset == self.file.size:
            with self._part.open("rb") as part:
                while chunk := part.read(_CHUNK):
                    hasher.update(chunk)
        if self.offset != self.file.size or self.file.digest not in (None, hasher.hexdigest()):
            self._part.unlink()
            raise Failed(f"{self.file.name}: what was downloaded is not what the hub announced (its hash differs)")
        self._part.replace(self._target)

    def _open(self, append: bool) -> IO[bytes]:
        return self._part.open("ab" if append else "wb")


def _read_snapshot(repository: str, response: httpx.Response) -> Snapshot:
    try:
        body = response.json()
        # a plain name only: what a hub says must not reach out of the model's directory
        files = tuple(_read_file(entry) for entry in body["siblings"] if re.fullmatch(r"\w[^/\\]*", entry["rfilename"]))
        return Snapshot(repository, re.fullmatch(r"[0-9a-f]{40,64}", body["sha"])[0], files)  # type: ignore[index]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Failed(f"{response.url.host}: its answer about {repository} cannot be understood") from None


def _read_file(entry: dict[str, Any]) -> RemoteFile:
    lfs = entry.get("lfs") or {}
    return RemoteFile(str(entry["rfilename"]), int(entry["size"]), lfs.get("sha256"), entry.get("blobId"))


def _weight_files(snapshot: Snapshot, directory: Path) -> list[RemoteFile]:
    """The shards that the index names, or the single file; an adapter's, where there is no model."""
    if snapshot.pick([INDEX]):
        try:
            wanted = set(json.loads((directory / INDEX).read_text())["weight_map"].values())
        except (ValueError, KeyError, AttributeError):
            raise Invalid(f"{snapshot.repository}: {INDEX} cannot be read") from None
    elif snapshot.pick([ADAPTER[0]]) and not snapshot.pick([SINGLE]):
        wanted = {ADAPTER[1]}
    else:
        wanted = {SINGLE}
    found = [file for file in snapshot.files if file.name in wanted]
    if missing := wanted - {file.name for file in found}:
        raise Invalid(f"{snapshot.repository}: the repository has no {min(missing)} (weights must be safetensors)")
    return found


def _check_status(response: httpx.Response, what: str) -> None:
    if response.status_code in (401, 403):
        raise Denied(f"{what}: not found, or access is restricted: set HF_TOKEN to a token that may read it")
    if response.status_code == 404:
        raise NotFound(f"{what}: the hub has no such repository, revision or file")
    if response.status_code >= 300:
        raise Failed(f"{what}: the hub answered {response.status_code}")


def _make_room(directory: Path, file: RemoteFile) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    if (free := shutil.disk_usage(directory).free) < file.size:
        raise Failed(f"{file.name}: needs {file.size >> 20} MiB on disk, {free >> 20} MiB are free in {directory}")
