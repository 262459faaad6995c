"""The OTLP receivers: one answer for spans that come by gRPC or by HTTP."""

import zlib

import grpc
import grpc.aio
from google.rpc.code_pb2 import INVALID_ARGUMENT, RESOURCE_EXHAUSTED
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from services.trace.ingest import Ingest
from services.trace.metrics import Metrics
from services.trace.otlp import (
    InvalidRequestError,
    answer_json,
    decode,
    parse_json,
    parse_protobuf,
)

SERVICE_NAME = "opentelemetry.proto.collector.trace.v1.TraceService"
REQUEST_BYTES_MAX = 8 * 1024 * 1024

_PROTOBUF = "application/x-protobuf"
_JSON = "application/json"
# A client that is still sending when the connection closes may never see the answer: what is too
# long is read to its end and thrown away, if that is not far.
_DISCARDED_BYTES_MAX = 4 * REQUEST_BYTES_MAX
# zlib's number for a gzip header around the largest window.
_GZIP_WINDOW = 31


class Receiver:
    """Hands spans to the queue and says what became of them."""

    def __init__(self, ingest: Ingest, metrics: Metrics) -> None:
        self._ingest = ingest
        self._metrics = metrics

    def accept(self, request: ExportTraceServiceRequest) -> ExportTraceServiceResponse:
        """Queues the spans of a request; the answer counts those that were not kept.

        Dropped spans are not asked for again: an exporter that repeats them would add to the load
        that made this server drop them.
        """
        if self._ingest.is_full:
            count = _count(request)
            self._metrics.received.inc(count)
            return self._answer(invalid_count=0, overflow_count=count)
        decoded = decode(request)
        self._metrics.received.inc(len(decoded.spans) + decoded.invalid_count)
        accepted = self._ingest.offer(decoded.spans)
        return self._answer(
            invalid_count=decoded.invalid_count, overflow_count=len(decoded.spans) - accepted
        )

    def _answer(self, *, invalid_count: int, overflow_count: int) -> ExportTraceServiceResponse:
        response = ExportTraceServiceResponse()
        reasons = []
        if overflow_count:
            self._metrics.dropped.labels("queue_full").inc(overflow_count)
            reasons.append(f"{overflow_count} spans dropped: the queue is full")
        if invalid_count:
            self._metrics.dropped.labels("invalid").inc(invalid_count)
            reasons.append(f"{invalid_count} spans without a valid trace_id and span_id")
        if reasons:
            response.partial_success.rejected_spans = invalid_count + overflow_count
            response.partial_success.error_message = "; ".join(reasons)
        return response


def grpc_handler(receiver: Receiver) -> "grpc.GenericRpcHandler[bytes, ExportTraceServiceResponse]":
    """Returns OTLP's TraceService.

    It is registered by hand, with the bytes as they come: a request that cannot be read is then
    answered INVALID_ARGUMENT, where gRPC's own deserialization would say INTERNAL, which exporters
    may take for a fault of ours and repeat.
    """

    async def export(
        body: bytes, context: grpc.aio.ServicerContext[bytes, ExportTraceServiceResponse]
    ) -> ExportTraceServiceResponse:
        try:
            request = parse_protobuf(body)
        except InvalidRequestError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return receiver.accept(request)

    return grpc.method_handlers_generic_handler(
        SERVICE_NAME,
        {
            "Export": grpc.unary_unary_rpc_method_handler(
                export,
                request_deserializer=None,
                response_serializer=ExportTraceServiceResponse.SerializeToString,
            )
        },
    )


class HttpReceiver:
    """`POST /v1/traces`."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    async def export(self, request: Request) -> Response:
        """Answers in the format of the request, as OTLP wants it, errors included."""
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type not in {_PROTOBUF, _JSON}:
            # Also keeps a foreign web page out: these two types need the server's consent (CORS).
            return _refuse(_JSON, 415, f"Content-Type must be {_PROTOBUF} or {_JSON}")
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"identity", "gzip"}:
            return _refuse(content_type, 415, "Content-Encoding must be gzip or identity")
        try:
            body = await _read(request, is_gzip=encoding == "gzip")
            message = parse_json(body) if content_type == _JSON else parse_protobuf(body)
        except _TooLargeError:
            return _refuse(content_type, 413, f"the body exceeds {REQUEST_BYTES_MAX} bytes")
        except InvalidRequestError as error:
            return _refuse(content_type, 400, str(error))
        except ClientDisconnect:
            return _refuse(content_type, 400, "the body is cut off")
        response = self._receiver.accept(message)
        content = answer_json(response) if content_type == _JSON else response.SerializeToString()
        return Response(content, media_type=content_type)


class _TooLargeError(Exception):
    """The body is longer than a request may be."""


async def _read(request: Request, *, is_gzip: bool) -> bytes:
    """Reads a body up to the limit, which counts before and after decompression."""
    chunks = bytearray()
    length = 0
    async for chunk in request.stream():
        length += len(chunk)
        if length <= REQUEST_BYTES_MAX:
            chunks += chunk
        elif length > _DISCARDED_BYTES_MAX:
            raise _TooLargeError
    if length > REQUEST_BYTES_MAX:
        raise _TooLargeError
    if not is_gzip:
        return bytes(chunks)
    inflater = zlib.decompressobj(_GZIP_WINDOW)
    try:
        body = inflater.decompress(chunks, REQUEST_BYTES_MAX + 1)
    except zlib.error as error:
        raise InvalidRequestError("the body is not gzip") from error
    if len(body) > REQUEST_BYTES_MAX:
        raise _TooLargeError
    if not inflater.eof:
        raise InvalidRequestError("the gzip body is cut off")
    return body


def _refuse(content_type: str, http_status: int, message: str) -> Response:
    status = Status(
        code=RESOURCE_EXHAUSTED if http_status == 413 else INVALID_ARGUMENT,  # noqa: PLR2004 (HTTP)
        message=message,
    )
    content = answer_json(status) if content_type == _JSON else status.SerializeToString()
    # What was not read of the body would be taken for the next request on this connection.
    return Response(content, http_status, headers={"connection": "close"}, media_type=content_type)


def _count(request: ExportTraceServiceRequest) -> int:
    return sum(
        len(scope_spans.spans)
        for resource_spans in request.resource_spans
        for scope_spans in resource_spans.scope_spans
    )
