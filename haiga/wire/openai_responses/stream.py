"""Writes an answer as the Responses API's events, and adds them up to the response that they describe.

Rule: every event is numbered, from 0 without a gap. The whole response is what the events add up to, so that a stream
and a whole answer cannot differ. An item is closed only when what follows it is known, since a cut answer's last item
is incomplete.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from haiga.core.errors import HaigaError
from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Echo,
    Event,
    Finished,
    Progress,
    Quoted,
    Started,
    TextDelta,
    ThinkingDelta,
    together,
)
from haiga.core.messages import Block, ServerToolResult, Text, Thinking
from haiga.wire.openai_errors import envelope
from haiga.wire.openai_responses.items_out import Json, McpCallItem, OpenItem, open_item
from haiga.wire.openai_responses.read import Form
from haiga.wire.openai_responses.write import CUT, error_body, usage_body


class ResponseWriter:
    """Core events to the API's. `head` holds the response's unchanging fields, `placed` names an error's field as the
    request names it, `clock` gives unix seconds; `beside` is filled before the answer's end."""

    def __init__(
        self,
        head: Mapping[str, Any],
        form: Form,
        placed: Callable[[HaigaError], HaigaError],
        new_id: Callable[[str], str],
        clock: Callable[[], float],
        beside: Mapping[str, Any] | None = None,
    ) -> None:
        self._head = head
        self._form = form
        self._in_place = placed
        self._new_id = new_id
        self._clock = clock
        self._beside = {} if beside is None else beside
        self._number = 0
        self._output: list[Json | None] = []  # None for a call whose result is awaited
        self._calls: dict[str, tuple[int, McpCallItem]] = {}
        self._item: OpenItem | None = None
        self._outcome: Json = {"error": None, "incomplete_details": None, "usage": None, "completed_at": None}
        self.status = "queued" if head["background"] else "in_progress"

    def response(self) -> Json:
        """The response as it stands; items that are not done yet are not in it."""
        told = {**self._outcome, **self._beside}
        return {**self._head, "status": self.status, **told, "output": [*filter(None, self._output)]}

    def open(self) -> list[Json]:
        """The first events; none when they have been."""
        if self._number:
            return []
        kinds = ["response.created", *(["response.queued"] if self.status == "queued" else [])]
        return [self._lifecycle(kind) for kind in kinds]

    def write(self, event: Event) -> list[Json]:
        match event:
            case Started():
                if event.by:
                    self._head = {**self._head, "model": event.by.model}
                return self._begin()
            case BlockStarted(block=ServerToolResult() as result):
                return [*self._close("completed"), *self._answer(result)]
            case BlockStarted():
                return [*self._close("completed"), *self._start(event.block)]
            case Finished():
                return self._finish(event)
            case BlockStopped() | Progress() | Echo() | Quoted():
                return []
        return [self._placed(said) for said in self._item.grow(event)] if self._item else []

    def fail(self, error: HaigaError) -> list[Json]:
        """The last events after a failure: the open item is closed, then the error is told twice, once for those who
        read the stream and once in the response."""
        error = self._in_place(error)
        said = envelope(error)["error"]
        events = [*self.open(), *self._end("incomplete")]
        told = {"type": "error", "code": said["code"] or said["type"], "message": said["message"]}
        events.append(self._numbered(told | {"param": said["param"]}))
        self.status = "failed"
        self._outcome["error"] = error_body(error)
        return [*events, self._lifecycle("response.failed")]

    def cancel(self) -> list[Json]:
        """The last events after a cancellation."""
        events = [*self.open(), *self._end("incomplete")]
        self.status = "cancelled"
        return [*events, self._lifecycle("response.cancelled")]

    def _begin(self) -> list[Json]:
        events = self.open()
        self.status = "in_progress"
        return [*events, self._lifecycle("response.in_progress")]

    def _start(self, block: Block) -> Iterable[Json]:
        self._item = item = open_item(block, self._form, self._new_id)
        if item is None:
            return
        added = {"type": "response.output_item.added", "output_index": len(self._output)}
        yield self._numbered(added | {"item": item.body("in_progress")})
        for said in [*item.opening(), *_grown(item, block)]:
            yield self._placed(said)

    def _close(self, status: str) -> Iterable[Json]:
        item, self._item = self._item, None
        if item is None:
            return
        at = len(self._output)
        for said in item.closing():
            yield self._numbered({**said, "item_id": item.id, "output_index": at})
        self._output.append(None)
        if isinstance(item, McpCallItem) and status == "completed":
            self._calls[item.call] = (at, item)
        else:
            yield self._done(at, item.body(status))

    def _answer(self, result: ServerToolResult) -> Iterable[Json]:
        """A call has its result."""
        at, item = self._calls.pop(result.tool_use_id)
        for said in item.answer(result):
            yield self._numbered({**said, "item_id": item.id, "output_index": at})
        yield self._done(at, item.body("completed"))

    def _done(self, at: int, body: Json) -> Json:
        self._output[at] = body
        return self._numbered({"type": "response.output_item.done", "output_index": at, "item": body})

    def _end(self, status: str) -> list[Json]:
        """Close what is open; calls that never had their result are incomplete."""
        events = [*self._close(status)]
        calls, self._calls = self._calls, {}
        return [*events, *(self._done(at, item.body("incomplete")) for at, item in calls.values())]

    def _finish(self, end: Finished) -> list[Json]:
        reason = CUT.get(end.stop)
        events = self._end("incomplete" if reason else "completed")
        self.status = "incomplete" if reason else "completed"
        self._outcome["usage"] = usage_body(together([end.usage, *([end.compacted] if end.compacted else [])], 1))
        if reason:
            self._outcome["incomplete_details"] = {"reason": reason}
        else:
            self._outcome["completed_at"] = int(self._clock())
        return [*events, self._lifecycle(f"response.{self.status}")]

    # --- numbering ---

    def _lifecycle(self, kind: str) -> Json:
        return self._numbered({"type": kind, "response": self.response()})

    def _placed(self, said: Json) -> Json:
        assert self._item is not None
        return self._numbered({**said, "item_id": self._item.id, "output_index": len(self._output)})

    def _numbered(self, said: Json) -> Json:
        said["sequence_number"] = self._number
        self._number += 1
        return said


def _grown(item: OpenItem, block: Block) -> list[Json]:
    """What a block that does not begin empty says at once."""
    match block:
        case Text(text=text) if text:
            return item.grow(TextDelta(0, text))
        case Thinking(thinking=thinking) if thinking:
            return item.grow(ThinkingDelta(0, thinking))
    return []
