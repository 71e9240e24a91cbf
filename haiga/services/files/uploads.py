"""Files that arrive in parts.

Rule: parts are kept as they come, in any order; the file is made of them at the end, whole or not at all.
"""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import md5

from haiga.core.access import Caller
from haiga.core.errors import Failed, Invalid, NotFound, TooLarge
from haiga.core.files import UPLOADED, FileSpec, KeptFile, KeptUpload, Part
from haiga.services.files.service import Files, Incoming, no_room

LARGEST = 8 << 30  # bytes of a file that arrives in parts
PART = 64 << 20  # bytes of one part


class Uploads:
    """Uploads to `files`."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._store = files.store

    async def create(self, caller: Caller, spec: FileSpec, size: int) -> KeptUpload:
        """A file of `size` bytes is to arrive. Raises TooLarge."""
        if size > LARGEST:
            raise TooLarge(f"'bytes' is {size}, but a file may have at most {LARGEST} bytes.", field="bytes")
        now = self._files.now()
        upload = KeptUpload(
            id=f"upload_{secrets.token_hex(12)}",
            workspace=caller.workspace,
            filename=spec.filename,
            mime_type=spec.mime_type,
            purpose=spec.purpose,
            size=size,
            created_at=now,
            expires_at=now + UPLOADED,
            lifetime=spec.lifetime,
        )
        await self._store.open_upload(upload)
        return upload

    @asynccontextmanager
    async def receiving(self, caller: Caller, id: str) -> AsyncIterator[Incoming]:
        """A part on its way. Raises NotFound, and Invalid for an upload that is not pending."""
        await self._pending(caller, id)
        async with self._files.receiving(caller, PART) as incoming:
            yield incoming

    async def keep(self, caller: Caller, id: str, incoming: Incoming) -> Part:
        """That was all of the part."""
        blob = await incoming.keep_bytes()
        part = Part(f"part_{secrets.token_hex(12)}", id, blob.size, blob.digest, self._files.now())
        if not await self._store.add_part(part, caller.workspace, self._files.quota, self._files.storage):
            raise await no_room(self._files, caller, part.size)
        return part

    async def complete(
        self, caller: Caller, id: str, part_ids: Sequence[str], checksum: str | None
    ) -> tuple[KeptUpload, KeptFile]:
        """The parts, in this order, are the file; `checksum` is its MD5. Raises NotFound and Invalid."""
        upload = await self._pending(caller, id)
        kept = await self._store.parts(id)
        parts = _chosen(kept, part_ids)
        told = sum(part.size for part in parts)
        if told != upload.size:
            raise Invalid(f"The parts have {told} bytes together, but the upload was to have {upload.size}.")
        file = await self._join(caller, upload, parts, checksum)
        await self._files.discard({part.digest for part in kept})
        return replace(upload, status="completed", file=file.id), file

    async def _join(self, caller: Caller, upload: KeptUpload, parts: Sequence[Part], checksum: str | None) -> KeptFile:
        summed = md5(usedforsecurity=False)
        async with self._files.blobs.draft() as draft:
            for part in parts:
                try:
                    async for piece in self._files.blobs.read(part.digest):
                        summed.update(piece)
                        await draft.write(piece)
                except Failed:
                    await self._pending(caller, upload.id)  # canceled meanwhile, perhaps
                    raise
            if checksum is not None and summed.hexdigest() != checksum.lower():
                raise Invalid(f"The file's MD5 is {summed.hexdigest()}, not {checksum[:64]}.", field="md5")
            spec = FileSpec(upload.filename, upload.mime_type, upload.purpose, upload.lifetime)
            file = self._files.described(caller, "file-", spec, await draft.keep())
            if not await self._store.complete(upload, file):
                await self._pending(caller, upload.id)
            return file

    async def cancel(self, caller: Caller, id: str) -> KeptUpload:
        """Give an upload up. Raises NotFound, and Invalid for one that is not pending."""
        upload = await self._pending(caller, id)
        parts = await self._store.parts(id)
        if not await self._store.cancel_upload(upload):
            await self._pending(caller, id)
        await self._files.discard({part.digest for part in parts})
        return replace(upload, status="cancelled")

    async def _pending(self, caller: Caller, id: str) -> KeptUpload:
        upload = await self._store.upload(caller.workspace, id)
        if upload is None:
            raise NotFound(f"No such Upload object: {id[:64]}")
        late = upload.status == "pending" and upload.expires_at <= self._files.now()
        status = "expired" if late else upload.status
        if status != "pending":
            raise Invalid(f"Upload {id} is {status}, not pending.", code=f"upload_{status}")
        return upload


def _chosen(kept: Sequence[Part], ids: Sequence[str]) -> list[Part]:
    named = {part.id: part for part in kept}
    for i, id in enumerate(ids):
        if id not in named:
            raise Invalid(f"No such Part object in this upload: {id[:64]}", field=f"part_ids[{i}]")
    if len(set(ids)) < len(ids):
        raise Invalid("A part is named more than once.", field="part_ids")
    return [named[id] for id in ids]
