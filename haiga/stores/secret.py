"""A secret of the server's own, kept in a file that its owner alone can read."""

import os
import secrets
from pathlib import Path

from haiga.core.errors import Invalid

SIZE = 32  # bytes


def kept_secret(path: Path) -> bytes:
    """The secret in the file, made at the first use. Raises Invalid for a file that holds something else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(path)
    with os.fdopen(descriptor, "wb") as file:
        secret = secrets.token_bytes(SIZE)
        file.write(secret)
    return secret


def _read(path: Path) -> bytes:
    secret = path.read_bytes()
    if len(secret) != SIZE:
        raise Invalid(f"{path}: not a secret of {SIZE} bytes; remove it, and a new one is made")
    return secret
