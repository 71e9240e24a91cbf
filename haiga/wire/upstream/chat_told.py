"""Answers of a Chat Completions API as core events: its chunks, or a whole completion.

Rule: the order that core/generation draws holds whatever arrives. Calls end when something else begins; of calls that
are told by turns the first is told as it comes, and the others wait for its end.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from haiga.core.errors import Failed
from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Event,
    Finished,
    InputDelta,
    Quoted,
    Served,
    SignatureDelta,
    Started,
    StopReason,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
)
from haiga.core.messages import RedactedThinking, Text, Thinking, ToolUse
from haiga.wire.upstream.chunks import ChunkReader
from haiga.wire.upstream.errors import told_error
from haiga.wire.upstream.reading import number, read_json

MOST_CALLS = 1000


@dataclass(slots=True)
class _Call:
    """One call of the answer, and its arguments so far where they wait to be told."""

    id: str
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    told: bool = False


class ChatReader(ChunkReader):
    """One stream. `by` is who answers; with a form in it, the chunks are quoted as well."""

    def __init__(self, by: Served) -> None:
        super().__init__(by)
        self._open: Text | Thinking | ToolUse | None = None
        self._next = 0
        self._calls: dict[int, _Call] = {}
        self._live: int | None = None  # the call whose block is open
        self._refused = False

    def _meant(self, said: Mapping[str, Any], data: bytes) -> Iterator[Event]:
        yield from super()._meant(said, data)
        if self._by.form:
            yield Quoted("chat", data if b"\n" not in data else orjson.dumps(said))

    def _last(self) -> Iterator[Event]:
        yield from self._settled()
        yield from self._close()

    def _stop(self) -> StopReason:
        if self._refused:
            return "refusal"
        return "tool_use" if self._calls and self._finish == "stop" else super()._stop()

    def _grown(self, choice: Mapping[str, Any]) -> Iterator[Event]:
        delta = choice.get("delta")
        if isinstance(delta, dict):
            yield from self._thoughts(delta)
            yield from self._texts(delta, read_logprobs(choice.get("logprobs")))
            yield from self._called(delta)

    def _thoughts(self, delta: Mapping[str, Any]) -> Iterator[Event]:
        details = delta.get("reasoning_details")
        if isinstance(details, list) and details:
            for detail in details:
                yield from self._detail(detail) if isinstance(detail, dict) else ()
            return
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(thought, str) and thought:
            yield from self._in(Thinking(""))
            yield ThinkingDelta(self._next - 1, thought)

    def _detail(self, detail: Mapping[str, Any]) -> Iterator[Event]:
        thought, signature = detail.get("text") or detail.get("summary"), detail.get("signature")
        if detail.get("type") == "reasoning.encrypted" and isinstance(detail.get("data"), str):
            yield from self._close()
            yield from self._settled()
            yield BlockStarted(self._next, RedactedThinking(detail["data"]))
            yield BlockStopped(self._next)
            self._next += 1
            return
        if isinstance(thought, str) and thought:
            yield from self._in(Thinking(""))
            yield ThinkingDelta(self._next - 1, thought)
        if isinstance(signature, str) and signature and isinstance(self._open, Thinking):
            yield SignatureDelta(self._next - 1, signature)
            yield from self._close()

    def _texts(self, delta: Mapping[str, Any], logprobs: tuple[TokenLogprob, ...]) -> Iterator[Event]:
        text, refusal = delta.get("content"), delta.get("refusal")
        if isinstance(refusal, str) and refusal:
            self._refused, text = True, (text or "") + refusal
        if not isinstance(text, str) or not text:
            return
        yield from self._in(Text(""))
        yield TextDelta(self._next - 1, text, logprobs)

    def _called(self, delta: Mapping[str, Any]) -> Iterator[Event]:
        calls = delta.get("tool_calls") or ()
        if isinstance(delta.get("function_call"), dict):
            calls = [{"index": 0, "id": "call_0", "function": delta["function_call"]}]
        for call in calls:
            if isinstance(call, dict):
                yield from self._piece(call)

    def _piece(self, said: Mapping[str, Any]) -> Iterator[Event]:
        at = said.get("index")
        at = at if isinstance(at, int) and 0 <= at < MOST_CALLS else len(self._calls)
        call = self._calls.setdefault(at, _Call(f"call_{at}"))
        if call.told and at != self._live:
            raise Failed(f"{self._by.provider} went on with a call that it had ended")
        call.id = said["id"] if isinstance(said.get("id"), str) and said["id"] else call.id
        name, piece = _function(said)
        call.name = call.name or name
        if self._live is None and call.name and not call.told:
            yield from self._close()
            self._live, call.told, self._open = at, True, ToolUse(call.id, call.name, {})
            yield BlockStarted(self._next, self._open)
            self._next += 1
            call.pieces, piece = [], "".join((*call.pieces, piece))
        if piece and at == self._live:
            yield InputDelta(self._next - 1, piece)
        elif piece:
            call.pieces.append(piece)

    def _settled(self) -> Iterator[Event]:
        """The calls so far told to their end, in their order."""
        if self._live is not None:
            yield from self._close()
            self._live = None
        for at in sorted(self._calls):
            call = self._calls[at]
            if not call.told:
                call.told = True
                yield BlockStarted(self._next, ToolUse(call.id, call.name, {}))
                if call.pieces:
                    yield InputDelta(self._next, "".join(call.pieces))
                yield BlockStopped(self._next)
                self._next += 1

    def _in(self, block: Text | Thinking) -> Iterator[Event]:
        """Have a block of that kind open; the calls before it have ended then."""
        if type(self._open) is type(block):
            return
        yield from self._close()
        yield from self._settled()
        self._open = block
        yield BlockStarted(self._next, block)
        self._next += 1

    def _close(self) -> Iterator[Event]:
        if self._open is not None:
            self._open = None
            yield BlockStopped(self._next - 1)


def _function(said: Mapping[str, Any]) -> tuple[str, str]:
    """The name that a piece of a call tells, and the piece of its arguments; a call of free text is one whole."""
    custom = said.get("custom")
    if isinstance(custom, dict):
        return str(custom.get("name") or ""), orjson.dumps({"input": str(custom.get("input") or "")}).decode()
    function = said.get("function")
    function = function if isinstance(function, dict) else {}
    piece = function.get("arguments")
    return str(function.get("name") or ""), piece if isinstance(piece, str) else ""


def read_whole(data: bytes, by: Served) -> Iterator[Event]:
    """The events of a whole completion: of its first choice. Raises Failed for what is none."""
    said = read_json(data)
    if said.get("error"):
        raise told_error(said, None, {}, by.provider)
    choices = said.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Failed(f"{by.provider} answered with something else than a completion")
    choice = choices[0]
    message = choice.get("message")
    delta = dict(message) if isinstance(message, dict) else {}
    if isinstance(delta.get("tool_calls"), list):
        delta["tool_calls"] = [
            call | {"index": i} for i, call in enumerate(delta["tool_calls"]) if isinstance(call, dict)
        ]
    reader = ChatReader(replace(by, form=None))
    chunk = {"choices": [{**choice, "index": 0, "delta": delta}], "usage": said.get("usage")}
    *events, end = [*reader.read(orjson.dumps(chunk)), *reader.finish()]
    assert isinstance(end, Finished)
    yield Started(replace(end.usage, output=0, thinking=0), by)
    yield from events[1:]
    if by.form:
        yield Quoted("chat", data, whole=True)
    yield end


def read_logprobs(said: Any) -> tuple[TokenLogprob, ...]:
    """Log probabilities as the API tells them; ids of tokens it does not tell."""
    content = said.get("content") if isinstance(said, dict) else None
    return tuple(_scored(token) for token in content or () if isinstance(token, dict))


def _scored(token: Mapping[str, Any]) -> TokenLogprob:
    tops: Sequence[Any] = token.get("top_logprobs") or ()
    top = tuple((0, str(each.get("token")), number(each.get("logprob"))) for each in tops if isinstance(each, dict))
    return TokenLogprob(0, str(token.get("token")), number(token.get("logprob")), top)
