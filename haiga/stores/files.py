"""Files, uploads and their parts in the database; implements core.ports.FileStore.

Rule: a row is added only if it does not exceed what may be kept, which one asks at a time; an upload ends only once.
"""

from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Insert,
    Table,
    cast,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    union,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from haiga.core.files import FileFilter, FilePage, KeptFile, KeptUpload, Part, UploadStatus, Used
from haiga.stores.locks import FILES as LOCK
from haiga.stores.locks import lock
from haiga.stores.picture_tables import IMAGE_PICTURES
from haiga.stores.tables import FILES, UPLOAD_PARTS, UPLOADS

DAY = 24 * 3600
TOLD = DAY  # seconds that a file which has expired is told of as such
ENDED = 30 * DAY  # seconds that an upload is told of after its time
F, U, P = FILES.c, UPLOADS.c, UPLOAD_PARTS.c


class DatabaseFiles:
    """Rows in the tables files, uploads and upload_parts."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    # --- files ---

    async def put(self, file: KeptFile, quota: int, storage: int) -> bool:
        """See FileStore."""
        wanted = _if_room(FILES, asdict(file), quota, storage)
        async with self._engine.begin() as connection:
            await lock(connection, LOCK)
            return (await connection.execute(wanted)).rowcount == 1

    async def get(self, workspace: str, id: str) -> KeptFile | None:
        """See FileStore."""
        async with self._engine.connect() as connection:
            return await _file(connection, workspace, id)

    async def page(self, workspace: str, wanted: FileFilter, now: int) -> FilePage:
        """See FileStore."""
        query = select(FILES).where(F.workspace == workspace, or_(F.expires_at.is_(None), F.expires_at > now))
        if wanted.purpose is not None:
            query = query.where(F.purpose == wanted.purpose)
        if wanted.ids is not None:
            query = query.where(F.id.in_(wanted.ids))
        older = wanted.after if wanted.newest_first else wanted.before
        newer = wanted.before if wanted.newest_first else wanted.after
        if older is not None:
            query = query.where(F.serial < older.serial)
        if newer is not None:
            query = query.where(F.serial > newer.serial)
        backwards = wanted.before is not None and wanted.after is None
        downwards = wanted.newest_first != backwards
        query = query.order_by(F.serial.desc() if downwards else F.serial.asc()).limit(wanted.limit + 1)
        async with self._engine.connect() as connection:
            found = [KeptFile(**row) for row in (await connection.execute(query)).mappings()]
        shown = found[: wanted.limit]
        return FilePage(tuple(reversed(shown) if backwards else shown), len(found) > wanted.limit)

    async def delete(self, workspace: str, id: str) -> KeptFile | None:
        """See FileStore."""
        async with self._engine.begin() as connection:
            gone = delete(FILES).where(F.id == id, F.workspace == workspace).returning(FILES)
            row = (await connection.execute(gone)).mappings().one_or_none()
        return None if row is None else KeptFile(**row)

    async def used(self, workspace: str) -> Used:
        """See FileStore."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(_used(workspace), _used()))).one()
        return Used(*row)

    async def referenced(self, digests: Collection[str], now: int) -> set[str]:
        """See FileStore."""
        alive = or_(F.expires_at.is_(None), F.expires_at > now)
        files = select(F.digest).where(F.digest.in_(digests), alive)
        parts = select(P.digest).where(P.digest.in_(digests))
        pictures = select(IMAGE_PICTURES.c.digest).where(IMAGE_PICTURES.c.digest.in_(digests))
        async with self._engine.connect() as connection:
            return set((await connection.execute(union(files, parts, pictures))).scalars())

    async def expire(self, now: int) -> None:
        """See FileStore."""
        late = (U.status == "pending") & (U.expires_at <= now)
        pending = select(U.id).where(U.status == "pending")
        async with self._engine.begin() as connection:
            await connection.execute(update(UPLOADS).where(late).values(status="expired"))
            await connection.execute(delete(UPLOAD_PARTS).where(P.upload.not_in(pending)))
            await connection.execute(delete(UPLOADS).where(U.expires_at <= now - ENDED))
            await connection.execute(delete(FILES).where(F.expires_at <= now - TOLD))

    # --- uploads ---

    async def open_upload(self, upload: KeptUpload) -> None:
        """See FileStore."""
        async with self._engine.begin() as connection:
            await connection.execute(insert(UPLOADS).values(asdict(upload)))

    async def upload(self, workspace: str, id: str) -> KeptUpload | None:
        """See FileStore."""
        query = select(UPLOADS).where(U.id == id, U.workspace == workspace)
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        return None if row is None else KeptUpload(**row)

    async def add_part(self, part: Part, workspace: str, quota: int, storage: int) -> bool:
        """See FileStore."""
        wanted = _if_room(UPLOAD_PARTS, asdict(part) | {"workspace": workspace}, quota, storage)
        async with self._engine.begin() as connection:
            await lock(connection, LOCK)
            return (await connection.execute(wanted)).rowcount == 1

    async def parts(self, upload: str) -> list[Part]:
        """See FileStore."""
        columns = select(P.id, P.upload, P.size, P.digest, P.created_at)
        async with self._engine.connect() as connection:
            rows = await connection.execute(columns.where(P.upload == upload).order_by(P.created_at, P.id))
            return [Part(**row) for row in rows.mappings()]

    async def complete(self, upload: KeptUpload, file: KeptFile) -> bool:
        """See FileStore."""
        async with self._engine.begin() as connection:
            if not await _end(connection, upload, "completed", file.id):
                return False
            await connection.execute(insert(FILES).values(asdict(file)))
            return True

    async def cancel_upload(self, upload: KeptUpload) -> bool:
        """See FileStore."""
        async with self._engine.begin() as connection:
            return await _end(connection, upload, "cancelled", None)


async def _file(connection: AsyncConnection, workspace: str, id: str) -> KeptFile | None:
    query = select(FILES).where(F.id == id, F.workspace == workspace)
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else KeptFile(**row)


async def _end(connection: AsyncConnection, upload: KeptUpload, status: UploadStatus, file: str | None) -> bool:
    ended = update(UPLOADS).where(U.id == upload.id, U.status == "pending").values(status=status, file=file)
    if (await connection.execute(ended)).rowcount != 1:
        return False
    await connection.execute(delete(UPLOAD_PARTS).where(P.upload == upload.id))
    return True


def _used(workspace: str | None = None) -> ColumnElement[int]:
    """Bytes of a workspace, or of all."""
    sums = [
        select(func.coalesce(func.sum(table.c.size), 0))
        .where(*(() if workspace is None else (table.c.workspace == workspace,)))
        .scalar_subquery()
        for table in (FILES, UPLOAD_PARTS)
    ]
    return cast(sums[0] + sums[1], BigInteger)  # PostgreSQL's sums are decimals


def _if_room(table: Table, row: dict[str, Any], quota: int, storage: int) -> Insert:
    """A row that has a workspace and a size, unless it would be too much."""
    room = (_used(row["workspace"]) + row["size"] <= quota) & (_used() + row["size"] <= storage)
    values = [literal(value, table.c[name].type).label(name) for name, value in row.items()]
    return insert(table).from_select(list(row), select(*values).where(room))
