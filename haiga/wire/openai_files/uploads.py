"""Bodies of the OpenAI Uploads API, and uploads as it shows them."""

from typing import Any

import orjson
from pydantic import Field

from haiga.core.files import FileSpec, KeptFile, KeptUpload, Part
from haiga.wire.body import read_object
from haiga.wire.filenames import file_name, file_type
from haiga.wire.openai_body import Shape, read_shape
from haiga.wire.openai_files.files import ExpiresAfter, Purpose, lifetime, shown

MOST_PARTS = 10_000


class UploadBody(Shape):
    """The body of POST /v1/uploads."""

    bytes: int = Field(ge=1)
    filename: str
    mime_type: str
    purpose: Purpose
    expires_after: ExpiresAfter | None = None


class PartForm(Shape):
    """The form of POST /v1/uploads/{id}/parts."""

    data: bytes = Field(description="At most 64 MiB.")


class CompletionOfUpload(Shape):
    """The body of POST /v1/uploads/{id}/complete."""

    part_ids: list[str] = Field(min_length=1, max_length=MOST_PARTS)
    md5: str | None = None


def read_upload(body: bytes) -> tuple[FileSpec, int]:
    """What is to arrive, and how many bytes it will have. Raises Invalid."""
    shape = read_shape(UploadBody, read_object(body))
    mime_type = file_type(shape.mime_type, shape.filename)
    name = file_name(shape.filename, mime_type)
    return FileSpec(name, mime_type, shape.purpose, lifetime(shape.purpose, shape.expires_after)), shape.bytes


def read_completion(body: bytes) -> CompletionOfUpload:
    """Raises Invalid."""
    return read_shape(CompletionOfUpload, read_object(body))


def write_upload(upload: KeptUpload, file: KeptFile | None = None) -> bytes:
    told: dict[str, Any] = {
        "id": upload.id,
        "object": "upload",
        "bytes": upload.size,
        "created_at": upload.created_at,
        "expires_at": upload.expires_at,
        "filename": upload.filename,
        "purpose": upload.purpose,
        "status": upload.status,
        "file": None if file is None else shown(file),
    }
    return orjson.dumps(told)


def write_part(part: Part) -> bytes:
    return orjson.dumps(
        {"id": part.id, "object": "upload.part", "created_at": part.created_at, "upload_id": part.upload}
    )
