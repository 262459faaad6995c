import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import grpc
import jwt
import pytest
from croupier.wallet.v1 import (
    posting_service_pb2,
    posting_service_pb2_grpc,
    wallet_service_pb2,
    wallet_service_pb2_grpc,
)
from grpc_health.v1 import health_pb2, health_pb2_grpc

from scripts.mesh.pki import DevelopmentAuthority
from services.kit.call import caller
from services.kit.contract import UndeclaredError
from services.kit.server import Server
from services.kit.settings import ServerSettings
from services.kit.tokens import token_authenticators
from tests.conftest import Connect
from tests.kit.refusals import told
from tests.kit.tokens import TokenIssuer

PLAYER_ID = "0198c0de-0000-7000-8000-000000000001"


class WalletDouble(wallet_service_pb2_grpc.WalletServiceServicer):
    """Answers a few methods of a real contract in ways that a real wallet does not."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.leave = asyncio.Event()

    async def GetBalance(self, request: Any, context: Any) -> Any:
        if request.currency_code == "BAD":
            raise ValueError("secret password=hunter2")
        if request.currency_code == "SLOW":
            self.entered.set()
            await self.leave.wait()
        return wallet_service_pb2.GetBalanceResponse()

    async def ListBalances(self, request: Any, context: Any) -> Any:
        response = wallet_service_pb2.ListBalancesResponse()
        response.balances.add(currency_code=caller().subject_id[:8])
        return response

    async def Deposit(self, request: Any, context: Any) -> Any:
        return wallet_service_pb2.DepositResponse()

    async def WatchBalances(self, request: Any, context: Any) -> AsyncIterator[Any]:
        yield wallet_service_pb2.WatchBalancesResponse()
        if request.after_seq == 1:
            raise ValueError("secret")


class PostingDouble(posting_service_pb2_grpc.PostingServiceServicer):
    """Takes requests as they come, and does not care for those that break a rule."""

    async def PostStream(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield posting_service_pb2.PostStreamResponse(tag=request.tag)


@pytest.fixture
def double() -> WalletDouble:
    return WalletDouble()  # type: ignore[abstract]


@pytest.fixture
async def port(
    authority: DevelopmentAuthority, tokens: TokenIssuer, double: WalletDouble
) -> AsyncIterator[int]:
    async with AsyncExitStack() as stack:
        server = Server(settings(authority), authenticators=token_authenticators(tokens.fetch_keys))
        server.add(wallet_service_pb2_grpc.add_WalletServiceServicer_to_server, double)
        stack.push_async_callback(server.stop)
        yield await server.start()


def settings(authority: DevelopmentAuthority, **changes: Any) -> ServerSettings:
    identity = authority.identity("wallet")
    return ServerSettings(
        tls_certificate=identity.certificate,
        tls_key=identity.key,
        tls_authority=identity.authority,
        **{"calls_max": 4, "drain_grace": timedelta(seconds=5), **changes},
    )


def balance(currency_code: str = "EUR") -> wallet_service_pb2.GetBalanceRequest:
    return wallet_service_pb2.GetBalanceRequest(player_id=PLAYER_ID, currency_code=currency_code)


def stub(channel: grpc.aio.Channel) -> Any:
    return wallet_service_pb2_grpc.WalletServiceStub(channel)


async def test_declared_caller_is_served(port: int, connect: Connect) -> None:
    game = stub(connect(port, to="wallet", as_service="game"))
    assert await game.GetBalance(balance()) == wallet_service_pb2.GetBalanceResponse()


async def test_service_that_is_not_declared_is_refused(port: int, connect: Connect) -> None:
    analytics = stub(connect(port, to="wallet", as_service="analytics"))
    refusal = await told(analytics.GetBalance(balance()))
    assert refusal.code is grpc.StatusCode.PERMISSION_DENIED
    assert refusal.reason == "CALLER_NOT_ALLOWED"
    assert refusal.metadata["caller"] == "analytics"
    assert refusal.metadata["method"] == "croupier.wallet.v1.WalletService/GetBalance"


async def test_call_without_certificate_is_refused(
    port: int, authority: DevelopmentAuthority
) -> None:
    credentials = grpc.ssl_channel_credentials(authority.certificate_path.read_bytes())
    async with grpc.aio.secure_channel(
        f"127.0.0.1:{port}", credentials, options=[("grpc.ssl_target_name_override", "wallet")]
    ) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub(channel).GetBalance(balance(), timeout=5)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_certificate_of_another_authority_is_refused(
    port: int, authority: DevelopmentAuthority, tmp_path_factory: pytest.TempPathFactory
) -> None:
    foreign = DevelopmentAuthority(tmp_path_factory.mktemp("foreign")).identity("game")
    credentials = grpc.ssl_channel_credentials(
        authority.certificate_path.read_bytes(),
        foreign.key.read_bytes(),
        foreign.certificate.read_bytes(),
    )
    async with grpc.aio.secure_channel(
        f"127.0.0.1:{port}", credentials, options=[("grpc.ssl_target_name_override", "wallet")]
    ) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub(channel).GetBalance(balance(), timeout=5)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_player_is_who_the_token_says(
    port: int, connect: Connect, tokens: TokenIssuer
) -> None:
    edge = stub(connect(port, to="wallet", as_service="edge"))
    request = wallet_service_pb2.ListBalancesRequest()
    answer = await edge.ListBalances(request, metadata=tokens.player(PLAYER_ID))
    assert answer.balances[0].currency_code == PLAYER_ID[:8]


async def test_player_method_refuses_what_is_not_a_players_token(
    port: int, connect: Connect, tokens: TokenIssuer
) -> None:
    edge = stub(connect(port, to="wallet", as_service="edge"))
    forger = TokenIssuer(tokens.key_id)
    now = int(time.time())
    unsigned = jwt.encode(
        {"sub": PLAYER_ID, "kind": "player", "sid": "s", "iat": now, "exp": now + 60},
        key="",
        algorithm="none",
        headers={"kid": tokens.key_id},
    )
    rows: list[tuple[tuple[tuple[str, str], ...], str]] = [
        ((), "CREDENTIAL_MISSING"),
        ((("authorization", "Basic eDp5"),), "CREDENTIAL_MISSING"),
        ((("authorization", "Bearer rubbish"),), "CREDENTIAL_INVALID"),
        ((("authorization", f"Bearer {unsigned}"),), "CREDENTIAL_INVALID"),
        (forger.player(PLAYER_ID), "CREDENTIAL_INVALID"),
        (tokens.player(PLAYER_ID, iss="someone"), "CREDENTIAL_INVALID"),
        (tokens.player(PLAYER_ID, aud="other"), "CREDENTIAL_INVALID"),
        (tokens.player(PLAYER_ID, exp=now - 1), "TOKEN_EXPIRED"),
    ]
    for metadata, reason in rows:
        request = wallet_service_pb2.ListBalancesRequest()
        refusal = await told(edge.ListBalances(request, metadata=metadata))
        assert (refusal.code, refusal.reason) == (
            grpc.StatusCode.UNAUTHENTICATED,
            reason,
        ), metadata


async def test_token_that_is_valid_and_names_another_kind_of_subject_is_not_allowed(
    port: int, connect: Connect, tokens: TokenIssuer
) -> None:
    edge = stub(connect(port, to="wallet", as_service="edge"))
    operator = tokens.operator("admin", sub="0198c0de-0000-7000-8000-00000000000a")
    refusal = await told(
        edge.ListBalances(wallet_service_pb2.ListBalancesRequest(), metadata=operator)
    )
    assert refusal.code is grpc.StatusCode.PERMISSION_DENIED
    assert refusal.reason == "CALLER_NOT_ALLOWED"
    assert refusal.metadata == {
        "caller": "0198c0de-0000-7000-8000-00000000000a",
        "method": "croupier.wallet.v1.WalletService/ListBalances",
    }


async def test_service_may_not_use_a_players_token(
    port: int, connect: Connect, tokens: TokenIssuer
) -> None:
    game = stub(connect(port, to="wallet", as_service="game"))
    refusal = await told(
        game.ListBalances(
            wallet_service_pb2.ListBalancesRequest(), metadata=tokens.player(PLAYER_ID)
        )
    )
    assert refusal.code is grpc.StatusCode.PERMISSION_DENIED
    assert refusal.reason == "CALLER_NOT_ALLOWED"


async def test_operator_needs_one_of_the_roles(
    port: int, connect: Connect, tokens: TokenIssuer
) -> None:
    edge = stub(connect(port, to="wallet", as_service="edge"))
    request = wallet_service_pb2.DepositRequest(
        request_id=PLAYER_ID, player_id=PLAYER_ID, authorization_number="a"
    )
    request.amount.currency_code = "EUR"
    request.amount.minor_units = 1
    await edge.Deposit(request, metadata=tokens.operator("cashier"))
    refusal = await told(edge.Deposit(request, metadata=tokens.operator("analyst")))
    assert refusal.code is grpc.StatusCode.PERMISSION_DENIED
    assert refusal.reason == "CALLER_NOT_ALLOWED"


async def test_request_that_breaks_a_rule_names_the_field(port: int, connect: Connect) -> None:
    game = stub(connect(port, to="wallet", as_service="game"))
    request = wallet_service_pb2.GetBalanceRequest(player_id="no uuid", currency_code="eur")
    refusal = await told(game.GetBalance(request))
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.reason == "INVALID_REQUEST"
    assert refusal.metadata["fields"] == "player_id,currency_code"


async def test_request_that_is_no_message_of_its_type_is_told_as_the_edge_does(
    port: int, connect: Connect
) -> None:
    call = connect(port, to="wallet", as_service="game").unary_unary(
        "/croupier.wallet.v1.WalletService/GetBalance",
        request_serializer=bytes,
        response_deserializer=bytes,
    )
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call(b"\x0a\xff\xff", timeout=20)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    told = "invalid request: the body: is not a message of this type"
    assert raised.value.details() == told


async def test_unexpected_exception_says_nothing(port: int, connect: Connect) -> None:
    game = stub(connect(port, to="wallet", as_service="game"))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await game.GetBalance(balance("BAD"))
    assert raised.value.code() is grpc.StatusCode.INTERNAL
    assert "hunter2" not in str(raised.value)
    assert raised.value.details() == "internal error"


async def test_unexpected_exception_in_a_stream_says_nothing(
    port: int, connect: Connect, tokens: TokenIssuer
) -> None:
    edge = stub(connect(port, to="wallet", as_service="edge"))
    call = edge.WatchBalances(
        wallet_service_pb2.WatchBalancesRequest(after_seq=1), metadata=tokens.player(PLAYER_ID)
    )
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        async for _ in call:
            pass
    assert raised.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in str(raised.value)


async def test_message_that_breaks_a_rule_ends_a_stream_unless_its_servicer_answers_it(
    authority: DevelopmentAuthority, connect: Connect
) -> None:
    server = Server(settings(authority))
    server.add(
        posting_service_pb2_grpc.add_PostingServiceServicer_to_server,
        PostingDouble(),  # type: ignore[abstract]
    )
    port = await server.start()
    try:
        game: Any = posting_service_pb2_grpc.PostingServiceStub(
            connect(port, to="wallet", as_service="game")
        )
        sound = posting_service_pb2.PostStreamRequest(tag=1)
        operation = sound.unit.operations.add().close_round
        operation.source, operation.transaction_id, operation.round_id = "acme", "t", "r"
        operation.player_id, operation.currency_code = PLAYER_ID, "EUR"
        unsound = posting_service_pb2.PostStreamRequest(tag=2)
        stream = game.PostStream(iter([sound, unsound, sound]), timeout=5)
        assert (await stream.read()).tag == 1
        refusal = await told(stream.read())
    finally:
        await server.stop()
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.metadata["fields"] == "unit"


async def test_call_without_deadline_ends_at_the_default(
    authority: DevelopmentAuthority, double: WalletDouble, tokens: TokenIssuer, connect: Connect
) -> None:
    server = Server(
        settings(authority, default_deadline=timedelta(milliseconds=50)),
        authenticators=token_authenticators(tokens.fetch_keys),
    )
    server.add(wallet_service_pb2_grpc.add_WalletServiceServicer_to_server, double)
    port = await server.start()
    try:
        game = stub(connect(port, to="wallet", as_service="game"))
        refusal = await told(game.GetBalance(balance("SLOW")))
    finally:
        await server.stop()
    assert refusal.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert refusal.reason == "DEADLINE_EXCEEDED"


async def test_call_beyond_the_bound_is_refused_and_later_ones_served(
    port: int, connect: Connect, double: WalletDouble
) -> None:
    game = stub(connect(port, to="wallet", as_service="game"))
    held = [asyncio.ensure_future(game.GetBalance(balance("SLOW"))) for _ in range(4)]
    await asyncio.wait_for(double.entered.wait(), 5)
    overloaded: list[grpc.StatusCode] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            while not overloaded:
                try:
                    await game.GetBalance(balance(), timeout=5)
                except grpc.aio.AioRpcError as error:
                    overloaded.append(error.code())
    assert overloaded == [grpc.StatusCode.RESOURCE_EXHAUSTED]
    double.leave.set()
    await asyncio.gather(*held)
    await game.GetBalance(balance())


async def test_draining_server_finishes_calls_refuses_others_and_says_not_serving(
    authority: DevelopmentAuthority, double: WalletDouble, tokens: TokenIssuer, connect: Connect
) -> None:
    server = Server(settings(authority), authenticators=token_authenticators(tokens.fetch_keys))
    server.add(wallet_service_pb2_grpc.add_WalletServiceServicer_to_server, double)
    port = await server.start()
    channel = connect(port, to="wallet", as_service="game")
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
    states = health_pb2.HealthCheckResponse
    assert (await watch.read()).status == states.SERVING
    held = asyncio.ensure_future(stub(channel).GetBalance(balance("SLOW")))
    await asyncio.wait_for(double.entered.wait(), 5)
    stopping = asyncio.ensure_future(server.stop())
    assert (await watch.read()).status == states.NOT_SERVING
    watch.cancel()
    late = await told(stub(channel).GetBalance(balance()))
    assert (late.code, late.reason) == (
        grpc.StatusCode.UNAVAILABLE,
        "UNAVAILABLE",
    )
    double.leave.set()
    assert await held == wallet_service_pb2.GetBalanceResponse()
    await stopping


async def test_server_is_not_serving_while_a_requirement_fails(
    authority: DevelopmentAuthority, double: WalletDouble, tokens: TokenIssuer, connect: Connect
) -> None:
    async def gone() -> None:
        raise ConnectionError("the store is gone")

    server = Server(settings(authority), authenticators=token_authenticators(tokens.fetch_keys))
    server.add(wallet_service_pb2_grpc.add_WalletServiceServicer_to_server, double)
    server.require(gone)
    port = await server.start()
    try:
        health = health_pb2_grpc.HealthStub(connect(port, to="wallet", as_service="edge"))
        for service in ("", "croupier.wallet.v1.WalletService"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
    finally:
        await server.stop()


async def test_server_stops_when_it_is_told_to_or_has_lost_what_it_needs(
    authority: DevelopmentAuthority,
) -> None:
    server = Server(settings(authority))
    stopping, lost = asyncio.Event(), asyncio.Event()

    async def loss() -> str:
        await lost.wait()
        return "the ledger"

    server.end_after(loss)
    serving = asyncio.ensure_future(server.serve_until(stopping))
    stopping.set()
    assert await asyncio.wait_for(serving, 5) is None
    stopping.clear()
    serving = asyncio.ensure_future(server.serve_until(stopping))
    lost.set()
    assert await asyncio.wait_for(serving, 5) == "the ledger"


async def test_server_with_an_undeclared_method_refuses_to_start(
    authority: DevelopmentAuthority,
) -> None:
    # The health service is a real contract that declares nothing.
    server = Server(settings(authority))
    with pytest.raises(UndeclaredError, match=r"grpc\.health\.v1\.Health/Check"):
        server.add(health_pb2_grpc.add_HealthServicer_to_server, health_pb2_grpc.HealthServicer())


async def test_server_that_cannot_prove_a_level_refuses_to_start(
    authority: DevelopmentAuthority, double: WalletDouble
) -> None:
    server = Server(settings(authority))
    with pytest.raises(UndeclaredError, match="cannot prove"):
        server.add(wallet_service_pb2_grpc.add_WalletServiceServicer_to_server, double)


async def test_port_that_is_taken_is_not_shared(port: int, authority: DevelopmentAuthority) -> None:
    second = Server(settings(authority, listen=f"127.0.0.1:{port}"))
    with pytest.raises(RuntimeError):
        await second.start()
