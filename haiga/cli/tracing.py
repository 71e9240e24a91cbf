"""Composition: traces sent to a collector over OTLP/HTTP. Rule: off unless a collector is named."""

import asyncio
import ipaddress
from importlib.metadata import version
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from haiga.config import Settings
from haiga.core.errors import Invalid, NotFound
from haiga.services.models import Models

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

    from haiga.services.tracing import Tracing

PATH = "/v1/traces"


class Traces:
    """Spans on their way to a collector, sent together in a thread of their own."""

    def __init__(self, provider: "TracerProvider", content: bool) -> None:
        self._content = content
        self._provider = provider

    @property
    def tracer(self) -> "Tracer":
        return self._provider.get_tracer("haiga", version("haiga"))

    def stage(self, models: Models) -> "Tracing":
        from haiga.services.tracing import Tracing

        def provider(model: str) -> str:
            try:
                return models.card(model).provider
            except NotFound:
                return ""

        return Tracing(self.tracer, self._content, provider=provider)

    def start(self) -> None:
        """The thread runs already."""

    async def close(self) -> None:
        """Send what is left."""
        await asyncio.to_thread(self._provider.shutdown)


def traces(settings: Settings) -> Traces | None:
    """None where no collector is named. Raises Invalid where it may not be reached, or the packages are not there."""
    if settings.trace is None:
        return None
    if settings.offline and not _is_here(settings.trace):
        raise Invalid("with --offline, a collector is on this machine", field="--trace")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise Invalid("traces need more packages: pip install 'haiga[otel]'", field="--trace") from None
    named = {"service.name": "haiga", "service.version": version("haiga")}
    provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.trace + PATH)))
    return Traces(provider, settings.trace_content)


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
