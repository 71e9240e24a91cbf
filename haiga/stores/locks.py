"""Work that one process does at a time, whatever the database.

Rule: SQLite has one lock for all writers, which every transaction takes as it begins (see sqlite.py); PostgreSQL one
for each kind of work. Both end with the transaction.
"""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

# numbers of our own among those of everyone who uses the database
MIGRATION = 0x6861696761 << 8
BATCHES = MIGRATION + 1
FILES = MIGRATION + 2
RESPONSES = MIGRATION + 3
SECRETS = MIGRATION + 4
AUDIT = MIGRATION + 5
ERASURE = MIGRATION + 6


async def lock(connection: AsyncConnection, work: int, part: str | None = None) -> None:
    """As the first statement of a transaction: whoever else asks to do the same work, or the same `part` of it, waits
    until it ends."""
    if connection.dialect.name == "sqlite":
        return
    if part is None:
        await connection.execute(select(func.pg_advisory_xact_lock(work)))
    else:
        await connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(part, work))))
