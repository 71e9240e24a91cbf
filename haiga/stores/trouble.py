"""What the database says of its own troubles, as errors that a caller can act on.

Rule: only what the machine is to blame for is translated, and here alone; a violated constraint stays what it is.
"""

import errno

from sqlalchemy import ExceptionContext

from haiga.core.errors import Busy, Failed, HaigaError

LATER = 60.0  # seconds in which somebody may have made room
# Names of result codes (https://www.sqlite.org/rescode.html), an extended one beginning with its primary one.
FULL, LOCKED = ("SQLITE_FULL",), ("SQLITE_BUSY", "SQLITE_LOCKED")
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
UNUSABLE = ("SQLITE_READONLY", "SQLITE_IOERR", "SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_CANTOPEN")


def explain(context: ExceptionContext) -> HaigaError | None:
    """A listener for SQLAlchemy's `handle_error`: what it gives back is raised in place of the driver's error. The
    transaction is rolled back, so that nothing is half kept."""
    problem = context.original_exception
    name: str = getattr(problem, "sqlite_errorname", "")
    if name.startswith(FULL):
        return Busy("the server's disk is full: nothing can be kept", retry_after=LATER)
    if name.startswith(LOCKED):
        return Busy("the server's database is in use by another program")
    if name.startswith(UNUSABLE):
        return Failed(f"the server's database cannot be used: {problem}")
    return None


def refused(problem: OSError) -> HaigaError:
    """What the system says of a file that cannot be written or read."""
    if problem.errno in NO_ROOM:
        return Busy("the server's disk is full: nothing can be kept", retry_after=LATER)
    return Failed(f"the server's disk cannot be used: {problem.strerror}")
