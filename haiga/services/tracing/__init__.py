"""Traces in OpenTelemetry's form. Rule: imported only where traces are wanted: its packages are an extra."""

from haiga.services.tracing.stage import Tracing

__all__ = ["Tracing"]
