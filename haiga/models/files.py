"""Opening a model's files.

Rule: a model is made of regular files. A pipe, socket or device in a file's place would be waited for, or read, without
end.
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from haiga.core.errors import Invalid


def require_regular(file: Path) -> None:
    """Raises Invalid for what is there but no regular file; FileNotFoundError and other OSErrors are the caller's."""
    if not stat.S_ISREG(file.stat().st_mode):
        raise Invalid(f"{file}: is not a regular file")


def open_regular(file: Path) -> BinaryIO:
    """The file, to be read. Raises Invalid for what is no regular file, and OSError."""
    # without waiting for a pipe's other end, in case it took the place of the file between a look and this
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Invalid(f"{file}: is not a regular file")
    return os.fdopen(descriptor, "rb")
