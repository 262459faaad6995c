import json
from typing import Any

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from services.trace.server import Running
from tests.trace.sending import START_NS, START_US, attribute, send, span

TRACE_1 = f"{1:032x}"
TRACE_2 = f"{2:032x}"
TRACE_3 = f"{3:032x}"


async def send_three_traces(http: httpx.AsyncClient, backend: Running) -> None:
    await send(
        http,
        backend,
        edge=[
            span("POST /bet", span_id=1, kind=Span.SPAN_KIND_SERVER, duration_us=9_000),
            span(
                "POST /win",
                trace=2,
                span_id=1,
                kind=Span.SPAN_KIND_SERVER,
                start_us=1_000_000,
                duration_us=2_000,
            ),
            span(
                "GET /balance",
                trace=3,
                span_id=1,
                kind=Span.SPAN_KIND_SERVER,
                start_us=2_000_000,
                duration_us=50,
            ),
        ],
        game=[
            span(
                "Bet",
                span_id=2,
                parent=1,
                kind=Span.SPAN_KIND_SERVER,
                start_us=100,
                duration_us=8_000,
            ),
            span(
                "Win",
                trace=2,
                span_id=2,
                parent=1,
                kind=Span.SPAN_KIND_SERVER,
                start_us=1_000_100,
                failed=True,
            ),
        ],
        wallet=[
            span(
                "Post",
                span_id=3,
                parent=2,
                start_us=200,
                duration_us=5_000,
                attributes={
                    "croupier.transaction_id": "bet-1",
                    "rpc.grpc.status_code": 0,
                    "retry": False,
                    "ratio": 0.5,
                    "text": "two words",
                },
            ),
            span(
                "Post",
                trace=2,
                span_id=3,
                parent=2,
                start_us=1_000_200,
                duration_us=700,
                attributes={"croupier.transaction_id": "win-1", "rpc.grpc.status_code": 9},
            ),
        ],
    )


async def find(http: httpx.AsyncClient, **parameters: Any) -> list[str]:
    answer = await http.get("/api/traces", params=parameters)
    assert answer.status_code == 200, answer.text
    return [trace["traceID"] for trace in answer.json()["data"]]


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({}, [TRACE_3, TRACE_2, TRACE_1]),
        ({"limit": 1}, [TRACE_3]),
        ({"service": "wallet"}, [TRACE_2, TRACE_1]),
        ({"service": "nobody"}, []),
        ({"service": "edge", "operation": "POST /win"}, [TRACE_2]),
        ({"service": "game", "operation": "POST /win"}, []),
        ({"service": "edge", "operation": "all"}, [TRACE_3, TRACE_2, TRACE_1]),
        ({"minDuration": "8ms"}, [TRACE_1]),
        ({"minDuration": "8ms", "service": "wallet"}, []),
        ({"maxDuration": "100us"}, [TRACE_3]),
        ({"minDuration": "0.6ms", "maxDuration": "800us"}, [TRACE_2]),
        ({"start": START_US + 500_000}, [TRACE_3, TRACE_2]),
        ({"end": START_US + 1_500_000}, [TRACE_2, TRACE_1]),
        ({"tag": "error:true"}, [TRACE_2]),
        ({"tag": "error:true", "service": "wallet"}, []),
        ({"hasError": "true", "service": "wallet"}, [TRACE_2]),
        ({"tag": "span.kind:server", "service": "game"}, [TRACE_2, TRACE_1]),
        ({"tag": "span.kind:client"}, []),
        ({"tag": "otel.status_code:ERROR"}, [TRACE_2]),
        ({"tag": "croupier.transaction_id:bet-1"}, [TRACE_1]),
        ({"tag": "croupier.transaction_id:bet-2"}, []),
        ({"tags": '{"croupier.transaction_id": "win-1"}'}, [TRACE_2]),
        ({"tag": "rpc.grpc.status_code:9"}, [TRACE_2]),
        ({"tag": "rpc.grpc.status_code:0"}, [TRACE_1]),
        ({"tag": "grpc.status_code:9"}, []),
        ({"tag": "retry:false"}, [TRACE_1]),
        ({"tag": "ratio:0.5"}, [TRACE_1]),
        ({"tag": "text:two words"}, [TRACE_1]),
        ({"tag": "text:two"}, []),
        ({"tag": ["text:two words", "retry:true"]}, []),
        ({"tag": "deployment:wallet-blue"}, [TRACE_2, TRACE_1]),
        ({"tag": "deployment:wallet-green"}, []),
        ({"traceID": [TRACE_2, TRACE_1, "77"]}, [TRACE_2, TRACE_1]),
    ],
)
async def test_a_search_finds_the_newest_traces_that_fit(
    backend: Running, http: httpx.AsyncClient, parameters: dict[str, Any], found: list[str]
) -> None:
    await send_three_traces(http, backend)
    assert await find(http, **parameters) == found


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"limit": "0"}, "unable to parse param 'limit': it must be between 1 and 1000"),
        ({"limit": "ten"}, "unable to parse param 'limit': 'ten' is not a whole number"),
        ({"start": "-1"}, "unable to parse param 'start': '-1' is not a whole number"),
        (
            {"end": "9" * 30},
            f"unable to parse param 'end': '{'9' * 30}' is not a whole number",
        ),
        (
            {"minDuration": "fast"},
            "unable to parse param 'minDuration': a duration looks like 1.5s, 100ms or 500us",
        ),
        ({"tag": "error"}, "unable to parse param 'tag': it must be key:value"),
        ({"tags": "{"}, "unable to parse param 'tags': it must be a JSON object of strings"),
        ({"tags": '{"a": 1}'}, "unable to parse param 'tags': it must be a JSON object of strings"),
        (
            {"traceID": "xyz"},
            "unable to parse param 'traceID': it must be 1 to 32 hexadecimal digits",
        ),
    ],
)
async def test_a_parameter_that_makes_no_sense_is_refused(
    http: httpx.AsyncClient, parameters: dict[str, str], message: str
) -> None:
    answer = await http.get("/api/traces", params=parameters)
    assert answer.status_code == 400
    assert answer.json() == {
        "data": None,
        "total": 0,
        "limit": 0,
        "offset": 0,
        "errors": [{"code": 400, "msg": message}],
    }


async def test_a_trace_has_the_shape_that_jaeger_gives_it(
    backend: Running, http: httpx.AsyncClient
) -> None:
    child = span("Post", span_id=3, parent=2, start_us=200, kind=Span.SPAN_KIND_CLIENT, failed=True)
    child.status.message = "ERROR_REASON_INSUFFICIENT_FUNDS"
    child.attributes.extend([attribute("big", 2**60), attribute("not a number", float("nan"))])
    listed = child.attributes.add(key="list")
    listed.value.array_value.values.add(string_value="a")
    listed.value.array_value.values.add(int_value=2)
    child.attributes.add(key="bytes").value.bytes_value = b"\x00\x01"
    child.events.append(
        Span.Event(
            time_unix_nano=START_NS + 300_000,
            name="exception",
            attributes=[attribute("exception.type", "InsufficientFunds")],
        )
    )
    child.links.append(Span.Link(trace_id=bytes(15) + b"\x09", span_id=bytes(7) + b"\x08"))
    await send(http, backend, wallet=[child])
    answer = await http.get(f"/api/traces/{TRACE_1}")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "data": [
            {
                "traceID": TRACE_1,
                "spans": [
                    {
                        "traceID": TRACE_1,
                        "spanID": "0000000000000003",
                        "flags": 0,
                        "operationName": "Post",
                        "references": [
                            {
                                "refType": "CHILD_OF",
                                "traceID": TRACE_1,
                                "spanID": "0000000000000002",
                            },
                            {
                                "refType": "FOLLOWS_FROM",
                                "traceID": f"{9:032x}",
                                "spanID": "0000000000000008",
                            },
                        ],
                        "startTime": START_US + 200,
                        "duration": 1_000,
                        "tags": [
                            {"key": "otel.scope.name", "type": "string", "value": "tests"},
                            {"key": "big", "type": "int64", "value": str(2**60)},
                            {"key": "not a number", "type": "float64", "value": "nan"},
                            {"key": "list", "type": "string", "value": '["a", 2]'},
                            {"key": "bytes", "type": "binary", "value": "AAE="},
                            {"key": "span.kind", "type": "string", "value": "client"},
                            {"key": "otel.status_code", "type": "string", "value": "ERROR"},
                            {"key": "error", "type": "bool", "value": True},
                            {
                                "key": "otel.status_description",
                                "type": "string",
                                "value": "ERROR_REASON_INSUFFICIENT_FUNDS",
                            },
                        ],
                        "logs": [
                            {
                                "timestamp": START_US + 300,
                                "fields": [
                                    {"key": "event", "type": "string", "value": "exception"},
                                    {
                                        "key": "exception.type",
                                        "type": "string",
                                        "value": "InsufficientFunds",
                                    },
                                ],
                            }
                        ],
                        "processID": "p1",
                        "warnings": None,
                    }
                ],
                "processes": {
                    "p1": {
                        "serviceName": "wallet",
                        "tags": [{"key": "deployment", "type": "string", "value": "wallet-blue"}],
                    }
                },
                "warnings": None,
            }
        ],
        "total": 0,
        "limit": 0,
        "offset": 0,
        "errors": None,
    }


async def test_leading_zeros_of_a_trace_id_may_be_missing(
    backend: Running, http: httpx.AsyncClient
) -> None:
    await send_three_traces(http, backend)
    assert (await http.get("/api/traces/1")).json()["data"][0]["traceID"] == TRACE_1


async def test_json_is_indented_on_request(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/services", params={"prettyPrint": "true"})
    assert answer.text.startswith('{\n  "data": []')


async def test_an_unknown_trace_is_not_found(http: httpx.AsyncClient) -> None:
    answer = await http.get(f"/api/traces/{TRACE_1}")
    assert answer.status_code == 404
    assert answer.json()["errors"] == [{"code": 404, "msg": "trace not found"}]
    assert answer.json()["data"] is None


async def test_services_and_operations_are_listed(
    backend: Running, http: httpx.AsyncClient
) -> None:
    await send_three_traces(http, backend)
    services = await http.get("/api/services")
    assert services.json()["data"] == ["edge", "game", "wallet"]
    assert services.json()["total"] == 3
    names = await http.get("/api/services/game/operations")
    assert names.json()["data"] == ["Bet", "Win"]
    operations = await http.get("/api/operations", params={"service": "edge"})
    assert operations.json()["data"] == [
        {"name": "GET /balance", "spanKind": "server"},
        {"name": "POST /bet", "spanKind": "server"},
        {"name": "POST /win", "spanKind": "server"},
    ]
    clients = await http.get("/api/operations", params={"service": "edge", "spanKind": "client"})
    assert clients.json()["data"] == []
    assert (await http.get("/api/operations")).status_code == 400
    unknown_kind = await http.get("/api/operations", params={"service": "edge", "spanKind": "x"})
    assert unknown_kind.status_code == 400


async def test_a_service_whose_name_has_a_slash_has_operations(
    backend: Running, http: httpx.AsyncClient
) -> None:
    await send(http, backend, **{"team/game": [span("Bet")]})
    answer = await http.get("/api/services/team%2Fgame/operations")
    assert answer.json()["data"] == ["Bet"]


async def test_dependencies_count_calls_between_services(
    backend: Running, http: httpx.AsyncClient
) -> None:
    await send_three_traces(http, backend)
    window = {"endTs": START_US // 1_000 + 10_000, "lookback": 60_000}
    answer = await http.get("/api/dependencies", params=window)
    edges = {(edge["parent"], edge["child"]): edge["callCount"] for edge in answer.json()["data"]}
    assert edges == {("edge", "game"): 2, ("game", "wallet"): 2}
    of_edge = await http.get("/api/dependencies", params=window | {"service": "edge"})
    assert of_edge.json()["data"] == [{"parent": "edge", "child": "game", "callCount": 2}]
    early = await http.get("/api/dependencies", params={"endTs": 1_000, "lookback": 1_000})
    assert early.json()["data"] == []


async def test_another_address_is_not_found_as_jaeger_says_it(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/archive/1")
    assert answer.status_code == 404
    assert answer.json()["errors"] == [{"code": 404, "msg": "there is no such address"}]


@pytest.mark.parametrize(
    ("host", "status_code"),
    [
        ("localhost:4318", 200),
        ("127.0.0.1", 200),
        ("[::1]:4318", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example:4318", 421),
        ("", 421),
    ],
)
async def test_a_foreign_host_name_is_refused(
    http: httpx.AsyncClient, host: str, status_code: int
) -> None:
    answer = await http.get("/api/services", headers={"host": host})
    assert answer.status_code == status_code


async def test_spans_that_end_before_they_start_have_no_length(
    backend: Running, http: httpx.AsyncClient
) -> None:
    backwards = span()
    backwards.end_time_unix_nano = backwards.start_time_unix_nano - 5_000
    await send(http, backend, game=[backwards])
    found = (await http.get(f"/api/traces/{TRACE_1}")).json()["data"][0]["spans"][0]
    assert found["duration"] == 0
    assert found["warnings"] == ["the span ends before it starts; its duration is shown as 0"]


async def test_a_span_without_a_service_name_is_shown(
    backend: Running, http: httpx.AsyncClient
) -> None:
    await send(http, backend, **{"": [span()]})
    answer = (await http.get(f"/api/traces/{TRACE_1}")).json()
    assert answer["data"][0]["processes"]["p1"]["serviceName"] == "unknown_service"


async def test_markup_in_a_span_stays_data(backend: Running, http: httpx.AsyncClient) -> None:
    name = "<script>alert(1)</script>"
    await send(http, backend, game=[span(name, attributes={name: name})])
    answer = await http.get(f"/api/traces/{TRACE_1}")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    found = json.loads(answer.text)["data"][0]["spans"][0]
    assert found["operationName"] == name
    page = await http.get(f"/trace/{TRACE_1}")
    assert "alert(1)" not in page.text
