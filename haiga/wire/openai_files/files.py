"""Forms to files, and files as the OpenAI API shows them."""

from typing import Any, Literal, TypeAlias, get_args

import orjson
from pydantic import Field

from haiga.core.errors import Invalid
from haiga.core.files import FilePage, FileSpec, KeptFile
from haiga.wire.filenames import file_name, file_type
from haiga.wire.multipart import Form
from haiga.wire.openai_body import Shape, missing, read_shape, unsupported_values, wrong_type

PREFIX = "file-"
LARGEST = 512 << 20  # bytes
SHORTEST_LIFE, LONGEST_LIFE = 3600, 30 * 24 * 3600  # seconds
Purpose: TypeAlias = Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]


class ExpiresAfter(Shape):
    """How long something is kept, from its creation."""

    anchor: Literal["created_at"]
    seconds: int = Field(ge=SHORTEST_LIFE, le=LONGEST_LIFE)


class OpenAIFileForm(Shape):
    """The form of POST /v1/files without `anthropic-version`."""

    file: bytes = Field(description="At most 512 MiB.")
    purpose: Purpose
    expires_after: ExpiresAfter | None = None


def read_file(form: Form) -> FileSpec:
    """What a form says of its file. Raises Invalid."""
    purpose = form.fields.get("purpose")
    if purpose is None:
        raise missing("purpose")
    if purpose not in get_args(Purpose):
        raise unsupported_values(purpose, get_args(Purpose), "purpose")
    mime_type = file_type(form.mime_type, form.filename)
    return FileSpec(file_name(form.filename, mime_type), mime_type, purpose, lifetime(purpose, _expiry(form)))


def lifetime(purpose: str, wanted: ExpiresAfter | None) -> int | None:
    """Seconds that a file is kept: unless told otherwise, one for batches as long as may be asked for, any other for
    good."""
    if wanted is not None:
        return wanted.seconds
    return LONGEST_LIFE if purpose == "batch" else None


def _expiry(form: Form) -> ExpiresAfter | None:
    given: dict[str, Any] = {
        name: form.fields[f"expires_after[{name}]"]
        for name in ExpiresAfter.model_fields
        if f"expires_after[{name}]" in form.fields
    }
    if not given:
        return None
    seconds = given.get("seconds", "")
    if seconds.isascii() and seconds.isdigit() and len(seconds) < 20:
        given["seconds"] = int(seconds)
    elif seconds:
        raise wrong_type("expires_after[seconds]", "an integer", seconds)
    try:
        return read_shape(ExpiresAfter, given)
    except Invalid as error:
        error.field = f"expires_after[{error.field}]"
        raise


def write_file(file: KeptFile) -> bytes:
    return orjson.dumps(shown(file))


def write_page(page: FilePage) -> bytes:
    data = [shown(file) for file in page.files]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return orjson.dumps({"object": "list", "data": data, **ends, "has_more": page.more})


def write_deleted(id: str) -> bytes:
    return orjson.dumps({"id": id, "object": "file", "deleted": True})


def shown(file: KeptFile) -> dict[str, Any]:
    """A file as the API has it; whatever is kept has been processed."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size,
        "created_at": file.created_at,
        "expires_at": file.expires_at,
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }
