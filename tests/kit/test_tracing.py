"""Which calls are recorded: those that the edge decided to record, and no others."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest
from croupier.wallet.v1 import wallet_service_pb2, wallet_service_pb2_grpc
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from scripts.mesh.pki import DevelopmentAuthority
from services.kit import telemetry
from services.kit.clients import Peer
from services.kit.contract import Level
from services.kit.interceptors.authentication import PeerAuthenticator
from services.kit.server import Server
from services.kit.settings import ServerSettings
from tests.conftest import Connect

TIMEOUT = timedelta(seconds=20)
TRACE = "ab" * 16
SAMPLED = (("traceparent", f"00-{TRACE}-{'cd' * 8}-01"),)
UNSAMPLED = (("traceparent", f"00-{TRACE}-{'cd' * 8}-00"),)
BROKEN = [
    (("traceparent", sent),)
    for sent in (
        "rubbish",
        f"00-{'0' * 32}-{'cd' * 8}-00",
        f"00-{TRACE}-{'0' * 16}-00",
        f"ff-{TRACE}-{'cd' * 8}-00",
    )
]
REQUEST = wallet_service_pb2.GetBalanceRequest(
    player_id="0198c0de-0000-7000-8000-000000000001", currency_code="EUR"
)


class Balances(wallet_service_pb2_grpc.WalletServiceServicer):
    """Answers with nothing, and remembers by which trace it was asked."""

    def __init__(self) -> None:
        self.traces: list[str] = []

    async def GetBalance(self, request: Any, context: Any) -> Any:
        self.traces.append(telemetry.current_trace_id())
        with telemetry.span("look"):
            return wallet_service_pb2.GetBalanceResponse()


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[Any]]]:
    """Starts to record, and returns the spans that have ended."""
    exporter = InMemorySpanExporter()
    # Put back at the end.
    monkeypatch.setattr(telemetry, "_tracer", telemetry._tracer)
    provider = telemetry.configure(service="dummy", exporter=exporter)

    def ended() -> list[Any]:
        provider.force_flush()
        return list(exporter.get_finished_spans())

    yield ended
    provider.shutdown()


@pytest.fixture
async def balances(authority: DevelopmentAuthority) -> AsyncIterator[tuple[Balances, int]]:
    identity = authority.identity("wallet")
    settings = ServerSettings(
        tls_certificate=identity.certificate,
        tls_key=identity.key,
        tls_authority=identity.authority,
    )
    servicer = Balances()  # type: ignore[abstract]
    async with AsyncExitStack() as stack:
        server = Server(settings, authenticators=dict.fromkeys(Level, PeerAuthenticator()))
        server.add(wallet_service_pb2_grpc.add_WalletServiceServicer_to_server, servicer)
        port = await server.start()
        stack.push_async_callback(server.stop)
        yield servicer, port


async def ask(connect: Connect, port: int, metadata: Any = ()) -> None:
    channel = connect(port, to="wallet", as_service="game")
    stub: Any = wallet_service_pb2_grpc.WalletServiceStub(channel)
    await stub.GetBalance(REQUEST, metadata=metadata, timeout=20)


@pytest.mark.parametrize(
    ("metadata", "trace"),
    [((), ""), *((each, "") for each in BROKEN), (UNSAMPLED, TRACE)],
    ids=str,
)
async def test_call_that_nobody_decided_to_record_is_not_recorded(
    balances: tuple[Balances, int],
    recorded: Callable[[], list[Any]],
    connect: Connect,
    metadata: Any,
    trace: str,
) -> None:
    servicer, port = balances
    await ask(connect, port, metadata)
    assert servicer.traces == [trace]
    assert recorded() == []


async def test_call_of_a_sampled_trace_is_recorded(
    balances: tuple[Balances, int], recorded: Callable[[], list[Any]], connect: Connect
) -> None:
    servicer, port = balances
    await ask(connect, port, SAMPLED)
    assert servicer.traces == [TRACE]
    spans = recorded()
    assert [span.name for span in spans] == [
        "look",
        "croupier.wallet.v1.WalletService/GetBalance",
    ]
    assert {f"{span.context.trace_id:032x}" for span in spans} == {TRACE}


async def test_call_that_a_service_makes_by_itself_is_in_no_trace(
    balances: tuple[Balances, int],
    recorded: Callable[[], list[Any]],
    authority: DevelopmentAuthority,
) -> None:
    servicer, port = balances
    peer = Peer(
        "wallet",
        f"127.0.0.1:{port}",
        identity=authority.identity("game"),
        services=("croupier.wallet.v1.WalletService",),
        timeout=TIMEOUT,
    )
    stub: Any = wallet_service_pb2_grpc.WalletServiceStub(peer.channel)
    await peer.call(stub.GetBalance, REQUEST)
    await peer.close()
    assert servicer.traces == [""]
    assert recorded() == []
