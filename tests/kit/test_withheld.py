"""What the database quotes in its errors reaches neither logs nor spans."""

import asyncio
import contextlib
import gc
import io
import json
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import grpc
import pytest
import structlog
from croupier.wallet.v1 import wallet_service_pb2, wallet_service_pb2_grpc
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import BigInteger, Column, MetaData, Table, Text, bindparam, insert, select, text
from sqlalchemy.exc import DBAPIError

from scripts.mesh.pki import DevelopmentAuthority
from services.kit import logs, telemetry
from services.kit.database import Database
from services.kit.server import Server
from services.kit.settings import ServerSettings
from services.kit.tokens import token_authenticators
from services.kit.withheld import Withheld
from tests.conftest import Connect
from tests.kit.postgres import shared_server
from tests.kit.refusals import refusal
from tests.kit.tokens import TokenIssuer

SECRET = "hunter2-0198c0de@example.com"
PLAYER_ID = "0198c0de-0000-7000-8000-000000000001"
TABLE = Table(
    "credential",
    MetaData(),
    Column("email", Text, primary_key=True),
    Column("logins", BigInteger),
)


@pytest.fixture
async def database(engine_name: str, tmp_path: Path) -> AsyncIterator[Database]:
    if engine_name == "sqlite":
        opened = Database(f"sqlite+aiosqlite:///{tmp_path}/dummy.db", schema="dummy")
    else:
        opened = Database(
            shared_server().create_database(f"withheld_{uuid4().hex}"), schema="public"
        )
    async with opened.transaction() as connection:
        await connection.run_sync(TABLE.create)
        await connection.execute(insert(TABLE), {"email": SECRET})
        await connection.execute(
            text("ALTER TABLE credential ADD CHECK (logins > 0)")
            if not opened.is_sqlite
            else text(
                "CREATE TRIGGER logins_positive BEFORE UPDATE ON credential WHEN NEW.logins <= 0"
                " BEGIN SELECT RAISE(ABORT, 'CHECK constraint failed: logins'); END"
            )
        )
    yield opened
    await opened.close()


@pytest.fixture
def printed() -> Iterator[Callable[[], str]]:
    """Sets logging up as a server does, and returns what was logged."""
    before, handlers = structlog.get_config(), logging.root.handlers[:]
    lines = io.StringIO()
    with contextlib.redirect_stderr(lines):
        logs.configure(service="dummy", level="debug")
    yield lines.getvalue
    structlog.configure(**before)
    logging.root.handlers[:] = handlers


async def insert_again(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(insert(TABLE), {"email": SECRET})


async def break_a_check(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE credential SET logins = 0"))


async def send_what_does_not_fit(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(
            text("SELECT * FROM credential WHERE logins = :logins").bindparams(
                bindparam("logins", SECRET.encode(), BigInteger)
            )
        )
        # SQLite compares anything with anything.
        await connection.execute(text("SELECT json(:value)"), {"value": SECRET})


class Faulty(wallet_service_pb2_grpc.WalletServiceServicer):
    """Loses a race for a unique name, as a use case may that does not expect one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def GetBalance(self, request: Any, context: Any) -> Any:
        with telemetry.span("register"):
            async with self._database.snapshot() as connection:
                await connection.execute(select(TABLE).where(TABLE.c.email == SECRET))
            await insert_again(self._database)


async def test_unique_violation_is_logged_and_traced_without_the_value(
    database: Database,
    printed: Callable[[], str],
    authority: DevelopmentAuthority,
    tokens: TokenIssuer,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exporter = InMemorySpanExporter()
    # Put back at the end.
    monkeypatch.setattr(telemetry, "_tracer", telemetry._tracer)
    provider = telemetry.configure(service="dummy", exporter=exporter)
    telemetry.instrument(database.engine.sync_engine)
    identity = authority.identity("wallet")
    server = Server(
        ServerSettings(
            tls_certificate=identity.certificate,
            tls_key=identity.key,
            tls_authority=identity.authority,
        ),
        authenticators=token_authenticators(tokens.fetch_keys),
    )
    faulty = Faulty(database)  # type: ignore[abstract]
    server.add(wallet_service_pb2_grpc.add_WalletServiceServicer_to_server, faulty)
    async with AsyncExitStack() as stack:
        stack.callback(provider.shutdown)
        port = await server.start()
        stack.push_async_callback(server.stop)
        stub: Any = wallet_service_pb2_grpc.WalletServiceStub(
            connect(port, to="wallet", as_service="game")
        )
        refused = await refusal(
            stub.GetBalance(
                wallet_service_pb2.GetBalanceRequest(player_id=PLAYER_ID, currency_code="EUR"),
                metadata=(("traceparent", f"00-{'ab' * 16}-{'cd' * 8}-01"),),
                timeout=20,
            )
        )
        provider.force_flush()
    assert refused.code is grpc.StatusCode.INTERNAL
    assert SECRET not in str(refused.status)
    logged = printed()
    assert "call failed" in logged
    assert "INSERT INTO credential" in logged
    assert SECRET not in logged
    spans = [span.to_json() for span in exporter.get_finished_spans()]
    assert any('"register"' in span for span in spans)
    assert any("FROM credential" in span for span in spans)
    assert not [span for span in spans if SECRET in span]


@pytest.mark.parametrize("fail", [insert_again, break_a_check, send_what_does_not_fit])
async def test_nothing_that_wraps_or_follows_a_database_error_tells_the_value(
    database: Database, printed: Callable[[], str], fail: Callable[[Database], Any]
) -> None:
    with pytest.raises(DBAPIError) as raised:
        await fail(database)
    error = raised.value
    # SQLite quotes no values here; PostgreSQL does, or the test would be about nothing.
    assert database.is_sqlite or SECRET in "".join(f"{each}" for each in chain(error))
    copied = f"copied: {error.__cause__}"
    with pytest.raises(ValueError, match="copied") as wrapped:
        raise ValueError(copied) from error
    with pytest.raises(KeyError) as later:
        fail_while_handling(error)
    logs_of = {
        "plain": error,
        "wrapped": wrapped.value,
        "group": ExceptionGroup("several", [wrapped.value, error]),
        "later": later.value,
    }
    log = structlog.get_logger()
    library = logging.getLogger("library")  # noqa: TID251 (libraries log so)
    for event, each in logs_of.items():
        log.error(event, exc_info=each, error=repr(each), text=str(each))
        library.error("%s: %r", event, each, exc_info=each)
    lines = [json.loads(line) for line in printed().splitlines()]
    assert len(lines) == 2 * len(logs_of)
    assert all(line["exception"] for line in lines)
    assert "what came later" in printed()
    assert SECRET not in printed()


def fail_while_handling(error: Exception) -> None:
    try:
        raise error
    except DBAPIError:
        raise KeyError("what came later")  # noqa: B904 (its context is what the test is about)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


async def test_task_whose_error_nobody_fetched_tells_no_value(
    database: Database, printed: Callable[[], str]
) -> None:
    task = asyncio.create_task(insert_again(database))
    await asyncio.wait([task])
    del task
    gc.collect()
    assert "never retrieved" in printed()
    assert SECRET not in printed()


async def test_what_a_driver_says_outside_sqlalchemy_is_told_without_values(
    engine_name: str,
) -> None:
    if engine_name == "sqlite":
        error: Exception = sqlite3.OperationalError(
            f"Could not decode to UTF-8 column 'email' with text '{SECRET}'"
        )
    else:
        connection = await asyncpg.connect(shared_server().url().replace("+asyncpg", ""))
        try:
            await connection.execute("CREATE TEMP TABLE c (email text PRIMARY KEY)")
            await connection.execute("INSERT INTO c VALUES ($1)", SECRET)
            with pytest.raises(asyncpg.UniqueViolationError) as raised:
                await connection.execute("INSERT INTO c VALUES ($1)", SECRET)
        finally:
            await connection.close()
        error = raised.value
    assert SECRET in str(error)
    told = Withheld(error)
    assert SECRET not in told(str(error))
    assert SECRET not in told(f"RaceLostError: {error}")
    assert engine_name == "sqlite" or "c_pkey" in told(str(error))


def test_text_of_other_errors_stays_as_it_is() -> None:
    told = Withheld(ValueError("a fault of ours"))
    assert told("a fault of ours") == "a fault of ours"
    assert Withheld(None)("as it was") == "as it was"
    assert Withheld(None)("x DETAIL:  Key (a)=(b) already exists.") == "x DETAIL: [withheld]"
