"""OTLP's messages: from bytes or JSON to spans that can be stored."""

import base64
import json
from typing import Any, NamedTuple

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.proto.trace.v1.trace_pb2 import Status as SpanStatus

from services.trace.domain import (
    SPAN_ID_BYTES,
    TRACE_ID_BYTES,
    TRANSACTION_ID_KEY,
    TRANSACTION_ID_LENGTH_MAX,
    Origin,
    ReceivedSpan,
)

UNKNOWN_SERVICE = "unknown_service"

_NO_TRACE = bytes(TRACE_ID_BYTES)
_NO_SPAN = bytes(SPAN_ID_BYTES)
_STATUS_ERROR = SpanStatus.STATUS_CODE_ERROR
_TRANSACTION_ID_MARK = TRANSACTION_ID_KEY.encode()
_MICROS_MAX = 2**63 - 1
# How protobuf writes the key of an attribute `error`: field 1, five bytes.
_ERROR_MARK = b"\x0a\x05error"
_ID_FIELDS = frozenset({"traceId", "spanId", "parentSpanId"})


class InvalidRequestError(Exception):
    """The bytes are no export request."""


class Decoded(NamedTuple):
    """The spans of one request, and how many of its spans make no sense."""

    spans: list[ReceivedSpan]
    invalid_count: int


def parse_protobuf(body: bytes) -> ExportTraceServiceRequest:
    """Reads the binary form.

    Raises:
        InvalidRequestError: It is no export request.
    """
    try:
        return ExportTraceServiceRequest.FromString(body)
    except DecodeError as error:
        raise InvalidRequestError("the body is not a protobuf ExportTraceServiceRequest") from error


def parse_json(body: bytes) -> ExportTraceServiceRequest:
    """Reads OTLP's JSON: protobuf's, except that ids are hexadecimal and new fields are ignored.

    Raises:
        InvalidRequestError: It is no export request.
    """
    request = ExportTraceServiceRequest()
    try:
        read = json.loads(body)
        if not isinstance(read, dict):
            raise TypeError  # noqa: TRY301 (one way out for all that is not a request)
        json_format.ParseDict(_ids_to_base64(read), request, ignore_unknown_fields=True)
    except (ValueError, TypeError, AttributeError, RecursionError, json_format.ParseError) as error:
        # ParseDict assumes the kinds of containers that it finds, hence Type- and AttributeError.
        raise InvalidRequestError("the body is not a JSON ExportTraceServiceRequest") from error
    return request


def answer_json(answer: ExportTraceServiceResponse | Status) -> bytes:
    """Writes an answer, or the status of a refusal, in OTLP's JSON."""
    return json.dumps(json_format.MessageToDict(answer)).encode()


def decode(request: ExportTraceServiceRequest) -> Decoded:
    """Takes out of each span what is searched for. Spans without an id or a trace are left out."""
    spans: list[ReceivedSpan] = []
    invalid_count = 0
    for resource_spans in request.resource_spans:
        resource = resource_spans.resource.SerializeToString()
        service = service_name(resource_spans.resource)
        for scope_spans in resource_spans.scope_spans:
            origin = Origin(service, resource, scope_spans.scope.SerializeToString())
            for span in scope_spans.spans:
                received = _decode_span(origin, span)
                if received is None:
                    invalid_count += 1
                else:
                    spans.append(received)
    return Decoded(spans, invalid_count)


def service_name(resource: Resource) -> str:
    """Returns the name of the service that a resource describes."""
    for attribute in resource.attributes:
        if attribute.key == "service.name":
            return attribute.value.string_value or UNKNOWN_SERVICE
    return UNKNOWN_SERVICE


def attribute_encodings(key: str, value: str) -> list[bytes]:
    """Returns how protobuf writes an attribute that a person would type as `key=value`.

    Whether a stored span has the attribute is then a search for bytes, without decoding it: a
    message inside a message is its length and its bytes, and the length keeps `error` from being
    found in `xerror`.
    """
    forms = [KeyValue(key=key)]
    forms[0].value.string_value = value
    if value in {"true", "false"}:
        forms.append(KeyValue(key=key))
        forms[-1].value.bool_value = value == "true"
    try:
        whole = KeyValue(key=key)
        whole.value.int_value = int(value)
        forms.append(whole)
    except ValueError:
        pass
    try:
        fraction = KeyValue(key=key)
        fraction.value.double_value = float(value)
        forms.append(fraction)
    except ValueError:
        pass
    return [form.SerializeToString() for form in forms]


def _decode_span(origin: Origin, span: Span) -> ReceivedSpan | None:
    trace_id = span.trace_id
    span_id = span.span_id
    if (
        len(trace_id) != TRACE_ID_BYTES
        or len(span_id) != SPAN_ID_BYTES
        or trace_id == _NO_TRACE
        or span_id == _NO_SPAN
    ):
        return None
    raw = span.SerializeToString()
    start_ns = span.start_time_unix_nano
    parent_span_id = span.parent_span_id
    is_error = span.status.code == _STATUS_ERROR
    # Looking for the bytes first is far cheaper than walking over the attributes of every span.
    return ReceivedSpan(
        origin,
        trace_id,
        span_id,
        b"" if parent_span_id == _NO_SPAN else parent_span_id,
        span.name,
        span.kind,
        start_ns // 1_000,
        # A clock that was set back between start and end must not give a negative length.
        max(0, min(span.end_time_unix_nano - start_ns, _MICROS_MAX)) // 1_000,
        is_error or (_ERROR_MARK in raw and _has_error_attribute(span)),
        _find_transaction_id(span) if _TRANSACTION_ID_MARK in raw else None,
        raw,
    )


def _has_error_attribute(span: Span) -> bool:
    """Envoy and older libraries say that a span failed by the attribute `error`."""
    return any(
        attribute.key == "error"
        and (attribute.value.bool_value or attribute.value.string_value == "true")
        for attribute in span.attributes
    )


def _find_transaction_id(span: Span) -> str | None:
    for attribute in span.attributes:
        if attribute.key == TRANSACTION_ID_KEY:
            text = attribute.value.string_value
            return text if 0 < len(text) <= TRANSACTION_ID_LENGTH_MAX else None
    return None


def _ids_to_base64(node: Any) -> Any:
    """Rewrites OTLP's hexadecimal ids into the base64 that protobuf's JSON reads."""
    if isinstance(node, dict):
        return {
            key: base64.b64encode(bytes.fromhex(value)).decode()
            if key in _ID_FIELDS and isinstance(value, str)
            else _ids_to_base64(value)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_ids_to_base64(item) for item in node]
    return node
