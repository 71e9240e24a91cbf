"""The Message Batches API: bodies to lines and back.

Rule: what is wrong with a batch is refused when it is made; what is wrong with one line's params is that line's result.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from pydantic import Field

from haiga.core.embedding import Embeddings
from haiga.core.errors import HaigaError, Invalid
from haiga.core.generation import Reply, TextRequest
from haiga.core.jobs import Batch, Counts, Line, Page, Result
from haiga.core.moderation import Moderation
from haiga.core.ports import ModelCard
from haiga.wire.anthropic.base import Shape
from haiga.wire.anthropic.errors import envelope
from haiga.wire.anthropic.messages_in import read_message
from haiga.wire.anthropic.messages_out import write_message
from haiga.wire.body import read_object, read_shape
from haiga.wire.elements import Elements

ENDPOINT = "/v1/messages"
MAX_REQUESTS = 100_000
NOT_HERE = "is not supported in a message batch"


class BatchRequest(Shape):
    """One request of a batch: an id of the caller's own and the body of a message."""

    custom_id: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$", description="Unique in the batch.")
    params: dict[str, Any] = Field(description="The body of POST /v1/messages; validated when its turn comes.")


class BatchBody(Shape):
    """The body of POST /v1/messages/batches."""

    requests: list[BatchRequest] = Field(min_length=1, max_length=MAX_REQUESTS)


class BatchReader:
    """A body that arrives in pieces, to requests as custom id and params. Raises Invalid and TooLarge."""

    def __init__(self) -> None:
        self._elements = Elements("requests")
        self._ids: set[str] = set()

    def feed(self, piece: bytes) -> list[tuple[str, bytes]]:
        """The requests that this piece completes."""
        return [self._request(item) for item in self._elements.feed(piece)]

    def close(self) -> int:
        """How many requests there were."""
        if not self._elements.close():
            raise Invalid("List should have at least 1 item after validation, not 0", field="requests")
        return len(self._ids)

    def _request(self, item: bytes) -> tuple[str, bytes]:
        place = f"requests.{len(self._ids)}"
        if len(self._ids) == MAX_REQUESTS:
            raise Invalid(f"List should have at most {MAX_REQUESTS} items after validation", field="requests")
        try:
            request = read_shape(BatchRequest, read_object(item))
        except Invalid as error:
            path = place if error.field is None else f"{place}.{error.field}"
            raise Invalid(error.message, field=path) from None
        if request.custom_id in self._ids:
            raise Invalid(f"custom_id must be unique: {request.custom_id}", field=f"{place}.custom_id")
        self._ids.add(request.custom_id)
        return request.custom_id, orjson.dumps(request.params)


@dataclass(frozen=True, slots=True)
class MessageLine:
    """A line that was read: one answer is wanted."""

    request: TextRequest
    each: int = 1
    written: str = ""
    judged: None = None

    @property
    def model(self) -> str:
        return self.request.model

    def work(self, card: ModelCard) -> Sequence[TextRequest]:
        """The request as it is."""
        return (self.request,)

    def placed(self, error: HaigaError) -> HaigaError:
        """Core errors name fields as this API does."""
        return error

    def succeeded(
        self,
        made: Sequence[Reply] | Embeddings | Moderation,
        beside: Mapping[str, Any],
        *,
        model: str,
        created: int,
        new_id: Callable[[str], str],
    ) -> bytes:
        """The message that came of it."""
        assert not isinstance(made, Embeddings | Moderation)
        message = orjson.loads(write_message(made[0], id=new_id("msg"), model=model))
        message["usage"]["service_tier"] = "batch"
        return orjson.dumps({"type": "succeeded", "message": message})


class MessageLines:
    """Lines that are messages, read by the rules of the request that made their batch."""

    def read(self, line: Line) -> MessageLine:
        """Raises Invalid and Unsupported."""
        params = orjson.loads(line.params)
        if params.get("stream"):
            raise Invalid(NOT_HERE, field="stream")
        if params.get("speed") is not None:
            raise Invalid(NOT_HERE, field="speed")
        asked = read_message(line.params, line.rules.version, line.rules.betas)
        if asked.request.max_tokens == 0:
            raise Invalid("Input should be greater than or equal to 1", field="max_tokens")
        return MessageLine(asked.request)

    def failed(self, error: HaigaError, *, id: str) -> bytes:
        return orjson.dumps({"type": "errored", "error": envelope(error, id)})


# --- answers ---


def write_batch(batch: Batch, base: str) -> bytes:
    """`base` is the server's own address, as in http://host/."""
    return orjson.dumps(_batch(batch, base))


def write_page(page: Page, base: str) -> bytes:
    ids = [batch.id for batch in page.batches]
    return orjson.dumps(
        {
            "data": [_batch(batch, base) for batch in page.batches],
            "has_more": page.more,
            "first_id": ids[0] if ids else None,
            "last_id": ids[-1] if ids else None,
        }
    )


def write_deleted(id: str) -> bytes:
    return orjson.dumps({"id": id, "type": "message_batch_deleted"})


def write_result(result: Result) -> bytes:
    """A line of the results. One that was computed for another line says so in its usage."""
    told = result.result
    if result.reused:
        value = orjson.loads(told)
        value["message"]["usage"]["haiga_reused"] = True
        told = orjson.dumps(value)
    return b'{"custom_id":%b,"result":%b}\n' % (orjson.dumps(result.custom_id), told)


def _batch(batch: Batch, base: str) -> Mapping[str, Any]:
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": batch.status,
        "request_counts": _counts(batch),
        "created_at": _time(batch.created_at),
        "expires_at": _time(batch.expires_at),
        "ended_at": _time(batch.ended_at),
        "cancel_initiated_at": _time(batch.cancel_initiated_at),
        "archived_at": _time(batch.archived_at),
        "results_url": f"{base}v1/messages/batches/{batch.id}/results" if batch.readable else None,
        "haiga_progress": {"done": batch.counts.done, "output_tokens": batch.counts.output_tokens},
    }


def _counts(batch: Batch) -> dict[str, int]:
    """Every request is processing until the last one has its result."""
    told = batch.counts if batch.status == "ended" else Counts()
    return {
        "processing": batch.total - told.done,
        "succeeded": told.succeeded,
        "errored": told.errored,
        "canceled": told.canceled,
        "expired": told.expired,
    }


def _time(at: int | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
