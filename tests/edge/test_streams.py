import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import pytest
from croupier.wallet.v1 import wallet_service_pb2, wallet_service_pb2_grpc

from services.kit.errors import ServiceError
from tests.edge.conftest import ORIGIN, told
from tests.edge.doubles import Mesh
from tests.edge.envoy import Edge

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH = "/v1/wallet/balances:watch"
Response = wallet_service_pb2.WatchBalancesResponse


class Following:
    """A stream whose next message comes when the test says so."""

    def __init__(self, mesh: Mesh) -> None:
        self.go = asyncio.Semaphore(0)
        mesh.answer("WatchBalances", self.messages)

    async def messages(self, request: Any) -> AsyncIterator[Any]:
        for seq in range(request.after_seq + 1, request.after_seq + 4):
            async with asyncio.timeout(10):
                await self.go.acquire()
            response = Response()
            response.balance.seq = seq
            yield response
        last = Response()
        last.end.cause = wallet_service_pb2.StreamEnd.CAUSE_DRAINING
        yield last


async def test_stream_is_a_json_object_a_line_as_it_happens(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str]
) -> None:
    following = Following(mesh)
    following.go.release()
    headers = {**player, "origin": ORIGIN}
    async with client.stream("GET", f"{PATH}?after_seq=7", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/x-ndjson"
        assert response.headers["access-control-allow-origin"] == ORIGIN
        lines = response.aiter_lines()
        # Each message arrives before the service makes the next one.
        for seq in (8, 9, 10):
            assert json.loads(await anext(lines))["balance"]["seq"] == str(seq)
            following.go.release()
        assert json.loads(await anext(lines)) == {"end": {"cause": "CAUSE_DRAINING"}}
        assert [line async for line in lines] == []


async def test_stream_is_server_sent_events_if_asked(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str]
) -> None:
    following = Following(mesh)
    following.go.release()
    headers = {**player, "accept": "text/event-stream"}
    async with client.stream("GET", PATH, headers=headers) as response:
        assert response.headers["content-type"] == "text/event-stream"
        lines = response.aiter_lines()
        for seq in (1, 2, 3):
            line = await anext(lines)
            assert line.startswith("data: ")
            assert json.loads(line[6:])["balance"]["seq"] == str(seq)
            assert await anext(lines) == ""
            following.go.release()


async def test_refusal_before_the_first_message_is_an_error(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str]
) -> None:
    class RefusedError(ServiceError):
        code = grpc.StatusCode.FAILED_PRECONDITION
        reason = "ERROR_REASON_OF_THE_TEST"

    async def refuse(_: Any) -> AsyncIterator[Any]:
        raise RefusedError("no")
        yield

    mesh.answer("WatchBalances", refuse)
    assert told(await client.get(PATH, headers=player))[:2] == (412, "OF_THE_TEST")
    assert told(await client.get(PATH))[:2] == (401, "CREDENTIAL_MISSING")
    assert told(await client.get(f"{PATH}?after_seq=-1", headers=player))[0] == 400


async def test_client_that_leaves_ends_the_call(
    edge: Edge, mesh: Mesh, player: dict[str, str]
) -> None:
    following = Following(mesh)
    following.go.release()
    async with edge.client() as client, client.stream("GET", PATH, headers=player) as response:
        await anext(response.aiter_lines())
    await asyncio.wait_for(mesh.cancelled.wait(), 10)


async def test_stream_has_no_deadline(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str]
) -> None:
    following = Following(mesh)
    following.go.release()
    async with client.stream("GET", PATH, headers=player) as response:
        await anext(response.aiter_lines())
        assert mesh.last("WatchBalances").remaining is None


async def test_stream_passes_for_grpc(
    channel: grpc.aio.Channel, mesh: Mesh, player: dict[str, str]
) -> None:
    following = Following(mesh)
    stub = wallet_service_pb2_grpc.WalletServiceStub(channel)
    request = wallet_service_pb2.WatchBalancesRequest(after_seq=1)
    call = stub.WatchBalances(request, metadata=tuple(player.items()), timeout=10)
    messages = aiter(call)
    for seq in (2, 3, 4):
        following.go.release()
        assert (await anext(messages)).balance.seq == seq
    assert (await anext(messages)).end.cause == wallet_service_pb2.StreamEnd.CAUSE_DRAINING
    assert [message async for message in messages] == []
    assert await call.code() is grpc.StatusCode.OK


async def test_stream_passes_for_grpc_web(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str]
) -> None:
    following = Following(mesh)
    for _ in range(3):
        following.go.release()
    response = await client.post(
        "/croupier.wallet.v1.WalletService/WatchBalances",
        content=base64.b64encode(b"\0\0\0\0\0"),
        headers={
            **player,
            "content-type": "application/grpc-web-text",
            "accept": "application/grpc-web-text",
        },
    )
    assert response.status_code == 200
    frames = b"".join(
        base64.b64decode(part + b"==") for part in response.content.split(b"=") if part
    )
    assert frames[0] == 0
    assert b"grpc-status:0" in frames
