"""Writes answers as OpenRouter does, in chunks: Chat Completions' deltas in an envelope of its own.

Rule: which model answers is known from the Routed event; a failure after the first chunk is a chunk with an `error`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from haiga.core.errors import HaigaError
from haiga.core.generation import (
    BlockStarted,
    Choice,
    Event,
    Finished,
    Progress,
    Routed,
    SignatureDelta,
    Started,
    TextDelta,
    ThinkingDelta,
)
from haiga.core.messages import RedactedThinking, Thinking
from haiga.core.records import Price
from haiga.wire.openai_chat.read import Form
from haiga.wire.openai_chat.stream import DONE, ChoiceWriter, data_frame
from haiga.wire.openai_chat.write import finish_reason, logprobs_body, tier
from haiga.wire.openrouter import PROVIDER, errors
from haiga.wire.openrouter.write import packing_note, reasoning_detail, router_usage
from haiga.wire.sse import comment

PROCESSING = comment("OPENROUTER PROCESSING")


class RouterChoiceWriter(ChoiceWriter):
    """One answer's events to its deltas, thoughts among them where they are shown."""

    def __init__(self, form: Form, reasoning: bool) -> None:
        super().__init__(form)
        self._reasoning = reasoning
        self._thought = -1

    def delta(self, event: Event) -> dict[str, Any] | None:
        match event:
            case Started():
                return {"role": "assistant", "content": ""}
            case BlockStarted(block=Thinking() | RedactedThinking()):
                return self._begin(event)
            case ThinkingDelta():
                return self._piece({"text": event.thinking})
            case SignatureDelta():
                return self._piece({"signature": event.signature})
        return super().delta(event)

    def _begin(self, event: BlockStarted) -> dict[str, Any] | None:
        self._thought += 1
        detail = reasoning_detail(event.block)
        if detail is None or (detail["type"] == "reasoning.text" and not detail["text"]):
            return None
        return self._shown(detail)

    def _piece(self, part: dict[str, str]) -> dict[str, Any] | None:
        return self._shown({"type": "reasoning.text", **part, "format": "unknown"})

    def _shown(self, detail: dict[str, Any]) -> dict[str, Any] | None:
        if not self._reasoning:
            return None
        said = {"reasoning": detail["text"]} if "text" in detail else {}
        return {**said, "reasoning_details": [{**detail, "index": self._thought}]}


class RouterStream:
    """Turns the events of all answers into chunks; the plain Finished after the last answer's ends the stream.

    `price` gives a model's price by its name; `beside` is filled by then and told with the usage.
    """

    def __init__(
        self,
        form: Form,
        *,
        id: str,
        model: str,
        created: int,
        price: Callable[[str], Price],
        reasoning: bool,
        beside: Mapping[str, Any] | None = None,
    ) -> None:
        self._form = form
        self._beside = {} if beside is None else beside
        self._price = price
        self._reasoning = reasoning
        self._choices: dict[int, RouterChoiceWriter] = {}
        self._note: dict[str, Any] = {}
        self._head: dict[str, Any] = {
            "id": id,
            "provider": PROVIDER,
            "model": model,
            "object": "chat.completion.chunk",
            "created": created,
            **tier(form),
        }

    def write(self, item: Routed | Choice | Finished) -> bytes:
        match item:
            case Routed():
                self._head["model"] = item.model
                self._note = packing_note(item.dropped)
                return PROCESSING
            case Finished():
                usage = router_usage(item.usage, self._price(self._head["model"]))
                return data_frame({**self._head, "choices": [], "usage": usage, **self._note, **self._beside}) + DONE
        if isinstance(item.event, Progress):
            return PROCESSING
        if isinstance(item.event, Started) and item.event.by:
            self._head |= {"model": item.event.by.model, "provider": item.event.by.provider or PROVIDER}
        writer = self._choices.setdefault(item.index, RouterChoiceWriter(self._form, self._reasoning))
        delta = writer.delta(item.event)
        return b"" if delta is None else self._chunk(item, delta)

    def idle(self) -> bytes:
        return PROCESSING

    def error(self, error: HaigaError, request_id: str) -> bytes:
        """A last chunk that says what went wrong, and the closing mark: clients of this API wait for it."""
        choice = {
            "index": 0,
            "delta": {"content": ""},
            "finish_reason": "error",
            "native_finish_reason": "error",
            "logprobs": None,
        }
        return data_frame({**self._head, "error": errors.inner(error), "choices": [choice]}) + DONE

    def _chunk(self, item: Choice, delta: dict[str, Any]) -> bytes:
        event = item.event
        ended = event if isinstance(event, Finished) else None
        logprobs = event.logprobs if isinstance(event, TextDelta) and self._form.logprobs else ()
        choice = {
            "index": item.index,
            "delta": delta,
            "finish_reason": finish_reason(ended.stop, self._form) if ended else None,
            "native_finish_reason": ended.stop if ended else None,
            "logprobs": logprobs_body(logprobs) if logprobs else None,
        }
        return data_frame({**self._head, "choices": [choice]})
