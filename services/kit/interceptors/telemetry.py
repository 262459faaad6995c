"""One server span and one measurement for each call."""

import time

import grpc
from opentelemetry.trace import Span, SpanKind, StatusCode
from prometheus_client import Histogram

from services.kit import telemetry
from services.kit.call import Call

_DURATION = Histogram(
    "rpc_server_call_duration_seconds",
    "How long a call took on the server.",
    ["rpc_method", "rpc_status"],
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
# Codes that are a fault of the server; the others are the caller's business, not an error of ours.
_FAULTS = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)


class CallTelemetry:
    """Measures the calls of one method."""

    def __init__(self, full_name: str) -> None:
        """Prepares what is the same for all calls."""
        self._name = full_name
        self._ok = _DURATION.labels(full_name, "OK")
        self._attributes = {"rpc.system.name": "grpc", "rpc.method": full_name}

    def begin(self, call: Call) -> tuple[float, Span | None]:
        """Notes the start, and starts a span if the call's trace is sampled."""
        parent = telemetry.remote_parent(call.text("traceparent"))
        span = (
            telemetry.start_span(
                self._name, kind=SpanKind.SERVER, parent=parent, attributes=self._attributes
            )
            if parent is not None
            else None
        )
        telemetry.activate(span)
        return time.perf_counter(), span

    def end(
        self,
        started: tuple[float, Span | None],
        call: Call,
        code: grpc.StatusCode = grpc.StatusCode.OK,
        reason: str = "",
    ) -> None:
        """Ends the span and records the duration."""
        start, span = started
        elapsed = time.perf_counter() - start
        if code is grpc.StatusCode.OK:
            self._ok.observe(elapsed)
        else:
            _DURATION.labels(self._name, code.name).observe(elapsed)
        if span is None or not span.is_recording():
            return
        facts = {"rpc.response.status_code": code.name}
        if call.caller is not None:
            facts["croupier.caller"] = call.caller.service
        if reason:
            facts["error.type"] = reason
        span.set_attributes(facts)
        if code in _FAULTS:
            span.set_status(StatusCode.ERROR, reason)
        span.end()
