"""Jaeger's query API over HTTP: parameters in, JSON out."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.kit.clock import Clock, to_micros
from services.trace.domain import SPAN_KINDS, TRACE_ID_BYTES, TraceQuery
from services.trace.jaeger import (
    Json,
    dependency_json,
    envelope,
    error_envelope,
    operation_json,
    trace_json,
)
from services.trace.reader import QuestionTooLargeError, TraceReader

LIMIT_DEFAULT = 20
LIMIT_MAX = 1_000

_DEPENDENCIES_LOOKBACK = timedelta(hours=24)
_TRACE_IDS_MAX = 100
_TAGS_MAX = 20
_INTEGER_MAX = 2**63 - 1
_DURATION_LENGTH_MAX = 20
_HEXADECIMAL = re.compile(r"[0-9a-fA-F]{1,32}")
_DURATION = re.compile(r"(?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)")
_UNIT_US = {"ns": 1e-3, "us": 1, "µs": 1, "ms": 1e3, "s": 1e6, "m": 60e6, "h": 3600e6}


class InvalidParameterError(Exception):
    """A parameter cannot be understood."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"unable to parse param '{name}': {reason}")


class TraceNotFoundError(Exception):
    """No span of the trace is stored."""


class QueryApi:
    """Answers `/api/…`."""

    def __init__(self, reader: TraceReader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock

    def routes(self) -> list[Route]:
        """Lists the addresses, most specific first."""
        return [
            Route("/api/services", self._services),
            Route("/api/services/{service:path}/operations", self._service_operations),
            Route("/api/operations", self._operations),
            Route("/api/traces", self._traces),
            Route("/api/traces/{trace_id}", self._trace),
            Route("/api/dependencies", self._dependencies),
            Route("/api/{path:path}", _not_found),
        ]

    async def _services(self, request: Request) -> Response:
        def question() -> Json:
            names = self._reader.services()
            return envelope(names, total=len(names))

        return await self._answer(request, question)

    async def _service_operations(self, request: Request) -> Response:
        service = request.path_params["service"]

        def question() -> Json:
            operations = self._reader.operations(service)
            names = sorted({operation.name for operation in operations})
            return envelope(names, total=len(names))

        return await self._answer(request, question)

    async def _operations(self, request: Request) -> Response:
        parameters = request.query_params

        def question() -> Json:
            service = parameters.get("service", "")
            if not service:
                raise InvalidParameterError("service", "parameter 'service' is required")
            found = self._reader.operations(service, _span_kind(parameters.get("spanKind", "")))
            return envelope([operation_json(operation) for operation in found], total=len(found))

        return await self._answer(request, question)

    async def _traces(self, request: Request) -> Response:
        def question() -> Json:
            trace_ids = request.query_params.getlist("traceID")
            if trace_ids:
                if len(trace_ids) > _TRACE_IDS_MAX:
                    raise InvalidParameterError("traceID", f"more than {_TRACE_IDS_MAX} of them")
                found = [parse_trace_id(text) for text in trace_ids]
            else:
                query = parse_trace_query(request.query_params)
                found = self._reader.find_traces(query)
            return envelope([trace_json(trace) for trace in self._reader.load_traces(found)])

        return await self._answer(request, question)

    async def _trace(self, request: Request) -> Response:
        def question() -> Json:
            trace_id = parse_trace_id(request.path_params["trace_id"])
            traces = self._reader.load_traces([trace_id])
            if not traces:
                raise TraceNotFoundError
            return envelope([trace_json(trace) for trace in traces])

        return await self._answer(request, question)

    async def _dependencies(self, request: Request) -> Response:
        parameters = request.query_params

        def question() -> Json:
            now_ms = to_micros(self._clock.now()) // 1_000
            end_ms = _integer(parameters, "endTs", now_ms)
            lookback_ms = _integer(
                parameters, "lookback", _DEPENDENCIES_LOOKBACK // timedelta(milliseconds=1)
            )
            service = parameters.get("service", "")
            found = self._reader.dependencies(
                max(0, end_ms - lookback_ms) * 1_000, min(end_ms * 1_000, _INTEGER_MAX)
            )
            return envelope(
                [
                    dependency_json(dependency)
                    for dependency in found
                    if not service or service in (dependency.parent, dependency.child)
                ]
            )

        return await self._answer(request, question)

    async def _answer(self, request: Request, question: Callable[[], Json]) -> Response:
        """Answers off the event loop, down to the bytes: a long trace is work to write."""
        is_pretty = request.query_params.get("prettyPrint", "false") != "false"
        try:
            content = await self._reader.ask(lambda: _dump(question(), is_pretty=is_pretty))
            return Response(content, media_type="application/json")
        except InvalidParameterError as error:
            return _refuse(400, str(error))
        except TraceNotFoundError:
            return _refuse(404, "trace not found")
        except QuestionTooLargeError:
            return _refuse(503, "this search took too long: choose less time or a service")


def parse_trace_id(text: str) -> bytes:
    """Reads a trace id. Leading zeros may be missing: some tools leave them out.

    Raises:
        InvalidParameterError: It is not hexadecimal, or too long.
    """
    if _HEXADECIMAL.fullmatch(text) is None:
        raise InvalidParameterError("traceID", "it must be 1 to 32 hexadecimal digits")
    return bytes.fromhex(text.zfill(2 * TRACE_ID_BYTES))


def parse_trace_query(parameters: QueryParams) -> TraceQuery:
    """Reads the parameters of a search.

    It takes more than Jaeger does: no service is needed, since a transaction id finds its traces
    alone, and `hasError=true` asks for traces in which any span failed. Without a start or an end
    the search has none.

    Raises:
        InvalidParameterError: One of them cannot be understood.
    """
    limit = _integer(parameters, "limit", LIMIT_DEFAULT)
    if not 1 <= limit <= LIMIT_MAX:
        raise InvalidParameterError("limit", f"it must be between 1 and {LIMIT_MAX}")
    operation = parameters.get("operation", "")
    return TraceQuery(
        start_us=_integer(parameters, "start", 0),
        end_us=_integer(parameters, "end", _INTEGER_MAX),
        limit=limit,
        service=parameters.get("service") or None,
        operation=None if operation in {"", "all"} else operation,
        duration_us_min=_duration(parameters, "minDuration"),
        duration_us_max=_duration(parameters, "maxDuration"),
        has_error=parameters.get("hasError", "") == "true",
        tags=_tags(parameters),
    )


def _integer(parameters: QueryParams, name: str, default: int) -> int:
    text = parameters.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdecimal() or int(text[:20]) > _INTEGER_MAX:
        raise InvalidParameterError(name, f"{text[:40]!r} is not a whole number")
    return int(text)


def _duration(parameters: QueryParams, name: str) -> int | None:
    """Reads Go's notation, such as 1.5s, 100ms or 1m30s, as microseconds."""
    text = parameters.get(name, "")
    if not text:
        return None
    if len(text) > _DURATION_LENGTH_MAX or _DURATION.fullmatch(text) is None:
        raise InvalidParameterError(name, "a duration looks like 1.5s, 100ms or 500us")
    return int(sum(float(number) * _UNIT_US[unit] for number, unit in _DURATION_PART.findall(text)))


def _tags(parameters: QueryParams) -> dict[str, str]:
    """Reads both of Jaeger's forms: `tag=key:value`, repeated, and `tags={"key":"value"}`."""
    tags: dict[str, str] = {}
    for text in parameters.getlist("tag"):
        key, separator, value = text.partition(":")
        if not key or not separator:
            raise InvalidParameterError("tag", "it must be key:value")
        tags[key] = value
    text = parameters.get("tags", "")
    if text:
        try:
            read: Any = json.loads(text)
        except (ValueError, RecursionError):
            read = None
        if not isinstance(read, Mapping) or not all(isinstance(v, str) for v in read.values()):
            raise InvalidParameterError("tags", "it must be a JSON object of strings")
        tags.update(read)
    if len(tags) > _TAGS_MAX:
        raise InvalidParameterError("tags", f"more than {_TAGS_MAX} of them")
    return tags


def _span_kind(text: str) -> int | None:
    if not text:
        return None
    for kind, name in SPAN_KINDS.items():
        if name == text:
            return kind
    raise InvalidParameterError("spanKind", f"it must be one of {', '.join(SPAN_KINDS.values())}")


async def _not_found(request: Request) -> Response:
    del request
    return _refuse(404, "there is no such address")


def _dump(answer: Json, *, is_pretty: bool = False) -> bytes:
    if is_pretty:
        return json.dumps(answer, ensure_ascii=False, indent=2).encode()
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()


def _refuse(code: int, message: str) -> Response:
    return Response(_dump(error_envelope(code, message)), code, media_type="application/json")
