"""Files that are kept, and uploads that become one: what is known of them besides their bytes.

Rule: a file never changes. Its bytes are a blob, named by their SHA-256, which several files may share.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

UploadStatus: TypeAlias = Literal["pending", "completed", "cancelled", "expired"]

HOUR = 3600
UPLOADED = HOUR  # seconds from its creation in which an upload has to be completed


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes that are kept: their SHA-256 as hexadecimal digits, and how many they are."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class FileSpec:
    """What a file is to be: `lifetime` is seconds until it expires, None for never; `made`: by this server."""

    filename: str
    mime_type: str
    purpose: str
    lifetime: int | None = None
    made: bool = False


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file of a workspace. `serial` is greater than that of files before it; times are unix seconds."""

    id: str
    workspace: str
    serial: int
    filename: str
    mime_type: str
    purpose: str
    size: int
    digest: str
    made: bool
    created_at: int
    expires_at: int | None = None

    def expired(self, now: int) -> bool:
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class FileFilter:
    """Which files are wanted: those after `after` and before `before` in the list, newest first or oldest first, at
    most `limit`."""

    limit: int
    after: KeptFile | None = None
    before: KeptFile | None = None
    newest_first: bool = True
    purpose: str | None = None
    ids: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class FilePage:
    """Some files, and whether there are more beyond."""

    files: tuple[KeptFile, ...] = ()
    more: bool = False


@dataclass(frozen=True, slots=True)
class Used:
    """Bytes of files and of parts of uploads: a workspace's own, and all."""

    workspace: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class KeptUpload:
    """A file that arrives in parts; `size` bytes in the end. `file` is its id once it is complete."""

    id: str
    workspace: str
    filename: str
    mime_type: str
    purpose: str
    size: int
    created_at: int
    expires_at: int
    lifetime: int | None = None
    status: UploadStatus = "pending"
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """Some bytes of an upload."""

    id: str
    upload: str
    size: int
    digest: str
    created_at: int
