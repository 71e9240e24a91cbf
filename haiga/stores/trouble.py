"""What the database says of its own troubles, as errors that a caller can act on.

Rule: only what the machine is to blame for is translated, and what no text column can hold, and here alone; a violated
constraint stays what it is.
"""

import errno

from sqlalchemy import ExceptionContext

from haiga.core.errors import Busy, Failed, HaigaError, Invalid

LATER = 60.0  # seconds in which somebody may have made room
SOON = 2.0  # seconds in which a server is started again
# Names of result codes (https://www.sqlite.org/rescode.html), an extended one beginning with its primary one.
FULL, LOCKED = ("SQLITE_FULL",), ("SQLITE_BUSY", "SQLITE_LOCKED")
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
UNUSABLE = ("SQLITE_READONLY", "SQLITE_IOERR", "SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_CANTOPEN")
# States (https://www.postgresql.org/docs/current/errcodes-appendix.html), a class of them by its first two characters.
DISK_FULL, VALUE, BROKEN = ("53100",), ("22",), ("25006", "58", "XX")  # BROKEN: read-only, input and output, corrupt
AWAY = ("08", "40", "53", "55P03", "57")  # connections, deadlocks, resources, a lock not had in time, shutdown


def explain(context: ExceptionContext) -> HaigaError | None:
    """A listener for SQLAlchemy's `handle_error`: what it gives back is raised in place of the driver's error. The
    transaction is rolled back, so that nothing is half kept."""
    problem = context.original_exception
    if context.is_pre_ping or not isinstance(problem, Exception):
        return None  # the pool takes another connection; whoever is cancelled is to hear it
    if context.is_disconnect or isinstance(problem, TimeoutError):
        return Busy("the server's database is away", retry_after=SOON)
    return _of_sqlite(problem, getattr(problem, "sqlite_errorname", "")) or _of_postgres(
        problem, getattr(problem, "sqlstate", None) or ""
    )


def _of_sqlite(problem: BaseException, name: str) -> HaigaError | None:
    if name.startswith(FULL):
        return Busy("the server's disk is full: nothing can be kept", retry_after=LATER)
    if name.startswith(LOCKED):
        return Busy("the server's database is in use by another program")
    if name.startswith(UNUSABLE):
        return Failed(f"the server's database cannot be used: {problem}")
    return None


def _of_postgres(problem: BaseException, state: str) -> HaigaError | None:
    if state.startswith(DISK_FULL):
        return Busy("the server's disk is full: nothing can be kept", retry_after=LATER)
    if state.startswith(AWAY):
        return Busy("the server's database is away", retry_after=SOON)
    if state.startswith(VALUE):
        return Invalid(f"this can be neither kept nor looked for: {str(problem).rpartition('>: ')[2]}")
    if state.startswith(BROKEN):
        return Failed(f"the server's database cannot be used: {str(problem).rpartition('>: ')[2]}")
    return None


def refused(problem: OSError) -> HaigaError:
    """What the system says of a file that cannot be written or read."""
    if problem.errno in NO_ROOM:
        return Busy("the server's disk is full: nothing can be kept", retry_after=LATER)
    return Failed(f"the server's disk cannot be used: {problem.strerror}")
