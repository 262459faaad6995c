"""Which calls are recorded: those that the edge decided to record, and no others."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from croupier.wallet.v1 import wallet_service_pb2, wallet_service_pb2_grpc
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from scripts.mesh.pki import DevelopmentAuthority
from services.kit import telemetry
from services.kit.clients import Peer
from services.kit.contract import Level
from services.kit.database import Database
from services.kit.interceptors.authentication import PeerAuthenticator
from services.kit.server import Server
from services.kit.settings import ServerSettings
from tests.conftest import Connect
from tests.kit.postgres import shared_server

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


# Statements.


@pytest.fixture
async def database(engine_name: str, tmp_path: Path) -> AsyncIterator[Database]:
    """A database with one connection, whose statements are recorded."""
    if engine_name == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path}/dummy.db"
    else:
        url = shared_server().create_database(f"tracing_{uuid4().hex}")
    opened = Database(url, schema="public", pool_size=1)
    telemetry.instrument(opened.engine.sync_engine)
    yield opened
    await opened.close()


def serve_sampled() -> None:
    """Lets the running task work for a span that is recorded."""
    parent = telemetry.remote_parent(SAMPLED[0][1])
    assert parent is not None
    telemetry.activate(telemetry.start_span("call", parent=parent))


async def run_statement(database: Database, statement: str, **values: str) -> dict[Any, Any]:
    """Runs a statement, and returns what those before it have left on the connection."""
    async with database.snapshot() as connection:
        assert connection.sync_connection is not None
        left = dict(connection.sync_connection.info)
        await connection.execute(text(statement), values)
    return left


async def test_statement_is_recorded_with_its_text_and_no_values(
    database: Database, recorded: Callable[[], list[Any]]
) -> None:
    serve_sampled()
    await run_statement(database, "SELECT 1 WHERE :told = ''", told="secret")
    [span] = [span for span in recorded() if span.name == "SELECT"]
    assert f"{span.context.trace_id:032x}" == TRACE
    assert span.status.is_unset
    assert span.attributes["db.query.text"].startswith("SELECT 1 WHERE ")
    assert "secret" not in str(span.attributes)


async def test_statement_that_fails_is_recorded_as_an_error_without_values(
    database: Database, recorded: Callable[[], list[Any]]
) -> None:
    serve_sampled()
    with pytest.raises(DBAPIError) as raised:
        await run_statement(database, "SELECT 1 FROM nowhere WHERE :told = ''", told="secret")
    [span] = [span for span in recorded() if span.name == "SELECT"]
    assert f"{span.context.trace_id:032x}" == TRACE
    assert not span.status.is_ok
    assert span.status.description == type(raised.value.orig).__name__
    assert "secret" not in span.to_json()


async def test_statement_whose_caller_has_gone_is_recorded_as_an_error(
    database: Database, recorded: Callable[[], list[Any]]
) -> None:
    async def wait() -> None:
        serve_sampled()
        slow = (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000)"
            " SELECT count(*) FROM n"
        )
        await run_statement(database, slow)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await wait()
    [span] = [span for span in recorded() if span.name == "WITH"]
    assert span.status.description == "CancelledError"


@pytest.mark.usefixtures("recorded")
async def test_statement_that_failed_leaves_nothing_for_the_next_user_of_its_connection(
    database: Database,
) -> None:
    before = await run_statement(database, "SELECT 1")
    serve_sampled()
    with pytest.raises(DBAPIError):
        await run_statement(database, "SELECT 1 FROM nowhere")
    telemetry.activate(None)
    assert await run_statement(database, "SELECT 2") == before
