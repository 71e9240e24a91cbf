"""What makes a batch, and batches as the OpenAI API shows them."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias, get_args

import orjson
from pydantic import Field

from haiga.core.errors import Invalid, Unsupported
from haiga.core.files import KeptFile
from haiga.core.jobs import Batch, Page, Papers
from haiga.wire.body import read_object
from haiga.wire.openai_body import Shape, read_shape
from haiga.wire.openai_files.files import LONGEST_LIFE, ExpiresAfter

PREFIX = "batch"
PURPOSE = "batch"
Endpoint: TypeAlias = Literal[
    "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/moderations", "/v1/responses"
]
OtherEndpoint: TypeAlias = Literal["/v1/images/generations", "/v1/images/edits", "/v1/videos"]
ENDPOINTS: tuple[str, ...] = get_args(Endpoint)
MetadataParam: TypeAlias = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
]


class OpenAIBatchBody(Shape):
    """The body of POST /v1/batches."""

    input_file_id: str
    endpoint: Endpoint | OtherEndpoint
    completion_window: Literal["24h"]
    metadata: MetadataParam | None = None
    output_expires_after: ExpiresAfter | None = None


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """What is asked for."""

    endpoint: str
    papers: Papers


def read_batch(body: bytes) -> BatchRequest:
    """Raises Invalid and Unsupported."""
    shape = read_shape(OpenAIBatchBody, read_object(body))
    if shape.endpoint not in ENDPOINTS:
        raise Unsupported(f"Batches to {shape.endpoint} are not supported by this server.", field="endpoint")
    lifetime = shape.output_expires_after.seconds if shape.output_expires_after else LONGEST_LIFE
    return BatchRequest(shape.endpoint, Papers(shape.input_file_id, lifetime, shape.metadata))


def check_input(file: KeptFile) -> None:
    """Raises Invalid for a file that is not for batches."""
    if file.purpose != PURPOSE:
        raise Invalid(
            f"Invalid input file purpose: expected '{PURPOSE}', but {file.id} is for '{file.purpose}'.",
            field="input_file_id",
            code="invalid_file_purpose",
        )


def write_batch(batch: Batch) -> bytes:
    return orjson.dumps(_batch(batch))


def write_page(page: Page) -> bytes:
    data = [_batch(batch) for batch in page.batches]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return orjson.dumps({"object": "list", "data": data, **ends, "has_more": page.more})


def status(batch: Batch) -> str:
    """In the API's words: what a batch is canceling it is until the files of its results are written."""
    match batch.status:
        case "canceling":
            return "cancelling"
        case "finalizing" if batch.cancel_initiated_at is not None:
            return "cancelling"
        case "ended" if batch.cancel_initiated_at is not None:
            return "cancelled"
        case "ended":
            return "expired" if batch.counts.expired else "completed"
    return batch.status


def _batch(batch: Batch) -> dict[str, Any]:
    papers = batch.papers
    assert papers is not None
    told = status(batch)
    ends = {f"{name}_at": batch.ended_at if told == name else None for name in ("completed", "failed", "expired")}
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "model": papers.model,
        "errors": _problems(papers),
        "input_file_id": papers.input,
        "completion_window": "24h",
        "status": told,
        "output_file_id": papers.output,
        "error_file_id": papers.errors,
        "created_at": batch.created_at,
        "in_progress_at": papers.begun_at,
        "expires_at": batch.expires_at,
        "finalizing_at": papers.finalizing_at,
        **ends,
        "cancelling_at": batch.cancel_initiated_at,
        "cancelled_at": batch.ended_at if told == "cancelled" else None,
        "request_counts": {
            "total": batch.total,
            "completed": batch.counts.succeeded,
            "failed": batch.counts.done - batch.counts.succeeded,
        },
        "usage": _usage(batch),
        "metadata": papers.metadata,
    }


def _problems(papers: Papers) -> dict[str, Any] | None:
    if not papers.problems:
        return None
    data = [
        {"code": problem.code, "message": problem.message, "line": problem.line, "param": problem.param}
        for problem in papers.problems
    ]
    return {"object": "list", "data": data}


def _usage(batch: Batch) -> dict[str, Any]:
    counts = batch.counts
    return {
        "input_tokens": counts.input_tokens,
        "input_tokens_details": {"cached_tokens": counts.cached_tokens},
        "output_tokens": counts.output_tokens,
        "output_tokens_details": {"reasoning_tokens": counts.reasoning_tokens},
        "total_tokens": counts.input_tokens + counts.output_tokens,
    }
