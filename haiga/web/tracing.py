"""A span for each HTTP request, under the one that its client names in `traceparent`.

Rule: pure ASGI, as middleware.py; imported only where traces are wanted.
"""

from opentelemetry import context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NAMES = ("traceparent", "tracestate")


class TracedRequests:
    """What happens while the request runs is traced beneath its span."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        named = {name: value for name in NAMES if (value := headers.get(name))}
        parent = TraceContextTextMapPropagator().extract(named, context.Context())
        span = self._tracer.start_span(scope["method"], parent, SpanKind.SERVER, _asked(scope))

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                span.set_attribute("http.response.status_code", message["status"])
            await send(message)

        token = context.attach(set_span_in_context(span, parent))
        try:
            await self._app(scope, receive, watched)
        finally:
            context.detach(token)
            _end(span, scope)


def _asked(scope: Scope) -> dict[str, str]:
    return {
        "http.request.method": scope["method"],
        "url.path": scope["path"],
        "url.scheme": scope["scheme"],
        "haiga.request_id": scope["state"]["request_id"],
    }


def _end(span: Span, scope: Scope) -> None:
    """The route is known once the request has found it; a path would be a name of its own for each id in it."""
    route = getattr(scope.get("route"), "path", None)
    if route is not None:
        span.update_name(f"{scope['method']} {route}")
        span.set_attribute("http.route", route)
    if caller := scope["state"].get("caller"):
        span.set_attribute("haiga.workspace", caller.workspace)
    if error := scope["state"].get("outcome"):
        span.set_attribute("error.type", error)
        span.set_status(Status(StatusCode.ERROR, error))
    span.end()
