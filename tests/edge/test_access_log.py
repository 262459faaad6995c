"""What the edge writes down of each request."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from croupier.wallet.v1 import wallet_service_pb2, wallet_service_pb2_grpc

from services.kit.errors import ServiceError
from tests.edge.doubles import Mesh
from tests.edge.envoy import Edge

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH = "/v1/wallet/balances"
LOGIN = "/v1/auth:login"
JSON = {"content-type": "application/json"}
CODES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


async def test_access_log_joins_and_tells_no_secrets(
    edge: Edge, client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str]
) -> None:
    response = await client.get(
        "/v1/rounds?page_token=c2VjcmV0", headers={**player, "x-api-key": "hunter2"}
    )
    request_id = response.headers["x-request-id"]
    line = await logged(edge.access_log, request_id)
    entry = json.loads(line)
    assert entry["path"] == "/v1/rounds"
    assert entry["rpc"] == "croupier.game.v1.GameService/ListRounds"
    assert (entry["status"], entry["method"], entry["upstream"]) == (200, "GET", "game")
    assert entry["subject_id"] == "0198c0de-0000-7000-8000-000000000001"
    assert entry["client_address"] == "127.0.0.1"
    token = player["authorization"].removeprefix("Bearer ")
    for secret in (token, token.split(".")[1], "hunter2", "c2VjcmV0"):
        assert secret not in line
    assert mesh.received


def line_with(text: str, path: Path) -> str:
    return next((line for line in path.read_text().splitlines() if text in line), "")


async def logged(path: Path, request_id: str) -> str:
    """Waits for the line of a request; Envoy writes its log every second."""
    async with asyncio.timeout(15):
        while True:
            found = line_with(request_id, path)
            if found:
                return found
            await asyncio.sleep(0.05)


def refuse_with(code: grpc.StatusCode) -> Any:
    class RefusedError(ServiceError):
        pass

    RefusedError.code = code
    RefusedError.reason = "ERROR_REASON_OF_THE_TEST"

    def refuse(_: Any) -> Any:
        raise RefusedError("refused")

    return refuse


async def noted(edge: Edge, request_id: str) -> tuple[int, int | None]:
    entry = json.loads(await logged(edge.access_log, request_id))
    return entry["status"], entry["grpc_status"]


async def test_code_of_a_service_is_noted_as_it_was(
    edge: Edge,
    client: httpx.AsyncClient,
    channel: grpc.aio.Channel,
    mesh: Mesh,
    player: dict[str, str],
) -> None:
    stub = wallet_service_pb2_grpc.WalletServiceStub(channel)
    expected: dict[str, tuple[int, int]] = {}
    for code in CODES:
        mesh.answer("ListBalances", refuse_with(code))
        response = await client.get(PATH, headers=player)
        assert response.json()["code"] == code.value[0]
        expected[response.headers["x-request-id"]] = (response.status_code, code.value[0])
        call = stub.ListBalances(
            wallet_service_pb2.ListBalancesRequest(), metadata=tuple(player.items()), timeout=5
        )
        assert await call.code() is code
        trailers = dict(await call.trailing_metadata())
        expected[str(trailers["x-request-id"])] = (200, code.value[0])
    # Envoy writes its log every second: all at once costs the least.
    assert {each: await noted(edge, each) for each in expected} == expected


REQUESTS: list[tuple[str, str, dict[str, str], bytes, int]] = [
    ("GET", PATH, {}, b"", 0),
    ("GET", PATH, {"authorization": ""}, b"", 16),
    ("GET", "/nope", {}, b"", 12),
    ("DELETE", PATH, {}, b"", 12),
    ("GET", f"{PATH}?a=1", {}, b"", 3),
    ("POST", LOGIN, JSON, b'{"a": 1}', 3),
    ("POST", LOGIN, {"content-type": "text/plain"}, b"{}", 3),
    ("POST", LOGIN, JSON, b" " * ((1 << 20) + 1), 3),
    ("POST", LOGIN, JSON, b"{}", 3),
    ("POST", "/v1/webhooks/payments/sandbox", {}, b"{}", 0),
]


async def test_code_of_an_answer_is_noted(edge: Edge, mesh: Mesh, player: dict[str, str]) -> None:
    expected: dict[str, tuple[int, int | None]] = {}
    async with edge.client() as client:
        for verb, path, headers, body, code in REQUESTS:
            sent = {key: value for key, value in {**player, **headers}.items() if value}
            response = await client.request(verb, path, content=body, headers=sent)
            assert response.status_code == 200 or response.json()["code"] == code
            expected[response.headers["x-request-id"]] = (response.status_code, code)
    assert {each: await noted(edge, each) for each in expected} == expected
    assert all(each.method != "Login" for each in mesh.received)


async def test_code_with_which_a_stream_ends_is_noted(
    edge: Edge, client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str]
) -> None:
    class LostError(ServiceError):
        code = grpc.StatusCode.UNAVAILABLE
        reason = "ERROR_REASON_OF_THE_TEST"

    async def watch(_: Any) -> AsyncIterator[Any]:
        yield wallet_service_pb2.WatchBalancesResponse()
        if broken:
            raise LostError("lost")

    mesh.answer("WatchBalances", watch)
    for broken in (False, True):
        response = await client.get(f"{PATH}:watch", headers=player)
        assert await noted(edge, response.headers["x-request-id"]) == (200, 14 if broken else 0)
