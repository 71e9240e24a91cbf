"""Files for those who send, list, read and delete them.

Rule: a file is there for its workspace once its bytes are safe on the disk, or not at all. Whatever went wrong leaves
bytes that nobody uses at most, and those are swept.
"""

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

from haiga.core.access import Caller
from haiga.core.errors import Busy, Invalid, NotFound, TooLarge
from haiga.core.files import Blob, FileFilter, FilePage, FileSpec, KeptFile
from haiga.core.ports import BlobStore, Draft, FileStore

QUOTA = 10 << 30  # bytes of one workspace's files
STORAGE = 100 << 30  # bytes of all files
SWEEP = 3600.0  # seconds between two looks for what nobody uses
LATER = 60.0  # seconds in which somebody may have made room
log = logging.getLogger(__name__)


class Files:
    """Files in `store`, their bytes in `blobs`: up to `quota` bytes a workspace, `storage` bytes in all; none
    for longer than `keep` seconds. `clock` gives unix seconds."""

    def __init__(
        self,
        store: FileStore,
        blobs: BlobStore,
        *,
        quota: int = QUOTA,
        storage: int = STORAGE,
        keep: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.blobs = blobs
        self.quota = quota
        self.storage = storage
        self.keep = keep
        self._clock = clock
        self._last = 0
        self._arriving: Counter[str] = Counter()  # bytes on their way, by workspace
        self._task: asyncio.Task[None] | None = None

    # --- in ---

    @asynccontextmanager
    async def receiving(self, caller: Caller, limit: int) -> "AsyncIterator[Incoming]":
        """A file on its way, of at most `limit` bytes; what was not kept when the block ends is gone."""
        used = await self.store.used(caller.workspace)
        room = min(self.quota - used.workspace, self.storage - used.total)
        async with self.blobs.draft() as draft:
            incoming = Incoming(self, caller, draft, limit, room, self._arriving)
            try:
                yield incoming
            finally:
                self._arriving[caller.workspace] -= incoming.size

    def described(self, caller: Caller, prefix: str, spec: FileSpec, blob: Blob) -> KeptFile:
        """A new file; its id begins with `prefix`."""
        now = self.now()
        self._last = max(self._last + 1, int(self._clock() * 1e6))
        lifetime = spec.lifetime
        if self.keep is not None:
            lifetime = int(self.keep) if lifetime is None else min(lifetime, int(self.keep))
        return KeptFile(
            id=f"{prefix}{self._last:014x}{secrets.token_hex(4)}",
            workspace=caller.workspace,
            serial=self._last,
            filename=spec.filename,
            mime_type=spec.mime_type,
            purpose=spec.purpose,
            size=blob.size,
            digest=blob.digest,
            made=spec.made,
            created_at=now,
            expires_at=None if lifetime is None else now + lifetime,
        )

    # --- out ---

    async def get(self, caller: Caller, id: str) -> KeptFile:
        """Raises NotFound, also for a file of another workspace or one that has expired."""
        found = await self.store.get(caller.workspace, id)
        if found is None:
            raise no_file(id)
        if found.expired(self.now()):
            raise NotFound(f"File {id[:64]} has expired.", code="file_expired")
        return found

    async def list(
        self,
        caller: Caller,
        limit: int,
        *,
        after: str | None = None,
        before: str | None = None,
        newest_first: bool = True,
        purpose: str | None = None,
        ids: Collection[str] | None = None,
    ) -> FilePage:
        """A page. Raises NotFound when a cursor names no file."""
        cursors = [None if id is None else await self._cursor(caller, id) for id in (after, before)]
        listed = None if ids is None else tuple(ids)
        return await self.store.page(
            caller.workspace, FileFilter(limit, cursors[0], cursors[1], newest_first, purpose, listed), self.now()
        )

    async def _cursor(self, caller: Caller, id: str) -> KeptFile:
        """The file with the id, expired or not."""
        if found := await self.store.get(caller.workspace, id):
            return found
        raise no_file(id)

    def read(self, file: KeptFile, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """Its bytes, piece by piece."""
        return self.blobs.read(file.digest, start, stop)

    async def delete(self, caller: Caller, id: str) -> None:
        """Forget a file, and its bytes unless another one has the same. Raises NotFound."""
        gone = await self.store.delete(caller.workspace, id)
        if gone is None:
            raise no_file(id)
        await self.discard([gone.digest])

    # --- room ---

    async def sweep(self) -> None:
        """Remove all blobs that nobody uses."""
        await self.blobs.sweep(self.referenced)

    async def discard(self, digests: Collection[str]) -> None:
        """Remove those of the blobs that nobody uses any more."""
        await self.blobs.sweep(self.referenced, digests)

    async def referenced(self, digests: Collection[str]) -> set[str]:
        return await self.store.referenced(digests, self.now())

    def start(self) -> None:
        """Begin to sweep what nobody uses: what a former process left behind first."""
        self._task = asyncio.create_task(self._tidy(), name="files")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _tidy(self) -> None:
        while True:
            try:
                await self.store.expire(self.now())
                await self.sweep()
            except Exception as problem:
                log.error("files cannot be swept yet: %s", problem)
            await asyncio.sleep(SWEEP)

    def now(self) -> int:
        return int(self._clock())


class Incoming:
    """Bytes of a file that arrive, counted with all others that do."""

    def __init__(
        self, files: Files, caller: Caller, draft: Draft, limit: int, room: int, arriving: Counter[str]
    ) -> None:
        self._files = files
        self._caller = caller
        self._draft = draft
        self._limit = limit
        self._room = room
        self._arriving = arriving
        self.size = 0

    async def write(self, piece: bytes) -> None:
        """Raises TooLarge, Invalid when the workspace's quota is used up, Busy and Failed for the disk's troubles."""
        self.size += len(piece)
        self._arriving[self._caller.workspace] += len(piece)
        if self.size > self._limit:
            raise TooLarge(f"File exceeds the maximum size of {self._limit} bytes")
        if self._arriving[self._caller.workspace] > self._room:
            raise await no_room(self._files, self._caller, self.size)
        await self._draft.write(piece)

    async def keep(self, prefix: str, spec: FileSpec) -> KeptFile:
        """That was all: it is a file now."""
        file = self._files.described(self._caller, prefix, spec, await self._draft.keep())
        if not await self._files.store.put(file, self._files.quota, self._files.storage):
            raise await no_room(self._files, self._caller, file.size)
        return file

    async def keep_bytes(self) -> Blob:
        """That was all: it is a blob, and whoever keeps it says so before the block ends."""
        return await self._draft.keep()


async def no_room(files: Files, caller: Caller, size: int) -> Invalid | Busy:
    """Why `size` more bytes cannot be kept."""
    used = await files.store.used(caller.workspace)
    if used.workspace + size <= files.quota and used.total + size > files.storage:
        return Busy("the server keeps as many files as it may", retry_after=LATER)
    return Invalid(
        f"The workspace's file storage quota of {files.quota} bytes is exhausted. Delete files to free up space, then "
        "retry the upload.",
        code="storage_quota_exceeded",
    )


def no_file(id: str) -> NotFound:
    return NotFound(f"No such File object: {id[:64]}")
