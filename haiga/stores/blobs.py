"""Blobs on the disk; implements core.ports.BlobStore.

Rule: a blob's name is the SHA-256 of its bytes, and it is there whole or not at all: it is written elsewhere, forced to
the disk, and then renamed. Locks belong to the system (flock), so that those of a process that is gone are gone: a
draft without one has no writer, and while anyone keeps a blob, nobody sweeps.
"""

import asyncio
import fcntl
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha256
from io import FileIO
from itertools import islice
from pathlib import Path
from tempfile import mkstemp

from haiga.core.errors import Failed
from haiga.core.files import Blob
from haiga.stores.trouble import refused

PIECE = 1 << 20  # bytes written at a time
READ = 1 << 18  # bytes read at a time
SOME = 200  # blobs that are looked at together
WAIT = 0.01  # seconds between two tries for the lock


class DiskBlobs:
    """Blobs in a directory, which is made for its owner alone."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._drafts = directory / "drafts"
        self._lock = directory / "lock"

    @asynccontextmanager
    async def draft(self) -> "AsyncIterator[DiskDraft]":
        """See BlobStore."""
        draft = DiskDraft(self._directory, self._drafts, self._lock)
        try:
            yield draft
        finally:
            await asyncio.to_thread(draft.close)

    async def read(self, digest: str, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """See BlobStore."""
        try:
            opened = await asyncio.to_thread(_path(self._directory, digest).open, "rb", 0)
        except FileNotFoundError:
            raise Failed("the bytes of this file are not there any more") from None
        with _translated(), opened:
            at = opened.seek(start)
            while piece := await asyncio.to_thread(opened.read, READ if stop is None else min(READ, stop - at)):
                yield piece
                at += len(piece)

    async def sweep(
        self, used: Callable[[Collection[str]], Awaitable[set[str]]], digests: Collection[str] | None = None
    ) -> None:
        """See BlobStore."""
        with _translated():
            if digests is None:
                await asyncio.to_thread(self._sweep_drafts)
                digests = await asyncio.to_thread(self._all)
            names = iter(digests)
            while some := list(islice(names, SOME)):
                lock = await _locked(self._lock, fcntl.LOCK_EX)
                try:
                    gone = set(some) - await used(some)
                    await asyncio.to_thread(self._remove, gone)
                finally:
                    os.close(lock)

    def _all(self) -> list[str]:
        return [file.name for file in self._directory.glob("??/*")]

    def _remove(self, digests: Collection[str]) -> None:
        for digest in digests:
            _path(self._directory, digest).unlink(missing_ok=True)

    def _sweep_drafts(self) -> None:
        self._drafts.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in self._drafts.iterdir():
            with file.open("rb") as opened:
                try:
                    fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                file.unlink(missing_ok=True)


class DiskDraft:
    """A file in the making, made when there is something to write. Threads write it, one after the other; whichever
    comes after `close` finds that it is too late."""

    def __init__(self, directory: Path, drafts: Path, lock: Path) -> None:
        self._directory = directory
        self._drafts = drafts
        self._lock = lock
        self._turn = threading.Lock()
        self._digest = sha256()
        self._size = 0
        self._held = bytearray()
        self._keeping: int | None = None
        self._path: Path | None = None
        self._file: FileIO | None = None
        self._closed = False

    async def write(self, piece: bytes) -> None:
        """See Draft."""
        self._held += piece
        if len(self._held) >= PIECE:
            with _translated():
                await asyncio.to_thread(self._write)

    async def keep(self) -> Blob:
        """See Draft."""
        with _translated():
            await asyncio.to_thread(self._write)
            self._keeping = await _locked(self._lock, fcntl.LOCK_SH)
            return await asyncio.to_thread(self._keep)

    def _write(self) -> None:
        with self._turn:
            if self._closed:
                return
            if self._file is None:
                self._path, self._file = _begin(self._drafts)
            held, self._held = self._held, bytearray()
            self._digest.update(held)
            self._size += len(held)
            rest = memoryview(held)
            while rest:
                rest = rest[self._file.write(rest) :]

    def _keep(self) -> Blob:
        with self._turn:
            path = _path(self._directory, self._digest.hexdigest())
            if self._file is not None and self._path is not None and not self._closed:
                os.fsync(self._file.fileno())
                path.parent.mkdir(mode=0o700, exist_ok=True)
                self._path.replace(path)
                self._path = None
                _sync(path.parent)
            return Blob(path.name, self._size)

    def close(self) -> None:
        """Give back what is held; bytes that were not kept are gone."""
        with self._turn:
            self._closed = True
            if self._path is not None:
                self._path.unlink(missing_ok=True)
            if self._file is not None:
                self._file.close()
            if self._keeping is not None:
                os.close(self._keeping)


def _begin(drafts: Path) -> tuple[Path, FileIO]:
    """A new file, locked. One that a sweep came upon before it was locked is none any more."""
    drafts.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        number, name = mkstemp(dir=drafts)
        file = FileIO(number, "wb")
        fcntl.flock(number, fcntl.LOCK_EX)
        if os.fstat(number).st_nlink:
            return Path(name), file
        file.close()


def _path(directory: Path, digest: str) -> Path:
    return directory / digest[:2] / digest


def _sync(directory: Path) -> None:
    """Force a directory's names to the disk."""
    number = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


async def _locked(file: Path, how: int) -> int:
    """The lock's descriptor, closing which gives it back. No thread waits: all of them may be wanted by its holder."""
    number = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(number, how | fcntl.LOCK_NB)
                return number
            except BlockingIOError:
                await asyncio.sleep(WAIT)
    except BaseException:
        os.close(number)
        raise


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise refused(problem) from problem
