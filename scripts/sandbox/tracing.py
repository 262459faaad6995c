"""Traces of a party outside the mesh: its own spans, and W3C context to and from its peers.

Where spans go, and how many are kept, is said by OpenTelemetry's own environment variables.
"""

import os
from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_EXPORT_EVERY_MS = 200
_propagator = TraceContextTextMapPropagator()


class Tracing:
    """A tracer, and what ends it."""

    def __init__(self, party: str, *, endpoint: str) -> None:
        """Starts to record; without an endpoint, spans get ids and are not kept.

        Args:
            party: The name that its spans carry.
            endpoint: Where spans go by OTLP over gRPC, `http://host:port`; empty: nowhere.
        """
        self._provider = TracerProvider(resource=Resource.create({"service.name": party}))
        if endpoint:
            self._provider.add_span_processor(
                BatchSpanProcessor(
                    OTLPSpanExporter(endpoint=endpoint), schedule_delay_millis=_EXPORT_EVERY_MS
                )
            )
        self.tracer: Tracer = self._provider.get_tracer("croupier.sandbox")

    @classmethod
    def from_environment(cls, party: str) -> "Tracing":
        """Sends spans where the standard variables say; nowhere if they say nothing."""
        return cls(
            party,
            endpoint=os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
            or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
        )

    def close(self) -> None:
        """Sends what is left, and stops."""
        self._provider.shutdown()


def sent_context() -> dict[str, str]:
    """Returns the headers that tell a peer the running span."""
    headers: dict[str, str] = {}
    _propagator.inject(headers)
    return headers


def received_context(headers: Mapping[str, str]) -> Context:
    """Reads the span of a peer out of its headers."""
    return _propagator.extract(headers)


def current_trace_id() -> str:
    """Returns the trace id of the running span, 32 hex digits."""
    return f"{trace.get_current_span().get_span_context().trace_id:032x}"
