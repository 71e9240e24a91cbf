"""Streams of OpenAI's forms, whose chunks carry choices and at last usage: what chats and bare prompts have in common.

Rule: of several choices the first is read; a stream that has named no reason for its end is broken off.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

from haiga.core.errors import Failed
from haiga.core.generation import Event, Finished, Served, Started, StopReason, Usage
from haiga.wire.upstream.errors import told_error
from haiga.wire.upstream.reading import count, read_json

DONE = b"[DONE]"
STOPS: Mapping[str, StopReason] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}


class ChunkReader(ABC):
    """One stream. `by` is who answers. A form says what its choices mean (`_grown`), and what else begins and ends an
    answer (`_first`, `_last`)."""

    def __init__(self, by: Served) -> None:
        self._by = by
        self._begun = False
        self._finish: str | None = None
        self._usage = Usage()
        self.ended = False

    def read(self, data: bytes) -> Iterator[Event]:
        """What the data of one server-sent event means. Raises Failed for what cannot be, and what an error says."""
        if self.ended:
            return
        if data.strip() == DONE:
            yield from self.finish()
            return
        said = read_json(data)
        if said.get("error"):
            raise told_error(said, None, {}, self._by.provider)
        if not self._begun:
            self._begun = True
            yield Started(Usage(), self._by)
            yield from self._first()
        yield from self._meant(said, data)

    def finish(self) -> Iterator[Event]:
        """The end of the stream, which some servers do not mark. Raises Failed when the answer has not come to one."""
        if self.ended:
            return
        if self._finish is None:
            raise Failed(f"{self._by.provider} broke off its answer", code="upstream_failed")
        yield from self._last()
        self.ended = True
        yield Finished(self._stop(), self._usage)

    def _meant(self, said: Mapping[str, Any], data: bytes) -> Iterator[Event]:
        if isinstance(said.get("usage"), dict):
            self._usage = read_usage(said["usage"])
        choices = said.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and not choice.get("index"):
                yield from self._grown(choice)
                if choice.get("finish_reason"):
                    self._finish = str(choice["finish_reason"])

    def _stop(self) -> StopReason:
        return STOPS.get(self._finish or "", "end_turn")

    def _first(self) -> Iterator[Event]:
        return iter(())

    @abstractmethod
    def _grown(self, choice: Mapping[str, Any]) -> Iterator[Event]: ...

    @abstractmethod
    def _last(self) -> Iterator[Event]: ...


def read_usage(said: Mapping[str, Any]) -> Usage:
    """Cached tokens are part of the prompt's, as are those that were written to the cache."""
    prompt, details = count(said.get("prompt_tokens")), said.get("prompt_tokens_details")
    details = details if isinstance(details, dict) else {}
    spent = said.get("completion_tokens_details")
    spent = spent if isinstance(spent, dict) else {}
    read = min(prompt, count(details.get("cached_tokens")))
    written = min(prompt - read, count(details.get("cache_write_tokens")))
    return Usage(
        input=prompt - read - written,
        creation_5m=written,
        cache_read=read,
        output=count(said.get("completion_tokens")),
        thinking=count(spent.get("reasoning_tokens")),
        accepted=count(spent.get("accepted_prediction_tokens")),
        rejected=count(spent.get("rejected_prediction_tokens")),
    )
