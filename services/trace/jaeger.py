"""Jaeger's JSON: what its UI, Grafana and other tools read from `/api`."""

import base64
import json
from collections.abc import Iterable, Sequence
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from services.trace.domain import SPAN_KINDS, Dependency, Operation, StoredSpan, StoredTrace

Json = dict[str, Any]

# Above it JavaScript rounds, so Jaeger writes such integers as strings.
_SAFE_INTEGER_MAX = 2**53 - 1


def envelope(data: Sequence[Any], *, total: int = 0) -> Json:
    """Wraps an answer. Jaeger fills `total` for names and leaves it 0 for traces."""
    return {"data": data, "total": total, "limit": 0, "offset": 0, "errors": None}


def error_envelope(code: int, message: str) -> Json:
    """Wraps a refusal."""
    return {
        "data": None,
        "total": 0,
        "limit": 0,
        "offset": 0,
        "errors": [{"code": code, "msg": message}],
    }


def operation_json(operation: Operation) -> Json:
    """Writes an operation the way `/api/operations` lists it."""
    return {"name": operation.name, "spanKind": SPAN_KINDS.get(operation.kind, "")}


def dependency_json(dependency: Dependency) -> Json:
    """Writes an edge of the service graph."""
    return {
        "parent": dependency.parent,
        "child": dependency.child,
        "callCount": dependency.call_count,
    }


def trace_json(trace: StoredTrace) -> Json:
    """Writes a trace: its spans refer to processes, which are listed once."""
    process_ids: dict[tuple[str, bytes], str] = {}
    processes: dict[str, Json] = {}
    spans = []
    for stored in trace.spans:
        key = (stored.service, stored.resource)
        process_id = process_ids.get(key)
        if process_id is None:
            process_id = process_ids[key] = f"p{len(process_ids) + 1}"
            processes[process_id] = _process_json(stored)
        spans.append(_span_json(stored, process_id))
    warnings = None
    if trace.is_truncated:
        warnings = [f"only the first {len(spans)} spans of this trace are shown"]
    return {
        "traceID": trace.trace_id.hex(),
        "spans": spans,
        "processes": processes,
        "warnings": warnings,
    }


def _process_json(stored: StoredSpan) -> Json:
    attributes = Resource.FromString(stored.resource).attributes
    return {
        "serviceName": stored.service,
        "tags": _tags(attribute for attribute in attributes if attribute.key != "service.name"),
    }


def _span_json(stored: StoredSpan, process_id: str) -> Json:
    span = Span.FromString(stored.raw)
    warnings = None
    if span.end_time_unix_nano < span.start_time_unix_nano:
        warnings = ["the span ends before it starts; its duration is shown as 0"]
    return {
        "traceID": span.trace_id.hex(),
        "spanID": span.span_id.hex(),
        "flags": span.flags & 0xFF,
        "operationName": span.name,
        "references": _references(span),
        "startTime": span.start_time_unix_nano // 1_000,
        "duration": max(0, span.end_time_unix_nano - span.start_time_unix_nano) // 1_000,
        "tags": _span_tags(span, InstrumentationScope.FromString(stored.scope)),
        "logs": [
            {
                "timestamp": event.time_unix_nano // 1_000,
                "fields": [_tag("event", "string", event.name), *_tags(event.attributes)],
            }
            for event in span.events
        ],
        "processID": process_id,
        "warnings": warnings,
    }


def _references(span: Span) -> list[Json]:
    references = []
    if any(span.parent_span_id):
        references.append(_reference("CHILD_OF", span.trace_id, span.parent_span_id))
    references.extend(
        _reference("FOLLOWS_FROM", link.trace_id, link.span_id) for link in span.links
    )
    return references


def _reference(kind: str, trace_id: bytes, span_id: bytes) -> Json:
    return {"refType": kind, "traceID": trace_id.hex(), "spanID": span_id.hex()}


def _span_tags(span: Span, scope: InstrumentationScope) -> list[Json]:
    """Writes the attributes and, as attributes too, what OTLP keeps in fields of its own."""
    tags = []
    if scope.name:
        tags.append(_tag("otel.scope.name", "string", scope.name))
    if scope.version:
        tags.append(_tag("otel.scope.version", "string", scope.version))
    tags.extend(_tags(span.attributes))
    if span.kind in SPAN_KINDS:
        tags.append(_tag("span.kind", "string", SPAN_KINDS[span.kind]))
    if span.status.code == Status.STATUS_CODE_ERROR:
        tags.append(_tag("otel.status_code", "string", "ERROR"))
        if not any(attribute.key == "error" for attribute in span.attributes):
            tags.append(_tag("error", "bool", True))
    elif span.status.code == Status.STATUS_CODE_OK:
        tags.append(_tag("otel.status_code", "string", "OK"))
    if span.status.message:
        tags.append(_tag("otel.status_description", "string", span.status.message))
    if span.trace_state:
        tags.append(_tag("w3c.tracestate", "string", span.trace_state))
    return tags


def _tags(attributes: Iterable[KeyValue]) -> list[Json]:
    return [_tag(attribute.key, *_typed(attribute.value)) for attribute in attributes]


def _tag(key: str, kind: str, value: object) -> Json:
    return {"key": key, "type": kind, "value": value}


def _typed(value: AnyValue) -> tuple[str, object]:
    match value.WhichOneof("value"):
        case "bool_value":
            return "bool", value.bool_value
        case "int_value":
            number = value.int_value
            return "int64", number if abs(number) <= _SAFE_INTEGER_MAX else str(number)
        case "double_value":
            return "float64", _finite(value.double_value)
        case "bytes_value":
            return "binary", base64.b64encode(value.bytes_value).decode()
        case "array_value" | "kvlist_value":
            return "string", json.dumps(_plain(value), ensure_ascii=False)
        case _:
            return "string", value.string_value


def _plain(value: AnyValue) -> object:
    match value.WhichOneof("value"):
        case "array_value":
            return [_plain(item) for item in value.array_value.values]
        case "kvlist_value":
            return {item.key: _plain(item.value) for item in value.kvlist_value.values}
        case None:
            return None
        case _:
            return _typed(value)[1]


def _finite(number: float) -> float | str:
    """JSON has no infinity and no NaN."""
    return number if number - number == 0 else str(number)
