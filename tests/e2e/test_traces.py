"""Traces of `haiga serve`, as a collector receives them over OTLP/HTTP."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from typer.testing import CliRunner

from haiga.cli import app
from tests.e2e.test_serve import OLD, serving
from tests.far_server import far_server
from tests.wire.upstreams.test_across import by_chat

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector(ThreadingHTTPServer):
    """What is posted to it, as spans."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        super().__init__(("127.0.0.1", 0), Receiving)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def spans(self) -> list[Any]:
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        scopes = [scope for each in requests for resource in each.resource_spans for scope in resource.scope_spans]
        return [span for scope in scopes for span in scope.spans]


class Receiving(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        assert "/v1/traces" == self.path
        self.server.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def collecting() -> Iterator[Collector]:
    with Collector() as collector:
        thread = Thread(target=collector.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            thread.join()


def said(span: Any) -> dict[str, Any]:
    values = {each.key: each.value for each in span.attributes}
    return {name: getattr(value, value.WhichOneof("value")) for name, value in values.items()}


def test_a_request_is_traced_from_its_client_s_span_to_its_last_token(tmp_path: Path) -> None:
    body = {"model": "starter", "max_tokens": 8, "messages": [{"role": "user", "content": "Tell me of the zanzibar."}]}
    headers = OLD | {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    with collecting() as collector:
        with serving(tmp_path, "--trace", collector.url, "--offline") as server:
            answer = httpx.post(f"{server.url}/v1/messages", json=body, headers=headers, timeout=60)
            unknown = httpx.get(f"{server.url}/v1/models/nobody", headers=OLD)
            usage = answer.raise_for_status().json()["usage"]
        spans = {span.name: span for span in collector.spans()}
    request, chat = spans["POST /v1/messages"], spans["chat starter"]
    assert (TRACE, PARENT) == (request.trace_id.hex(), request.parent_span_id.hex())
    assert {TRACE} == {spans[name].trace_id.hex() for name in ("chat starter", "queue", "prefill", "decode")}
    assert request.span_id == chat.parent_span_id
    assert {chat.span_id} == {spans[name].parent_span_id for name in ("queue", "prefill", "decode")}
    parts = [spans[name] for name in ("queue", "prefill", "decode")]
    moments = [request.start_time_unix_nano, chat.start_time_unix_nano]
    moments += [moment for part in parts for moment in (part.start_time_unix_nano, part.end_time_unix_nano)]
    moments += [chat.end_time_unix_nano, request.end_time_unix_nano]
    assert sorted(moments) == moments
    assert (usage["input_tokens"], usage["output_tokens"]) == (
        said(chat)["gen_ai.usage.input_tokens"] - usage["cache_read_input_tokens"],
        said(chat)["gen_ai.usage.output_tokens"],
    )
    assert answer.headers["request-id"] == said(request)["haiga.request_id"]
    missed = spans["GET /v1/models/{id:path}"]
    assert (404, 404, "notfound") == (
        unknown.status_code, said(missed)["http.response.status_code"], said(missed)["error.type"]
    )  # fmt: skip
    assert not any(b"zanzibar" in each for each in collector.bodies)


def test_a_request_to_an_upstream_goes_on_with_the_client_s_trace(tmp_path: Path) -> None:
    body = {"model": "far/one", "max_tokens": 8, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    with collecting() as collector, far_server(by_chat) as far:
        added = CliRunner().invoke(app, ["upstream", "add", "far", "--url", far.url, "--data-dir", str(tmp_path)])
        assert 0 == added.exit_code, added.output
        with serving(tmp_path, "--trace", collector.url) as server:
            httpx.post(f"{server.url}/v1/chat/completions", json=body, headers=headers, timeout=60).raise_for_status()
        spans = {span.name: span for span in collector.spans()}
        sent = next(asked.headers["traceparent"] for asked in far.asked if "completions" in asked.path)
    chat = spans["chat far/one"]
    assert (TRACE, chat.span_id.hex()) == tuple(sent.split("-")[1:3])
    assert (Span.SPAN_KIND_CLIENT, "far") == (chat.kind, said(chat)["gen_ai.provider.name"])


def test_offline_a_collector_elsewhere_is_refused(tmp_path: Path) -> None:
    flags = ["--trace", "http://collector.example:4318", "--offline", "--data-dir", str(tmp_path), "--port", "0"]
    told = CliRunner().invoke(app, ["serve", *flags])
    assert (1, True) == (told.exit_code, "a collector is on this machine" in told.stderr)


def test_without_a_collector_none_of_its_packages_is_loaded() -> None:
    program = (
        "import sys, haiga.cli.http; print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )
    assert "[]\n" == subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
