"""Makes spans and sends them, as requests of our own making."""

from collections.abc import Awaitable, Callable

import grpc.aio
import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from services.kit.clock import to_micros
from services.trace.receiver import SERVICE_NAME
from services.trace.server import Running
from tests.kit.clock import ManualClock
from tests.kit.waiting import until

AttributeValue = str | bool | int | float

# Where the tests' clock stands at first.
START_US = to_micros(ManualClock().now())
START_NS = START_US * 1_000
_WAIT_S_MAX = 10


def attribute(key: str, value: AttributeValue) -> KeyValue:
    made = KeyValue(key=key)
    match value:
        case bool():
            made.value.bool_value = value
        case int():
            made.value.int_value = value
        case float():
            made.value.double_value = value
        case _:
            made.value.string_value = value
    return made


def span(
    name: str = "work",
    *,
    trace: int = 1,
    span_id: int = 1,
    parent: int = 0,
    start_us: int = 0,
    duration_us: int = 1_000,
    kind: Span.SpanKind.ValueType = Span.SPAN_KIND_INTERNAL,
    failed: bool = False,
    attributes: dict[str, AttributeValue] | None = None,
) -> Span:
    made = Span(
        trace_id=trace.to_bytes(16, "big"),
        span_id=span_id.to_bytes(8, "big"),
        parent_span_id=parent.to_bytes(8, "big") if parent else b"",
        name=name,
        kind=kind,
        start_time_unix_nano=START_NS + start_us * 1_000,
        end_time_unix_nano=START_NS + (start_us + duration_us) * 1_000,
        attributes=[attribute(key, value) for key, value in (attributes or {}).items()],
    )
    if failed:
        made.status.code = Status.STATUS_CODE_ERROR
    return made


def request(**spans_by_service: list[Span]) -> ExportTraceServiceRequest:
    made = ExportTraceServiceRequest()
    for service, spans in spans_by_service.items():
        resource_spans = made.resource_spans.add()
        resource_spans.resource.attributes.append(attribute("service.name", service))
        resource_spans.resource.attributes.append(attribute("deployment", f"{service}-blue"))
        scope_spans = resource_spans.scope_spans.add()
        scope_spans.scope.name = "tests"
        scope_spans.spans.extend(spans)
    return made


async def post(
    http: httpx.AsyncClient, message: ExportTraceServiceRequest
) -> ExportTraceServiceResponse:
    answer = await http.post(
        "/v1/traces",
        content=message.SerializeToString(),
        headers={"content-type": "application/x-protobuf"},
    )
    assert answer.status_code == 200
    return ExportTraceServiceResponse.FromString(answer.content)


async def send(http: httpx.AsyncClient, backend: Running, **spans: list[Span]) -> None:
    """Sends spans, and waits until they are stored."""
    wanted = counter(backend, "stored") + sum(len(of_service) for of_service in spans.values())
    await post(http, request(**spans))
    await until(lambda: counter(backend, "stored") >= wanted)


def counter(backend: Running, name: str, **labels: str) -> float:
    value = backend.metrics.registry.get_sample_value(f"croupier_trace_spans_{name}_total", labels)
    assert value is not None
    return value


def exporter_of(channel: grpc.aio.Channel) -> Callable[..., Awaitable[bytes]]:
    """Returns OTLP's Export on bytes, so that a test can send what is no message."""
    return channel.unary_unary(
        f"/{SERVICE_NAME}/Export", request_serializer=None, response_deserializer=None
    )
