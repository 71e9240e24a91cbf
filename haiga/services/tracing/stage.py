"""The innermost stage: a span for each question to a model, and in it one each for queue, prefill and decode.

Rule: what a span says is known when it ends; nothing of what was said is in it unless `content` is wanted.
"""

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from haiga.core.access import Caller
from haiga.core.embedding import EmbeddingRequest, Embeddings
from haiga.core.errors import HaigaError
from haiga.core.generation import Event, Finished, Progress, Started, TextRequest, fold
from haiga.core.ports import Ask, AskVectors
from haiga.services.tracing import attributes, content

SILENT = frozenset((Started, Progress))  # events before the answer itself
BILLION = 1_000_000_000


@dataclass(slots=True)
class _Phases:
    """When the phases of an answer began: nanoseconds of unix time."""

    tracer: Tracer
    span: Span
    prefill: int | None = None
    decode: int | None = None

    def started(self, event: Started, now: int) -> None:
        self.prefill = now - int(event.ran * BILLION)
        self.span.set_attributes(attributes.prompt(event.usage))
        if event.by is None:
            self._tell("queue", self.prefill - int(event.waited * BILLION), self.prefill)
        else:
            self.span.set_attribute("gen_ai.response.model", event.by.model)
            if event.by.provider:
                self.span.set_attribute("gen_ai.provider.name", event.by.provider)

    def said(self, now: int) -> None:
        if self.decode is None:
            self.decode = now
            self._tell("prefill", self.prefill or now, now)

    def end(self, now: int) -> None:
        if self.decode is not None:
            self._tell("decode", self.decode, now)
        self.span.end(now)

    def _tell(self, name: str, start: int, end: int) -> None:
        child = self.tracer.start_span(name, set_span_in_context(self.span), start_time=start)
        child.end(end)


class Tracing:
    """Spans of `tracer`; with `content` they say what was asked and answered. `provider` gives who runs a model
    elsewhere, empty for this server: it is told the trace, and may go on with it. `clock` gives nanoseconds of unix
    time."""

    def __init__(
        self,
        tracer: Tracer,
        content: bool = False,
        clock: Callable[[], int] = time.time_ns,
        provider: Callable[[str], str] = lambda model: "",
    ) -> None:
        self._tracer = tracer
        self._content = content
        self._clock = clock
        self._provider = provider

    async def answer(self, caller: Caller, request: TextRequest, ask: Ask) -> AsyncGenerator[Event, None]:
        """The events as they are."""
        span = self._begin(attributes.operation(request), request.model, attributes.asked(caller, request))
        request = replace(request, trace=_headers(span))
        phases, heard = _Phases(self._tracer, span), list[Event]()
        try:
            async with aclosing(ask(caller, request)) as events:
                async for event in events:
                    self._note(event, phases, heard)
                    yield event
            if self._content and span.is_recording():
                span.set_attributes(content.asked(request) | content.answered(fold(heard)))
        except GeneratorExit:
            span.set_attribute("error.type", "cancelled")
            raise
        except BaseException as error:
            _fail(span, error)
            raise
        finally:
            phases.end(self._clock())

    async def embed(self, caller: Caller, request: EmbeddingRequest, ask: AskVectors) -> Embeddings:
        """The vectors as they are."""
        span = self._begin(attributes.EMBEDDINGS, request.model, attributes.embedded(caller, request))
        request = replace(request, trace=_headers(span))
        try:
            made = await ask(caller, request)
            span.set_attribute("gen_ai.usage.input_tokens", made.tokens)
        except BaseException as error:
            _fail(span, error)
            raise
        finally:
            span.end(self._clock())
        return made

    def _begin(self, operation: str, model: str, said: Mapping[str, attributes.Value]) -> Span:
        provider = self._provider(model)
        kind = SpanKind.CLIENT if provider else SpanKind.INTERNAL
        told = {**said, "gen_ai.provider.name": provider or attributes.PROVIDER}
        return self._tracer.start_span(f"{operation} {model}", None, kind, told, start_time=self._clock())

    def _note(self, event: Event, phases: _Phases, heard: list[Event]) -> None:
        if type(event) is Started:
            phases.started(event, self._clock())
        elif type(event) not in SILENT:
            phases.said(self._clock())
        if type(event) is Finished:
            phases.span.set_attributes(attributes.answer(event.used))
            phases.span.set_attribute("gen_ai.response.finish_reasons", [event.stop])
        if self._content:
            heard.append(event)


def _headers(span: Span) -> dict[str, str]:
    headers: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(headers, set_span_in_context(span))
    return headers


def _fail(span: Span, error: BaseException) -> None:
    name = error.name if isinstance(error, HaigaError) else type(error).__name__
    span.set_attribute("error.type", name)
    span.set_status(Status(StatusCode.ERROR, name))
