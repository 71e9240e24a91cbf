"""The Files API: forms to files, and files as the API shows them.

Rule: what a caller sent cannot be fetched back, only what the server made; that is the API's own rule.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from pydantic import Field

from haiga.core.errors import Invalid
from haiga.core.files import FilePage, FileSpec, KeptFile
from haiga.wire.anthropic.base import Shape
from haiga.wire.filenames import file_name, file_type
from haiga.wire.multipart import Form

PREFIX = "file_"
PURPOSE = "user_data"  # what the other family is told of a file that was sent without a purpose
LARGEST = 500 << 20  # bytes
SHORTEST_LIFE, LONGEST_LIFE = 3600, 90 * 24 * 3600  # seconds
CURSOR = "page_"
LISTED, MOST_LISTED, MOST_IDS = 20, 1000, 100


class FileForm(Shape):
    """The form of POST /v1/files with `anthropic-version`."""

    file: bytes = Field(description="At most 500 MiB.")
    expires_in_seconds: int | None = Field(
        default=None, ge=SHORTEST_LIFE, le=LONGEST_LIFE, description="Seconds until the file is gone."
    )


def read_file(form: Form) -> FileSpec:
    """What a form says of its file. Raises Invalid."""
    mime_type = file_type(form.mime_type, form.filename)
    return FileSpec(file_name(form.filename, mime_type), mime_type, PURPOSE, _lifetime(form))


def _lifetime(form: Form) -> int | None:
    given = form.fields.get("expires_in_seconds")
    if given is None:
        return None
    if not given.isascii() or not given.isdigit() or not SHORTEST_LIFE <= int(given[:20]) <= LONGEST_LIFE:
        raise Invalid(f"Input should be an integer from {SHORTEST_LIFE} to {LONGEST_LIFE}", field="expires_in_seconds")
    return int(given)


def check_download(file: KeptFile) -> None:
    """Raises Invalid for a file that was not made by the server."""
    if not file.made:
        raise Invalid(f"File '{file.id}' is not downloadable.", code="file_not_downloadable")


@dataclass(frozen=True, slots=True)
class Listed:
    """Which files are wanted: at most `limit`, those after the one with the id `after`; `ids`: these alone."""

    limit: int
    after: str | None
    ids: tuple[str, ...] | None


def read_list(limit: int | None, page: str | None, ids: Sequence[str] | None) -> Listed:
    """Raises Invalid."""
    if limit is not None and limit > MOST_LISTED:
        raise Invalid(f"Input should be less than or equal to {MOST_LISTED}", field="limit")
    if page is not None and not page.startswith(CURSOR):
        raise Invalid("Invalid page cursor", field="page")
    after = None if page is None else page.removeprefix(CURSOR)
    if ids is None:
        return Listed(limit or LISTED, after, None)
    chosen = tuple(dict.fromkeys(ids))
    if len(chosen) > MOST_IDS:
        raise Invalid(f"List should have at most {MOST_IDS} items after validation", field="ids")
    if page is not None or limit is not None:
        raise Invalid("ids cannot be combined with page or limit", field="ids")
    return Listed(MOST_IDS, None, chosen)


def write_file(file: KeptFile) -> bytes:
    return orjson.dumps(_file(file))


def write_page(page: FilePage) -> bytes:
    ids = [file.id for file in page.files]
    return orjson.dumps(
        {
            "data": [_file(file) for file in page.files],
            "has_more": page.more,
            "first_id": ids[0] if ids else None,
            "last_id": ids[-1] if ids else None,
            "next_page": f"{CURSOR}{ids[-1]}" if page.more else None,
        }
    )


def write_deleted(id: str) -> bytes:
    return orjson.dumps({"id": id, "type": "file_deleted"})


def _file(file: KeptFile) -> dict[str, Any]:
    return {
        "id": file.id,
        "type": "file",
        "filename": file.filename,
        "mime_type": file.mime_type,
        "size_bytes": file.size,
        "created_at": _time(file.created_at),
        "expires_at": None if file.expires_at is None else _time(file.expires_at),
        "downloadable": file.made,
    }


def _time(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
