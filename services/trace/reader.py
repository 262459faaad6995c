"""Everything that reads the SQLite file. Each question is one method that answers with values."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from services.trace.domain import (
    SPAN_KINDS,
    TRANSACTION_ID_KEY,
    Dependency,
    Operation,
    StoredSpan,
    StoredTrace,
    TraceQuery,
)
from services.trace.otlp import UNKNOWN_SERVICE, attribute_encodings

SPANS_PER_TRACE_MAX = 5_000
SPANS_PER_ANSWER_MAX = 20_000
NAMES_MAX = 5_000

_THREADS = 2
_BUSY_TIMEOUT_S = 5
_QUESTION_S_MAX = 5.0
# SQLite asks after so many of its own steps, some milliseconds, whether to go on.
_STEPS_BETWEEN_CHECKS = 100_000

_NEWEST_TRACES = """
SELECT t.trace_id FROM traces t
WHERE t.start_us BETWEEN :start_us AND :end_us {conditions}
ORDER BY t.start_us DESC LIMIT :limit
"""

# What is put into the braces below is our own text and the names of parameters, never a value.
_IN_TRANSACTION = "t.trace_id IN (SELECT trace_id FROM spans WHERE transaction_id = :{parameter})"
_HAS_SPAN = " AND EXISTS (SELECT 1 FROM spans s WHERE s.trace_id = t.trace_id AND {conditions})"
_HAS_ATTRIBUTE = "({in_span} OR s.origin_id IN (SELECT origin_id FROM origins WHERE {in_resource}))"

_SPANS = """
SELECT coalesce(services.name, :unknown), coalesce(origins.resource, x''),
    coalesce(origins.scope, x''), spans.raw
FROM spans LEFT JOIN origins USING (origin_id)
    LEFT JOIN services ON services.service_id = spans.service_id
WHERE spans.trace_id = :trace_id ORDER BY spans.start_us, spans.span_key LIMIT :limit
"""

_DEPENDENCIES = """
SELECT parents.name, children.name, calls FROM (
    SELECT p.service_id AS parent_id, c.service_id AS child_id, count(*) AS calls
    FROM traces t
    JOIN spans c ON c.trace_id = t.trace_id
    JOIN spans p ON p.trace_id = c.trace_id AND p.span_id = c.parent_span_id
    WHERE t.start_us BETWEEN ? AND ? AND p.service_id <> c.service_id
    GROUP BY p.service_id, c.service_id
)
JOIN services parents ON parents.service_id = parent_id
JOIN services children ON children.service_id = child_id
ORDER BY calls DESC LIMIT ?
"""

T = TypeVar("T")


class QuestionTooLargeError(Exception):
    """The answer would take longer than a question may."""


class TraceReader:
    """The reading side of the file. Its methods block; `ask` runs them off the event loop."""

    def __init__(self, path: Path) -> None:
        self._uri = f"{path.absolute().as_uri()}?mode=ro"
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="trace-reader")
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []

    async def ask(self, question: Callable[[], T]) -> T:
        """Runs a question, which may call several methods, in a thread of this reader.

        Raises:
            QuestionTooLargeError: It took too long and was given up.
        """
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, self._answer, question
        )

    def services(self) -> list[str]:
        """Lists the services that sent spans, in alphabetic order."""
        rows = self._rows("SELECT name FROM services ORDER BY name LIMIT ?", (NAMES_MAX,))
        return [name for (name,) in rows]

    def operations(self, service: str, kind: int | None = None) -> list[Operation]:
        """Lists the names of a service's spans, with their kinds."""
        rows = self._rows(
            """SELECT operations.name, kind FROM operations JOIN services USING (service_id)
            WHERE services.name = :service AND (:kind IS NULL OR kind = :kind)
            ORDER BY operations.name, kind LIMIT :limit""",
            {"service": service, "kind": kind, "limit": NAMES_MAX},
        )
        return [Operation(name, kind) for name, kind in rows]

    def find_traces(self, query: TraceQuery) -> list[bytes]:
        """Finds the newest traces that fit, by when they began.

        It walks from the newest trace back, and stops when there are enough: what people look for
        is recent. All that is said of a span must hold of one and the same span.
        """
        conditions, parameters = _conditions(query)
        rows = self._rows(_NEWEST_TRACES.format(conditions=conditions), parameters)
        return [trace_id for (trace_id,) in rows]

    def load_traces(self, trace_ids: Sequence[bytes]) -> list[StoredTrace]:
        """Reads traces whole, as far as an answer can hold them; unknown ones are left out."""
        traces = []
        room = SPANS_PER_ANSWER_MAX
        for trace_id in trace_ids:
            limit = min(SPANS_PER_TRACE_MAX, room)
            rows = self._rows(
                _SPANS, {"trace_id": trace_id, "limit": limit + 1, "unknown": UNKNOWN_SERVICE}
            )
            spans = [StoredSpan(*row) for row in rows[:limit]]
            if spans:
                traces.append(StoredTrace(trace_id, spans, is_truncated=len(rows) > limit))
            room -= len(spans)
            if room <= 0:
                break
        return traces

    def dependencies(self, start_us: int, end_us: int) -> list[Dependency]:
        """Counts, over the traces that began in a window, which service called which."""
        return [
            Dependency(*row) for row in self._rows(_DEPENDENCIES, (start_us, end_us, NAMES_MAX))
        ]

    def close(self) -> None:
        """Ends the threads and closes their connections."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for connection in self._opened:
            connection.close()

    def _answer(self, question: Callable[[], T]) -> T:
        # A stopwatch for the answer, not a time that anything is dated with.
        self._local.deadline = time.monotonic() + _QUESTION_S_MAX
        try:
            return question()
        except sqlite3.OperationalError as error:
            if "interrupted" in str(error):
                raise QuestionTooLargeError from error
            raise

    def _rows(self, statement: str, parameters: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
        return self._connection().execute(statement, parameters).fetchall()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(
                self._uri,
                uri=True,
                isolation_level=None,
                timeout=_BUSY_TIMEOUT_S,
                # Closed by the thread that stops the process.
                check_same_thread=False,
            )
            connection.set_progress_handler(
                lambda: time.monotonic() > self._local.deadline, _STEPS_BETWEEN_CHECKS
            )
            self._local.connection = connection
            self._opened.append(connection)
        return connection


def _conditions(query: TraceQuery) -> tuple[str, dict[str, object]]:
    """Writes what a query says as SQL: first of the trace, then of one span in it."""
    of_trace: list[str] = []
    of_span: list[str] = []
    parameters: dict[str, object] = {
        "start_us": query.start_us,
        "end_us": query.end_us,
        "limit": query.limit,
    }
    if query.service is not None:
        of_span.append("s.service_id = (SELECT service_id FROM services WHERE name = :service)")
        parameters["service"] = query.service
    if query.operation is not None:
        of_span.append(
            "s.operation_id IN (SELECT operation_id FROM operations WHERE name = :operation)"
        )
        parameters["operation"] = query.operation
    if query.duration_us_min is not None:
        # No span is longer than its trace: most traces are passed over without their spans.
        of_trace.append("t.end_us - t.start_us >= :duration_us_min")
        of_span.append("s.duration_us >= :duration_us_min")
        parameters["duration_us_min"] = query.duration_us_min
    if query.duration_us_max is not None:
        of_span.append("s.duration_us <= :duration_us_max")
        parameters["duration_us_max"] = query.duration_us_max
    if query.has_error or query.tags.get("error") == "true":
        of_trace.append("t.has_error")
    for index, (key, value) in enumerate(query.tags.items()):
        if key == TRANSACTION_ID_KEY:
            # Few traces, found by an index, instead of a look at all of them.
            of_trace.append(_IN_TRANSACTION.format(parameter=f"tag{index}"))
        of_span.append(_tag_condition(f"tag{index}", key, value, parameters))
    conditions = "".join(f" AND {condition}" for condition in of_trace)
    if of_span:
        conditions += _HAS_SPAN.format(conditions=" AND ".join(of_span))
    return conditions, parameters


def _tag_condition(name: str, key: str, value: str, parameters: dict[str, object]) -> str:
    """Writes that a span, or its process, has an attribute; some are columns, not attributes."""
    if key == "error" and value in {"true", "false"}:
        return "s.is_error" if value == "true" else "NOT s.is_error"
    if key == "span.kind":
        parameters[name] = next(
            (number for number, word in SPAN_KINDS.items() if word == value), -1
        )
        return f"s.kind = :{name}"
    if key == "otel.status_code" and value == "ERROR":
        return "s.is_error"
    if key == TRANSACTION_ID_KEY:
        parameters[name] = value
        return f"s.transaction_id = :{name}"
    in_span = []
    in_resource = []
    for index, encoding in enumerate(attribute_encodings(key, value)):
        parameters[f"{name}_{index}"] = encoding
        in_span.append(f"instr(s.raw, :{name}_{index})")
        in_resource.append(f"instr(resource, :{name}_{index})")
    return _HAS_ATTRIBUTE.format(in_span=" OR ".join(in_span), in_resource=" OR ".join(in_resource))
