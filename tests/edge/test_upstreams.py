import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio
from croupier.security.v1 import security_service_pb2
from croupier.wallet.v1 import wallet_service_pb2
from google.protobuf.json_format import ParseDict
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from scripts.mesh.pki import DevelopmentAuthority
from services.kit.errors import UnavailableError
from tests.edge.conftest import short_folder, told
from tests.edge.doubles import API_KEY, UPSTREAMS, Mesh, serve, serve_all
from tests.edge.envoy import Edge, edge_settings, ready, running_edge
from tests.kit.tokens import TokenIssuer
from tests.kit.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH = "/v1/wallet/balances"
DEADLINE = timedelta(seconds=1)
BODY = {
    "requestId": "0198c0de-0000-7000-8000-000000000001",
    "amount": {"currencyCode": "EUR", "minorUnits": "100"},
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def short_edge(shared_mesh: Mesh, authority: DevelopmentAuthority) -> AsyncIterator[Edge]:
    """An edge with a short deadline and limits that a test can reach."""
    with short_folder() as folder:
        settings = edge_settings(
            folder,
            authority=authority,
            ports=shared_mesh.ports,
            deadline=DEADLINE,
            credential_calls_per_minute=3,
            provider_calls_per_second=2,
        )
        async with running_edge(settings, folder) as edge:
            yield edge


async def forever(_: Any = None) -> Any:
    await asyncio.Event().wait()


async def test_deadline_ends_the_call_in_the_service_and_is_504(
    short_edge: Edge, mesh: Mesh, player: dict[str, str]
) -> None:
    mesh.answer("ListBalances", forever)
    async with short_edge.client() as client:
        response = await client.get(PATH, headers=player)
    assert told(response)[:2] == (504, "DEADLINE_EXCEEDED")
    assert response.json()["code"] == 4
    await asyncio.wait_for(mesh.cancelled.wait(), 10)


async def test_grpc_client_without_deadline_gets_one(
    short_edge: Edge, mesh: Mesh, player: dict[str, str]
) -> None:
    mesh.answer("ListBalances", forever)
    async with short_edge.channel() as channel:
        for timeout in (None, 0.2, 60):
            call = channel.unary_unary(
                "/croupier.wallet.v1.WalletService/ListBalances",
                request_serializer=bytes,
                response_deserializer=bytes,
            )
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await call(b"", metadata=tuple(player.items()), timeout=timeout)
            assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_read_is_repeated_when_the_service_is_unavailable(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str]
) -> None:
    failures = iter([UnavailableError(dependency="store")])

    def flaky(_: Any) -> Any:
        for failure in failures:
            raise failure
        return wallet_service_pb2.ListBalancesResponse()

    mesh.answer("ListBalances", flaky)
    assert (await client.get(PATH, headers=player)).status_code == 200
    assert len(mesh.received) == 2


async def test_change_is_not_repeated_when_the_service_is_unavailable(
    client: httpx.AsyncClient, mesh: Mesh, player: dict[str, str]
) -> None:
    def refuse(_: Any) -> Any:
        raise UnavailableError(dependency="psp")

    mesh.answer("CreateDeposit", refuse)
    response = await client.post("/v1/payments:deposit", json=BODY, headers=player)
    assert told(response) == (503, "UNAVAILABLE", {"dependency": "psp"})
    assert len(mesh.received) == 1


async def test_credentials_can_be_tried_only_so_often(short_edge: Edge, mesh: Mesh) -> None:
    body = {"email": "a@example.com", "password": "x"}
    async with short_edge.client() as client:
        answers = [await client.post("/v1/auth:login", json=body) for _ in range(5)]
        # Another route is another bucket.
        other = await client.post("/v1/auth:refresh", json={"refreshToken": "x"})
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert told(answers[-1]) == (429, "OVERLOADED", {})
    assert answers[-1].headers["retry-after"] == "1"
    details = answers[-1].json()["details"]
    assert details[1] == {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"}
    assert other.status_code == 200
    assert len(mesh.received) == 4


async def test_grpc_client_beyond_the_limit_is_told_so(short_edge: Edge, mesh: Mesh) -> None:
    codes = set()
    async with short_edge.channel() as channel:
        call = channel.unary_unary(
            "/croupier.game.v1.ProviderService/AuthenticateSession",
            request_serializer=bytes,
            response_deserializer=bytes,
        )
        for _ in range(20):
            try:
                await call(b"\x0a\x01t", metadata=(("x-api-key", API_KEY),), timeout=5)
            except grpc.aio.AioRpcError as error:
                codes.add(error.code())
    assert codes == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert mesh.received


async def test_service_that_comes_and_goes(
    authority: DevelopmentAuthority, tokens: TokenIssuer, player: dict[str, str], tmp_short: Path
) -> None:
    """Envoy starts before everything else, as after a power cut."""
    mesh = Mesh()
    ports = dict(zip(UPSTREAMS, free_ports(len(UPSTREAMS)), strict=True))
    settings = edge_settings(tmp_short, authority=authority, ports=ports)
    keys = ParseDict(dict(await tokens.fetch_keys()), security_service_pb2.GetJwksResponse())
    mesh.answer("GetJwks", lambda _: keys)
    async with (
        AsyncExitStack() as stack,
        running_edge(settings, tmp_short, wait=False) as edge,
        edge.client() as client,
    ):
        assert set(await edge.admin.missing()) == {*UPSTREAMS, "keys"}
        assert (await client.get("/healthz")).status_code == 200
        early = await client.get(PATH, headers=player)
        assert told(early) == (503, "UNAVAILABLE", {"dependency": "security"})
        down = await client.post("/v1/auth:refresh", json={"refreshToken": "x"})
        assert told(down) == (503, "UNAVAILABLE", {"dependency": "security"})
        for name in UPSTREAMS:
            address = f"127.0.0.1:{ports[name]}"
            server = await serve(mesh, name, authority=authority, tokens=tokens, listen=address)
            stack.push_async_callback(server.stop)
        await ready(edge.admin)
        assert (await client.get(PATH, headers=player)).status_code == 200
        await mesh.servers["wallet"].stop()
        gone = await client.get(PATH, headers=player)
        assert told(gone) == (503, "UNAVAILABLE", {"dependency": "wallet"})
        assert gone.headers["retry-after"] == "1"
        # The others are not affected.
        assert (await client.get("/v1/games", headers=player)).status_code == 200


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [each.getsockname()[1] for each in sockets]


async def test_impostor_gets_nothing(
    shared_mesh: Mesh,
    authority: DevelopmentAuthority,
    player: dict[str, str],
    tmp_short: Path,
) -> None:
    """A service with a true certificate of the mesh, but of another service."""
    shared_mesh.reset()
    ports = {**shared_mesh.ports, "wallet": shared_mesh.ports["game"]}
    settings = edge_settings(tmp_short, authority=authority, ports=ports)
    async with running_edge(settings, tmp_short, wait=False) as edge, edge.client() as client:

        async def only_wallet_is_missing() -> bool:
            return await edge.admin.missing() == ["wallet"]

        await until(only_wallet_is_missing)
        response = await client.get(PATH, headers=player)
    assert told(response) == (503, "UNAVAILABLE", {"dependency": "wallet"})
    assert [each for each in shared_mesh.received if each.method != "GetJwks"] == []


async def test_error_without_a_reason_gets_one(
    shared_mesh: Mesh,
    authority: DevelopmentAuthority,
    player: dict[str, str],
    tmp_short: Path,
) -> None:
    """What gRPC itself answers where none of our code ran."""
    rows = {
        grpc.StatusCode.UNKNOWN: (500, "INTERNAL"),
        grpc.StatusCode.DEADLINE_EXCEEDED: (504, "DEADLINE_EXCEEDED"),
        grpc.StatusCode.RESOURCE_EXHAUSTED: (429, "OVERLOADED"),
        grpc.StatusCode.UNIMPLEMENTED: (501, "METHOD_UNKNOWN"),
        grpc.StatusCode.INTERNAL: (500, "INTERNAL"),
        grpc.StatusCode.UNAVAILABLE: (503, "UNAVAILABLE"),
    }
    codes = iter(rows)

    async def abort(_: Any, context: Any) -> Any:
        await context.abort(next(codes), "secret password=hunter2")

    health = HealthServicer()
    await health.set("", health_pb2.HealthCheckResponse.SERVING)
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    handler = grpc.unary_unary_rpc_method_handler(abort)
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "croupier.wallet.v1.PaymentService", {"CreateDeposit": handler}
            ),
        )
    )
    credentials = authority.identity("wallet").server_credentials()
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    settings = edge_settings(
        tmp_short, authority=authority, ports={**shared_mesh.ports, "wallet": port}
    )
    async with running_edge(settings, tmp_short) as edge, edge.client() as client:
        for expected in rows.values():
            response = await client.post("/v1/payments:deposit", json=BODY, headers=player)
            assert told(response)[:2] == expected
            assert "hunter2" not in response.text
    await server.stop(None)


async def test_drain_lets_requests_end_and_turns_balancers_away(
    authority: DevelopmentAuthority, tokens: TokenIssuer, player: dict[str, str], tmp_short: Path
) -> None:
    mesh = Mesh()
    leave, entered = asyncio.Event(), asyncio.Event()

    async def slow(_: Any = None) -> Any:
        entered.set()
        await leave.wait()
        return wallet_service_pb2.ListBalancesResponse()

    async with AsyncExitStack() as stack:
        await serve_all(mesh, authority=authority, tokens=tokens, stack=stack)
        mesh.answer("ListBalances", slow)
        settings = edge_settings(tmp_short, authority=authority, ports=mesh.ports)
        edge = await stack.enter_async_context(running_edge(settings, tmp_short))
        client = await stack.enter_async_context(edge.client())
        held = asyncio.create_task(client.get(PATH, headers=player))
        await asyncio.wait_for(entered.wait(), 10)
        draining = asyncio.create_task(edge.admin.drain(pause=timedelta(seconds=10)))

        async def sick() -> bool:
            return (await client.get("/healthz")).status_code == 503

        await until(sick)
        assert not draining.done()
        leave.set()
        assert (await held).status_code == 200
        await asyncio.wait_for(draining, 10)
