"""What an upstream is told of a trace: the span of the question that is put to it."""

from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, format_span_id, format_trace_id

from haiga.core.access import Caller
from haiga.core.embedding import EmbeddingRequest
from haiga.core.generation import TextRequest
from haiga.core.messages import Message, Text
from haiga.engines.fake import FakeEngine
from haiga.engines.upstream import Upstreams
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.services.tracing import Tracing
from tests.far_server import Asked, far_server
from tests.wire.upstreams.served import upstream
from tests.wire.upstreams.test_across import by_chat
from tests.wire.upstreams.test_prompts_and_vectors import completion, vectors


async def asked(model: str, traced: bool = True) -> tuple[Sequence[ReadableSpan], list[Asked]]:
    """A chat, a bare prompt and a text to embed; the spans, and what the upstream was sent."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    scripts = {"/chat/completions": by_chat, "/completions": completion, "/embeddings": vectors}
    with far_server(lambda it: scripts[it.path.removeprefix("/v1")](it)) as far:
        models = Models({"fake": FakeEngine()}, elsewhere=Upstreams([upstream("openai", far.url)]))
        stages = [Tracing(provider.get_tracer("t"), provider=lambda name: models.card(name).provider)] if traced else []
        inference = Inference(models, stages=stages, embedding=stages)
        said = TextRequest(model, (Message("user", (Text("hi"),)),), 9)
        for request in (said, TextRequest(model, said.messages, 9, raw="hi")):
            async for _ in inference.generate(Caller(), request):
                pass
        if model.startswith("gpt"):
            await inference.embed(Caller(), EmbeddingRequest(model, ("hi",)))
        await models.close()
    return [span for span in exporter.get_finished_spans() if span.parent is None], far.asked


async def test_an_upstream_is_sent_the_span_of_its_question_which_is_a_client_s() -> None:
    spans, sent = await asked("gpt-far")
    named = [f"00-{format_trace_id(it.context.trace_id)}-{format_span_id(it.context.span_id)}" for it in spans]
    assert named == [each.headers["traceparent"][:-3] for each in sent]
    assert ["chat gpt-far", "text_completion gpt-far", "embeddings gpt-far"] == [span.name for span in spans]
    assert {(SpanKind.CLIENT, "openai")} == {(it.kind, (it.attributes or {})["gen_ai.provider.name"]) for it in spans}


async def test_a_model_of_this_server_is_no_client_s_span() -> None:
    spans, sent = await asked("fake")
    assert [(SpanKind.INTERNAL, "haiga")] * 2 == [
        (it.kind, (it.attributes or {})["gen_ai.provider.name"]) for it in spans
    ]
    assert [] == sent


@pytest.mark.parametrize("header", ["traceparent", "tracestate"])
async def test_without_traces_nothing_of_one_goes_out(header: str) -> None:
    _, sent = await asked("gpt-far", traced=False)
    assert [False] * 3 == [header in each.headers for each in sent]
