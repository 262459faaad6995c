import re
from pathlib import Path

import httpx
import pytest

from scripts.mesh.pki import DevelopmentAuthority
from tests.edge.conftest import ORIGIN, told
from tests.edge.doubles import Mesh
from tests.edge.envoy import Edge, edge_settings, running_edge
from tests.edge.raw import exchange

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH = "/v1/wallet/balances"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"

SPOOFED = {
    "x-forwarded-for": "203.0.113.7",
    "x-forwarded-proto": "http",
    "x-forwarded-host": "evil.example.com",
    "forwarded": "for=203.0.113.7",
    "x-real-ip": "203.0.113.7",
    "x-envoy-external-address": "203.0.113.7",
    "x-envoy-internal": "true",
    "x-envoy-original-path": "/v1/spoofed",
    "x-envoy-upstream-rq-timeout-ms": "1",
    "x-envoy-retry-on": "5xx",
    "x-envoy-fault-abort-request": "503",
    "x-forwarded-client-cert": 'URI="spiffe://croupier/game"',
    "x-request-id": "0198c0de-0000-7000-8000-00000000feed",
    "traceparent": TRACEPARENT,
    "tracestate": "a=b",
    "baggage": "player=1",
    "grpc-timeout": "1n",
    "grpc-status-details-bin": "!",
    "other-bin": "not base64!",
    "grpc-encoding": "gzip",
}


async def test_spoofed_headers_do_not_arrive(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str]
) -> None:
    response = await client.get(PATH, headers={**player, **SPOOFED})
    assert response.status_code == 200
    received = mesh.last("ListBalances")
    for name, value in SPOOFED.items():
        assert received.metadata.get(name) != value, name
    assert received.metadata["x-forwarded-proto"] == "https"
    assert "203.0.113.7" not in str(received.metadata)
    assert received.caller.client_address == "127.0.0.1"
    assert received.caller.service == "edge"
    assert received.remaining is not None
    assert 1 < received.remaining <= 10


async def test_request_id_is_ours_and_the_client_learns_it(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str]
) -> None:
    response = await client.get(PATH, headers=player)
    assert UUID.fullmatch(response.headers["x-request-id"])
    assert mesh.last("ListBalances").metadata["x-request-id"] == response.headers["x-request-id"]
    refused = await client.get("/nope")
    assert UUID.fullmatch(refused.headers["x-request-id"])


async def test_answers_carry_no_internals(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str]
) -> None:
    for path in (PATH, "/nope", "/v1/rounds?page_size=x"):
        response = await client.get(path, headers=player)
        assert not [name for name in response.headers if name.startswith(("grpc-", "x-envoy-"))]
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "strict-transport-security" in response.headers
        assert response.headers["server"] == "croupier"
    assert mesh.received


async def test_header_with_an_underscore_is_refused(edge: Edge, mesh: Mesh) -> None:
    response = await exchange(edge, "GET /v1/games", {"x_api_key": "a"})
    assert told(response)[:2] == (400, "INVALID_REQUEST")
    assert mesh.received == []


@pytest.mark.parametrize(
    "headers",
    [
        {"x-big": "a" * 20_000},
        {f"x-{number}": "a" for number in range(80)},
    ],
    ids=["too long", "too many"],
)
async def test_headers_beyond_the_limits_are_refused(
    edge: Edge, mesh: Mesh, headers: dict[str, str]
) -> None:
    response = await exchange(edge, "GET /v1/games", headers)
    assert told(response)[:2] == (431, "INVALID_REQUEST")
    assert mesh.received == []


@pytest.mark.parametrize(
    "headers",
    [{"x_api_key": "a"}, {"x-big": "a" * 20_000}, {f"x-{number}": "a" for number in range(80)}],
    ids=["an underscore", "too long", "too many"],
)
async def test_such_headers_end_the_request_over_http2(
    edge: Edge, mesh: Mesh, player: dict[str, str], headers: dict[str, str]
) -> None:
    async with edge.client(http2=True) as client:
        first = await client.get(PATH, headers=player)
        with pytest.raises(httpx.RemoteProtocolError, match=r"StreamReset .*error_code:2,"):
            await client.get("/v1/games", headers={**player, **headers})
        # (2 is INTERNAL_ERROR.) Only that request ends: others on the connection go on.
        again = await client.get(PATH, headers=player)
    assert (first.status_code, again.status_code) == (200, 200)
    assert [each.method for each in mesh.received] == ["ListBalances"] * 2


@pytest.mark.parametrize(
    "headers",
    [
        {"content-length": "2", "transfer-encoding": "chunked"},
        {"content-length": "-1"},
        {"transfer-encoding": "gzip, chunked"},
    ],
    ids=["two lengths", "negative length", "unknown coding"],
)
async def test_ambiguous_framing_is_refused(
    edge: Edge, mesh: Mesh, player: dict[str, str], headers: dict[str, str]
) -> None:
    json_type = {"content-type": "application/json"}
    response = await exchange(
        edge, "POST /v1/payments:deposit", {**player, **json_type, **headers}, [b"{}"]
    )
    assert response.status_code in (400, 501)
    assert mesh.received == []


@pytest.mark.parametrize(
    "path", [PATH, "/v1/auth:login", "/v1/provider:placeBet", "/nope", "/a.b.C/D"]
)
async def test_preflight_from_a_known_origin_is_allowed(
    client: httpx.AsyncClient, mesh: Mesh, path: str
) -> None:
    response = await client.options(
        path,
        headers={
            "origin": ORIGIN,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type",
        },
    )
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in response.headers["access-control-allow-methods"]
    allowed = response.headers["access-control-allow-headers"]
    assert {"authorization", "content-type", "traceparent"} <= set(allowed.split(", "))
    assert "access-control-allow-credentials" not in response.headers
    assert mesh.received == []


@pytest.mark.parametrize(
    "origin", ["https://evil.example.com", "https://play.example.com.evil.com", "null", "*"]
)
async def test_other_origins_are_not_allowed(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str], origin: str
) -> None:
    headers = {"origin": origin, "access-control-request-method": "GET"}
    preflight = await client.options(PATH, headers=headers)
    assert "access-control-allow-origin" not in preflight.headers
    assert mesh.received == []
    actual = await client.get(PATH, headers={**player, "origin": origin})
    assert "access-control-allow-origin" not in actual.headers


async def test_errors_can_be_read_across_origins(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str]
) -> None:
    for verb, path, headers, status in (
        ("GET", PATH, {}, 401),
        ("GET", "/nope", {}, 404),
        ("DELETE", PATH, {}, 405),
        ("GET", f"{PATH}?a=1", player, 400),
        ("POST", "/v1/payments:deposit", {**player, "content-type": "text/plain"}, 415),
    ):
        response = await client.request(verb, path, headers={**headers, "origin": ORIGIN})
        assert response.status_code == status
        assert response.headers["access-control-allow-origin"] == ORIGIN
        assert "x-request-id" in response.headers["access-control-expose-headers"]
    assert mesh.received == []


async def test_proxies_in_front_are_believed_as_configured(
    shared_mesh: Mesh,
    tmp_short: Path,
    authority: DevelopmentAuthority,
    player: dict[str, str],
) -> None:
    settings = edge_settings(
        tmp_short,
        authority=authority,
        ports=shared_mesh.ports,
        trusted_hops=1,
        trust_client_trace=True,
    )
    async with running_edge(settings, tmp_short) as edge, edge.client() as client:
        forwarded = {"x-forwarded-for": "198.51.100.1, 203.0.113.7", "traceparent": TRACEPARENT}
        response = await client.get(PATH, headers={**player, **forwarded})
        assert response.status_code == 200
    received = shared_mesh.last("ListBalances")
    assert received.caller.client_address == "203.0.113.7"
    assert received.metadata["traceparent"] == TRACEPARENT
