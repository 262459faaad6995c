"""Traces: W3C context in and out, and spans only where somebody decided to record.

The edge decides whether a call is sampled, and begins its trace; services follow the flag of
`traceparent` and begin none. An unsampled call costs no span: its header is passed on as it came.
What services do by themselves, such as to follow a feed, is in no trace. Spans go out over OTLP, by
OpenTelemetry's standard environment variables. `docs/telemetry.md` lists them.
"""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    TraceFlags,
)
from opentelemetry.util.types import AttributeValue
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, ExceptionContext

# Ids of nothing but zeros, and version ff, are what W3C calls invalid.
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
_TRACE_ID = slice(3, 35)
_SAMPLED = 1
# The flag is the lowest bit of the last digit.
_SAMPLED_DIGITS = "13579bdf"
# What one process keeps for an exporter that is slow; more is dropped, never waited for.
_SPANS_QUEUED_MAX = 16_384
_SPANS_BATCHED_MAX = 512
_EXPORT_EVERY_MS = 250

_current: ContextVar[Span | None] = ContextVar("current_span", default=None)
_tracer: trace.Tracer = trace.NoOpTracer()


def configure(*, service: str, exporter: SpanExporter) -> TracerProvider:
    """Starts to record spans in this process and send them to the exporter."""
    global _tracer  # noqa: PLW0603 (one tracer a process is what OpenTelemetry means)
    provider = TracerProvider(
        resource=Resource.create({"service.name": service, "service.namespace": "croupier"})
    )
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter,
            max_queue_size=_SPANS_QUEUED_MAX,
            max_export_batch_size=_SPANS_BATCHED_MAX,
            schedule_delay_millis=_EXPORT_EVERY_MS,
        )
    )
    _tracer = provider.get_tracer("croupier")
    return provider


class RemoteSpan(NonRecordingSpan):
    """A span of another process, known by its `traceparent`, which is read when it is needed."""

    _context = INVALID_SPAN_CONTEXT

    def __init__(self, traceparent: str) -> None:
        """Takes a `traceparent` that is well formed.

        One is made for each call, so what the parent class would do is done when it is needed.
        """
        self.traceparent = traceparent
        self.sampled = traceparent[-1] in _SAMPLED_DIGITS

    def get_span_context(self) -> SpanContext:
        """Reads the context."""
        if self._context is INVALID_SPAN_CONTEXT:
            self._context = SpanContext(
                trace_id=int(self.traceparent[_TRACE_ID], 16),
                span_id=int(self.traceparent[36:52], 16),
                is_remote=True,
                trace_flags=TraceFlags(int(self.traceparent[-2:], 16)),
            )
        return self._context


def remote_parent(traceparent: str) -> RemoteSpan | None:
    """Reads a W3C `traceparent`; None if there is none or it is malformed."""
    return RemoteSpan(traceparent) if _TRACEPARENT.fullmatch(traceparent) else None


def traceparent_of(span: Span) -> str:
    """Renders a span as a W3C `traceparent`."""
    if isinstance(span, RemoteSpan):
        return span.traceparent
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def current_span() -> Span | None:
    """Returns the span that the running task works for, recorded or not."""
    return _current.get()


def activate(span: Span | None) -> None:
    """Makes `span` the one that the running task works for."""
    _current.set(span)


def is_recording() -> bool:
    """Tells whether the running task works for a span that is recorded."""
    span = _current.get()
    return span is not None and span.is_recording()


def current_trace_id() -> str:
    """Returns the trace id of the running task, 32 hex digits; empty outside a trace."""
    span = _current.get()
    if span is None:
        return ""
    context = span.get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""


def trace_id_of(span: Span) -> bytes | None:
    """Returns a span's trace id, 16 bytes; None for a span of no trace."""
    if isinstance(span, RemoteSpan):
        return bytes.fromhex(span.traceparent[_TRACE_ID])
    trace_id = span.get_span_context().trace_id
    return trace_id.to_bytes(16, "big") if trace_id else None


def start_span(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    parent: Span,
    attributes: Mapping[str, AttributeValue] | None = None,
    start_ns: int | None = None,
) -> Span:
    """Starts a span below `parent`; unsampled parents get themselves back, at no cost."""
    if not _is_sampled(parent):
        return parent
    return _tracer.start_span(
        name,
        context=trace.set_span_in_context(parent),
        kind=kind,
        attributes=attributes,
        start_time=start_ns,
    )


def _is_sampled(span: Span) -> bool:
    if isinstance(span, RemoteSpan):
        return span.sampled
    return bool(span.get_span_context().trace_flags & _SAMPLED)


@contextmanager
def span(name: str, **attributes: AttributeValue) -> Iterator[Span | None]:
    """Records a step of the running task, if the task is recorded."""
    parent = _current.get()
    if parent is None or not parent.is_recording():
        yield parent
        return
    child = start_span(name, parent=parent, attributes=attributes)
    token = _current.set(child)
    try:
        yield child
    except BaseException as error:
        child.set_status(trace.StatusCode.ERROR, type(error).__name__)
        raise
    finally:
        _current.reset(token)
        child.end()


def instrument(engine: Engine) -> None:
    """Records each SQL statement of a recorded call as a span, with its text and no values."""

    def before(connection: Connection, cursor: Any, statement: str, *rest: Any) -> None:
        del cursor, statement, rest
        if is_recording():
            connection.info["statement_start_ns"] = time.time_ns()

    def after(connection: Connection, cursor: Any, statement: str, *rest: Any) -> None:
        del rest
        record(connection, statement, rows=cursor.rowcount)

    def failed(context: ExceptionContext) -> None:
        # Also when the caller has gone during the statement.
        if context.connection is not None and context.statement is not None:
            error = type(context.original_exception).__name__
            record(context.connection, context.statement, error=error)

    def record(connection: Connection, statement: str, *, rows: int = -1, error: str = "") -> None:
        # Taken away even if nothing is recorded: the pool gives the connection to other calls.
        start_ns = connection.info.pop("statement_start_ns", None)
        parent = _current.get()
        if start_ns is None or parent is None:
            return
        statement_span(
            statement,
            system=engine.dialect.name,
            parent=parent,
            start_ns=start_ns,
            end_ns=time.time_ns(),
            rows=rows,
            error=error,
        )

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
    event.listen(engine, "handle_error", failed)


def statement_span(  # noqa: PLR0913 (each is a fact of the statement)
    statement: str,
    *,
    system: str,
    parent: Span,
    start_ns: int,
    end_ns: int,
    rows: int = -1,
    name: str = "",
    error: str = "",
) -> None:
    """Records one SQL statement that has already run, by its times since the Unix epoch."""
    done = start_span(
        name or statement.split(None, 1)[0].upper(),
        kind=SpanKind.CLIENT,
        parent=parent,
        start_ns=start_ns,
        attributes={"db.system.name": system, "db.query.text": statement},
    )
    if done is not parent:
        if rows >= 0:
            done.set_attribute("db.response.returned_rows", rows)
        if error:
            done.set_status(trace.StatusCode.ERROR, error)
        done.end(end_ns)
