"""The sandbox provider against a Croupier double that speaks the real contract."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from croupier.game.v1 import (
    launch_service_pb2,
    launch_service_pb2_grpc,
    provider_service_pb2,
    provider_service_pb2_grpc,
)
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from scripts.mesh.pki import DevelopmentAuthority
from scripts.sandbox.provider import slot
from scripts.sandbox.provider.launch import LaunchServer, LaunchServicer
from scripts.sandbox.provider.table import Table
from scripts.sandbox.provider.wallet import Wallet
from scripts.sandbox.provider.web import Web
from scripts.sandbox.tracing import Tracing

CONTROL_KEY = "control"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class CroupierDouble(provider_service_pb2_grpc.ProviderServiceServicer):
    """Records what it is asked, and fails as often as it is told."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any, dict[str, str]]] = []
        self.failures = 0

    async def PlaceBet(
        self, request: provider_service_pb2.PlaceBetRequest, context: Any
    ) -> provider_service_pb2.PlaceBetResponse:
        await self._note("PlaceBet", request, context)
        if request.amount.minor_units > 10_000:
            info = any_pb2.Any()
            info.Pack(
                error_details_pb2.ErrorInfo(
                    reason="ERROR_REASON_INSUFFICIENT_FUNDS",
                    domain="croupier",
                    metadata={"available": "1"},
                )
            )
            status = status_pb2.Status(code=9, message="not enough", details=[info])
            context.set_trailing_metadata(
                (("grpc-status-details-bin", status.SerializeToString()),)
            )
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not enough")
        response = provider_service_pb2.PlaceBetResponse()
        response.movement.seq = 7
        return response

    async def PayWin(
        self, request: provider_service_pb2.PayWinRequest, context: Any
    ) -> provider_service_pb2.PayWinResponse:
        await self._note("PayWin", request, context)
        response = provider_service_pb2.PayWinResponse()
        response.movement.balance.minor_units = 900
        return response

    async def _note(self, method: str, request: Any, context: Any) -> None:
        self.asked.append((method, request, dict(context.invocation_metadata())))
        if self.failures:
            self.failures -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "try again")


@pytest.fixture
def croupier() -> CroupierDouble:
    return CroupierDouble()  # type: ignore[abstract]  # it is asked nothing else


@pytest.fixture
async def web(
    croupier: CroupierDouble, authority: DevelopmentAuthority, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """The provider's website, with its wallet at the double."""
    edge = authority.identity("edge")
    server = grpc.aio.server()
    provider_service_pb2_grpc.add_ProviderServiceServicer_to_server(croupier, server)
    credentials = grpc.ssl_server_credentials(
        [(edge.key.read_bytes(), edge.certificate.read_bytes())]
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    key_file = tmp_path / "api-key"
    key_file.write_text("acme-key\n")
    tracing = Tracing("acme", endpoint="")
    wallet = Wallet(
        f"127.0.0.1:{port}",
        authority=authority.certificate_path,
        api_key_file=key_file,
        tracer=tracing.tracer,
    )
    table = Table(wallet)
    site = Web(table, wallet, tracing.tracer, control_key=CONTROL_KEY)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(site.application()), base_url="https://acme"
    ) as client:
        yield client
    await table.close()
    await wallet.close()
    await server.stop(None)
    tracing.close()


def bet(minor_units: int) -> dict[str, Any]:
    return {
        "sessionToken": "t",
        "transactionId": "tx-1",
        "roundId": "r-1",
        "amount": {"currencyCode": "EUR", "minorUnits": str(minor_units)},
    }


async def control(
    client: httpx.AsyncClient, body: dict[str, Any], key: str = CONTROL_KEY
) -> httpx.Response:
    return await client.post(
        "/control",
        json=body,
        headers={"authorization": f"Bearer {key}", "traceparent": TRACEPARENT},
    )


async def test_call_carries_the_key_and_the_trace_of_whoever_asked_for_it(
    web: httpx.AsyncClient, croupier: CroupierDouble
) -> None:
    answer = (await control(web, {"method": "PlaceBet", "request": bet(100)})).json()
    [(_, request, metadata)] = croupier.asked
    assert answer["code"] == "OK"
    assert answer["response"]["movement"]["seq"] == "7"
    assert request.amount.minor_units == 100
    assert metadata["x-api-key"] == "acme-key"
    trace_id = TRACEPARENT.split("-")[1]
    assert metadata["traceparent"].split("-")[1] == answer["trace_id"] == trace_id


async def test_unanswered_call_is_repeated_with_the_same_id(
    web: httpx.AsyncClient, croupier: CroupierDouble
) -> None:
    croupier.failures = 2
    answer = (await control(web, {"method": "PlaceBet", "request": bet(100)})).json()
    assert (answer["code"], answer["tries"]) == ("OK", 3)
    assert [request.transaction_id for _, request, _ in croupier.asked] == ["tx-1"] * 3


async def test_refusal_is_told_with_its_reason_and_not_repeated(
    web: httpx.AsyncClient, croupier: CroupierDouble
) -> None:
    answer = (await control(web, {"method": "PlaceBet", "request": bet(10_001)})).json()
    assert answer["code"] == "FAILED_PRECONDITION"
    assert answer["reason"] == "ERROR_REASON_INSUFFICIENT_FUNDS"
    assert answer["metadata"] == {"available": "1"}
    assert len(croupier.asked) == 1


async def test_control_admits_only_its_key_and_methods_of_the_contract(
    web: httpx.AsyncClient, croupier: CroupierDouble
) -> None:
    assert (await control(web, {"method": "PlaceBet"}, key="other")).status_code == 401
    assert (await control(web, {"method": "DropTables"})).status_code == 400
    wrong = await control(web, {"method": "PlaceBet", "request": {"colour": "green"}})
    assert wrong.status_code == 400
    assert croupier.asked == []


async def test_spin_is_a_bet_and_a_win_that_ends_the_round(
    web: httpx.AsyncClient, croupier: CroupierDouble
) -> None:
    body = {"token": "t", "currency_code": "EUR", "stake_minor_units": 100}
    played = (await web.post("/spins", json=body)).json()
    assert played["code"] == "OK"
    assert len(played["symbols"]) == 3
    assert played["balance_minor_units"] == 900
    [(_, taken, _), (_, paid, _)] = croupier.asked
    assert [method for method, _, _ in croupier.asked] == ["PlaceBet", "PayWin"]
    assert paid.bet_transaction_id == taken.transaction_id
    assert paid.round_id == taken.round_id
    assert paid.end_round
    assert paid.amount.minor_units == played["win_minor_units"]


@pytest.mark.parametrize("stake", [0, -1, "100", 1.5, None, True])
async def test_spin_without_a_stake_is_refused(
    web: httpx.AsyncClient, croupier: CroupierDouble, stake: Any
) -> None:
    content = json.dumps({"token": "t", "currency_code": "EUR", "stake_minor_units": stake})
    assert (await web.post("/spins", content=content)).status_code == 400
    assert croupier.asked == []


def test_slot_keeps_an_edge_for_the_house_and_not_too_large_a_one() -> None:
    size = len(slot._REEL)
    chances = {symbol: (slot._REEL.count(symbol) / size) ** 3 for symbol in slot._PAYS}
    paid_back = sum(pays * chances[symbol] for symbol, pays in slot._PAYS.items())
    assert 0.9 < paid_back < 1


def test_spin_pays_only_three_of_a_kind() -> None:
    for _ in range(500):
        spun = slot.spin(100)
        assert (spun.win_minor_units > 0) == (len(set(spun.symbols)) == 1)


@asynccontextmanager
async def launch_stub(
    authority: DevelopmentAuthority, port: int, *, as_service: str
) -> AsyncIterator[Any]:
    tracing = Tracing("acme", endpoint="")
    acme = authority.identity("acme")
    server = LaunchServer(
        LaunchServicer("https://127.0.0.1:1", tracing.tracer),
        port=port,
        certificate=acme.certificate,
        key=acme.key,
        authority=authority.certificate_path,
    )
    await server.start()
    async with grpc.aio.secure_channel(
        f"127.0.0.1:{port}", authority.identity(as_service).channel_credentials()
    ) as channel:
        yield launch_service_pb2_grpc.LaunchServiceStub(channel)
    await server.stop()
    tracing.close()


def opened() -> launch_service_pb2.OpenGameRequest:
    return launch_service_pb2.OpenGameRequest(session_token="a/b c", game_id="acme-fruits")


async def test_game_is_opened_for_croupier_with_the_token_where_no_server_sees_it(
    authority: DevelopmentAuthority, free_port: int
) -> None:
    async with launch_stub(authority, free_port, as_service="game") as stub:
        response = await stub.OpenGame(opened(), timeout=10)
    assert response.launch_url == "https://127.0.0.1:1/games/acme-fruits#token=a%2Fb%20c"


async def test_game_is_opened_for_nobody_else(
    authority: DevelopmentAuthority, free_port: int
) -> None:
    async with launch_stub(authority, free_port, as_service="wallet") as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.OpenGame(opened(), timeout=10)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


@pytest.fixture
async def free_port() -> int:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = int(server.sockets[0].getsockname()[1])
    server.close()
    await server.wait_closed()
    return port
