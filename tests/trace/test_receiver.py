import asyncio
import gzip
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import httpx
import pytest
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
    OTLPSpanExporter as GrpcExporter,
)
from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
    OTLPSpanExporter as HttpExporter,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind

from services.trace.receiver import REQUEST_BYTES_MAX, SERVICE_NAME
from services.trace.server import Running
from tests.kit.waiting import until
from tests.trace.conftest import StartBackend
from tests.trace.sending import START_NS, counter, exporter_of, post, request, send, span

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}


def export_one_trace(exporter: SpanExporter) -> str:
    """Makes a trace of two spans with the SDK and returns its id."""
    provider = TracerProvider(resource=Resource.create({"service.name": "game"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("tests")
    with tracer.start_as_current_span("Bet", kind=SpanKind.SERVER) as bet:
        tracer.start_span("Post", kind=SpanKind.CLIENT).end()
    provider.shutdown()
    return f"{bet.get_span_context().trace_id:032x}"


async def read_names(http: httpx.AsyncClient, trace_id: str) -> list[str]:
    answer = await http.get(f"/api/traces/{trace_id}")
    assert answer.status_code == 200
    return [item["operationName"] for item in answer.json()["data"][0]["spans"]]


@pytest.mark.parametrize("compression", ["none", "gzip"])
async def test_spans_of_the_sdk_arrive_by_grpc(
    backend: Running,
    http: httpx.AsyncClient,
    compression: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if compression == "gzip":
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", compression)
    exporter = GrpcExporter(endpoint=f"http://{backend.grpc}", insecure=True)
    trace_id = await asyncio.to_thread(export_one_trace, exporter)
    await until(lambda: counter(backend, "stored") == 2)
    assert await read_names(http, trace_id) == ["Bet", "Post"]


@pytest.mark.parametrize("compression", ["none", "gzip"])
async def test_spans_of_the_sdk_arrive_by_http(
    backend: Running,
    http: httpx.AsyncClient,
    compression: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", compression)
    exporter = HttpExporter(endpoint=f"{backend.page_url}v1/traces")
    trace_id = await asyncio.to_thread(export_one_trace, exporter)
    await until(lambda: counter(backend, "stored") == 2)
    assert await read_names(http, trace_id) == ["Bet", "Post"]


async def test_json_with_hexadecimal_ids_is_understood(
    backend: Running, http: httpx.AsyncClient
) -> None:
    trace_id = "5B8EFFF798038103D269B633813FC60C"
    body = {
        "resourceSpans": [
            {
                "resource": {
                    "attributes": [{"key": "service.name", "value": {"stringValue": "web"}}]
                },
                "scopeSpans": [
                    {
                        "spans": [
                            {
                                "traceId": trace_id,
                                "spanId": "eee19b7ec3c1b174",
                                "parentSpanId": "",
                                "name": "load",
                                "kind": 3,
                                "startTimeUnixNano": str(START_NS),
                                "endTimeUnixNano": START_NS + 5_000,
                                "aFieldOfTheFuture": {"x": 1},
                            }
                        ]
                    }
                ],
            }
        ]
    }
    answer = await http.post("/v1/traces", json=body)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {}
    await until(lambda: counter(backend, "stored") == 1)
    assert await read_names(http, trace_id.lower()) == ["load"]


@pytest.mark.parametrize(
    ("content", "headers", "status_code", "message"),
    [
        (b"\xff\xff\xff", PROTOBUF, 400, "the body is not a protobuf ExportTraceServiceRequest"),
        (b"{", JSON, 400, "the body is not a JSON ExportTraceServiceRequest"),
        (b"[]", JSON, 400, "the body is not a JSON ExportTraceServiceRequest"),
        (b'{"resourceSpans": 1}', JSON, 400, "the body is not a JSON ExportTraceServiceRequest"),
        (
            b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "xyz"}]}]}]}',
            JSON,
            400,
            "the body is not a JSON ExportTraceServiceRequest",
        ),
        (b"[" * 100_000, JSON, 400, "the body is not a JSON ExportTraceServiceRequest"),
        (b"plain", PROTOBUF | {"content-encoding": "gzip"}, 400, "the body is not gzip"),
        (
            gzip.compress(b"x" * 1_000, mtime=0)[:-9],
            PROTOBUF | {"content-encoding": "gzip"},
            400,
            "the gzip body is cut off",
        ),
        (bytes(REQUEST_BYTES_MAX + 1), PROTOBUF, 413, "the body exceeds 8388608 bytes"),
        (
            gzip.compress(bytes(REQUEST_BYTES_MAX + 1), mtime=0),
            PROTOBUF | {"content-encoding": "gzip"},
            413,
            "the body exceeds 8388608 bytes",
        ),
        (
            b"",
            {"content-type": "text/plain"},
            415,
            "Content-Type must be application/x-protobuf or application/json",
        ),
        (
            b"",
            PROTOBUF | {"content-encoding": "br"},
            415,
            "Content-Encoding must be gzip or identity",
        ),
    ],
)
async def test_a_bad_request_is_refused_in_its_own_format(
    backend: Running,
    http: httpx.AsyncClient,
    content: bytes,
    headers: dict[str, str],
    status_code: int,
    message: str,
) -> None:
    answer = await http.post("/v1/traces", content=content, headers=headers)
    assert answer.status_code == status_code
    if headers == PROTOBUF or "content-encoding" in headers:
        assert answer.headers["content-type"] == "application/x-protobuf"
        assert Status.FromString(answer.content).message == message
    else:
        assert answer.json()["message"] == message
    assert counter(backend, "received") == 0


async def test_a_body_without_a_length_is_limited_too(http: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield bytes(512 * 1024)

    answer = await http.post("/v1/traces", content=endless(), headers=PROTOBUF)
    assert answer.status_code == 413


async def test_another_method_is_not_allowed(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/traces")
    assert answer.status_code == 405


async def test_broken_protobuf_by_grpc_is_an_invalid_argument(backend: Running) -> None:
    async with grpc.aio.insecure_channel(str(backend.grpc)) as channel:
        export = exporter_of(channel)
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await export(b"\xff\xff\xff", timeout=5)
    assert failure.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_too_large_a_message_by_grpc_is_refused(backend: Running) -> None:
    async with grpc.aio.insecure_channel(str(backend.grpc)) as channel:
        export = exporter_of(channel)
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await export(bytes(REQUEST_BYTES_MAX + 1), timeout=5)
    assert failure.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_spans_without_ids_are_counted_and_the_others_kept(
    backend: Running, http: httpx.AsyncClient
) -> None:
    nameless = span(trace=2)
    nameless.trace_id = bytes(16)
    short = span(trace=3)
    short.span_id = b"\x01"
    response = await post(http, request(game=[nameless, span(), short]))
    assert response.partial_success.rejected_spans == 2
    assert response.partial_success.error_message == "2 spans without a valid trace_id and span_id"
    await until(lambda: counter(backend, "stored") == 1)
    assert counter(backend, "dropped", reason="invalid") == 2


async def test_what_does_not_fit_the_queue_is_dropped_and_said(
    start_backend: StartBackend,
) -> None:
    backend = await start_backend(queue_size=10)
    async with httpx.AsyncClient(base_url=backend.page_url) as http:
        spans = [span(span_id=number) for number in range(1, 51)]
        response = await post(http, request(game=spans))
    assert response.partial_success.rejected_spans == 40
    assert response.partial_success.error_message == "40 spans dropped: the queue is full"
    assert counter(backend, "dropped", reason="queue_full") == 40
    assert counter(backend, "received") == 50
    await until(lambda: counter(backend, "stored") == 10)


async def test_a_batch_that_comes_twice_is_stored_once(
    backend: Running, http: httpx.AsyncClient
) -> None:
    spans = [span(span_id=1), span(span_id=2, parent=1)]
    await send(http, backend, game=spans)
    await send(http, backend, game=spans)
    assert len(await read_names(http, "1".zfill(32))) == 2


async def test_many_writers_lose_nothing(backend: Running, http: httpx.AsyncClient) -> None:
    async def write(writer: int) -> None:
        async with grpc.aio.insecure_channel(str(backend.grpc)) as channel:
            export = exporter_of(channel)
            for batch in range(10):
                spans = [
                    span(trace=100 + number, span_id=writer * 1_000 + batch * 20 + number)
                    for number in range(1, 21)
                ]
                message = request(**{f"service{writer}": spans})
                await export(message.SerializeToString(), timeout=10)

    await asyncio.gather(*(write(writer) for writer in range(1, 9)))
    await until(lambda: counter(backend, "stored") == 8 * 10 * 20)
    assert len(await read_names(http, f"{101:032x}")) == 8 * 10
    assert (await http.get("/api/services")).json()["total"] == 8


async def test_health_serves_on_both_ports(backend: Running, http: httpx.AsyncClient) -> None:
    async with grpc.aio.insecure_channel(str(backend.grpc)) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", SERVICE_NAME):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert (await http.get("/healthz")).status_code == 200


async def test_a_store_that_fails_is_said_and_recovers(
    backend: Running, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    async def grpc_health() -> int:
        async with grpc.aio.insecure_channel(str(backend.grpc)) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
            return int(answer.status)

    async def is_not_serving() -> bool:
        return await grpc_health() == int(health_pb2.HealthCheckResponse.NOT_SERVING)

    async def is_serving() -> bool:
        return await grpc_health() == int(health_pb2.HealthCheckResponse.SERVING)

    connection = sqlite3.connect(tmp_path / "trace.sqlite", isolation_level=None)
    connection.execute("ALTER TABLE spans RENAME TO elsewhere")
    await post(http, request(game=[span(trace=1), span(trace=2)]))
    await until(lambda: counter(backend, "dropped", reason="store_failed") == 2)
    assert (await http.get("/healthz")).status_code == 503
    await until(is_not_serving)
    connection.execute("ALTER TABLE elsewhere RENAME TO spans")
    connection.close()
    await send(http, backend, game=[span(trace=3)])
    assert (await http.get("/healthz")).status_code == 200
    await until(is_serving)
    assert await read_names(http, f"{3:032x}") == ["work"]


async def test_a_small_message_that_inflates_is_refused(backend: Running) -> None:
    gzip_always = [("grpc.default_compression_algorithm", 2)]
    async with grpc.aio.insecure_channel(str(backend.grpc), options=gzip_always) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await exporter_of(channel)(bytes(8 * REQUEST_BYTES_MAX), timeout=10)
    assert failure.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_the_metrics_page_counts_spans(backend: Running, http: httpx.AsyncClient) -> None:
    await send(http, backend, game=[span()])
    text = (await http.get("/metrics")).text
    assert "croupier_trace_spans_stored_total 1.0" in text
    assert 'croupier_trace_spans_dropped_total{reason="queue_full"} 0.0' in text


async def test_json_answers_say_what_was_rejected(http: httpx.AsyncClient) -> None:
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "no ids"}]}]}]}
    answer = await http.post("/v1/traces", content=json.dumps(body), headers=JSON)
    assert answer.json() == {
        "partialSuccess": {
            "rejectedSpans": "1",
            "errorMessage": "1 spans without a valid trace_id and span_id",
        }
    }
