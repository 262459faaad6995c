"""Values that the parts of this service hand to each other, and the rule of what is notable."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

TRANSACTION_ID_KEY = "croupier.transaction_id"
TRANSACTION_ID_LENGTH_MAX = 128
OPERATION_NAME_LENGTH_MAX = 256
TRACE_ID_BYTES = 16
SPAN_ID_BYTES = 8

# OTLP's numbers; Jaeger writes the names.
SPAN_KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}


class Origin(NamedTuple):
    """What made a span: a process (its resource) and a library in it (its scope).

    Many spans share one, so it is stored once. Both are kept as the bytes that came.
    """

    service: str
    resource: bytes
    scope: bytes


class ReceivedSpan(NamedTuple):
    """A span on its way into the store: what is searched for, and all of it as bytes.

    A named tuple because one is made for every span of the mesh, and it is the cheapest to make.
    """

    origin: Origin
    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    name: str
    kind: int
    start_us: int
    duration_us: int
    is_error: bool
    transaction_id: str | None
    raw: bytes


class StoredSpan(NamedTuple):
    """A span as the store gives it back."""

    service: str
    resource: bytes
    scope: bytes
    raw: bytes


@dataclass(frozen=True, slots=True)
class StoredTrace:
    """The spans of one trace, earliest first."""

    trace_id: bytes
    spans: list[StoredSpan]
    is_truncated: bool
    """There are more spans than one answer may hold."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A name under which a service makes spans of one kind."""

    name: str
    kind: int


@dataclass(frozen=True, slots=True)
class Dependency:
    """How often spans of one service were parents of spans of another."""

    parent: str
    child: str
    call_count: int


@dataclass(frozen=True, slots=True)
class TraceQuery:
    """A search: traces that began in a window and have one span that fits all the rest.

    `has_error` alone speaks of the whole trace: the span that failed may be another one.
    """

    start_us: int
    end_us: int
    limit: int
    service: str | None = None
    operation: str | None = None
    duration_us_min: int | None = None
    duration_us_max: int | None = None
    has_error: bool = False
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """What is deleted, and when.

    A trace is notable if a span of it failed or if it lasted at least `slow`. By age, notable
    traces outlive the others. By size, the oldest ordinary traces go first, as long as notable
    ones fill less than half of the room; so neither a storm of errors nor heavy ordinary traffic
    can push the other out altogether.
    """

    ordinary: timedelta
    notable: timedelta
    slow: timedelta
    bytes_max: int
