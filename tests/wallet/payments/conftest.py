import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from scripts.mesh.pki import DevelopmentAuthority
from services.kit.database import Database
from services.kit.ids import new_id
from services.wallet.domain import HoldState
from tests.conftest import Connect
from tests.kit.clock import ManualClock
from tests.kit.tokens import TokenIssuer
from tests.wallet.audit import Audit
from tests.wallet.payments.cashier import Cashier
from tests.wallet.payments.misbehaving import MisbehavingPsp
from tests.wallet.running import RunningWallet, running_wallet

Run = Callable[..., AbstractAsyncContextManager[RunningWallet]]


@pytest.fixture
async def cashier(
    authority: DevelopmentAuthority,
    tokens: TokenIssuer,
    connect: Connect,
    database_url: Callable[[str], str],
    tmp_path: Path,
) -> AsyncIterator[Cashier]:
    async with running_wallet(
        authority=authority,
        tokens=tokens,
        connect=connect,
        database_url=database_url,
        folder=tmp_path,
    ) as wallet:
        cashier = Cashier(wallet, tokens, new_id())
        await cashier.open_wallet()
        yield cashier


class House:
    """A wallet, a PSP that may misbehave and a clock: all three outlive a stop of the wallet.

    Attributes:
        urls: The databases, by package.
    """

    def __init__(
        self, run: Run, urls: dict[str, str], clock: ManualClock, tokens: TokenIssuer
    ) -> None:
        self.clock = clock
        self.psp = MisbehavingPsp()
        self.urls = urls
        self.store = Database(urls["services.wallet.payments"], schema="payments")
        self._run = run
        self._tokens = tokens
        self.player_id = new_id()

    @asynccontextmanager
    async def open(self, **changes: Any) -> AsyncIterator[Cashier]:
        """Runs the wallet. It reconciles all the time, and whose turn it is the clock says."""
        async with self._run(
            **{
                "database_url": self.urls.__getitem__,
                "clock": self.clock,
                "around_psp": self.psp.around,
                "reconcile_every": timedelta(milliseconds=100),
                **changes,
            }
        ) as wallet:
            yield await self.player(wallet, self.player_id)

    async def move_store(self, url: str) -> None:
        """Keeps payments in another database from now on."""
        await self.store.close()
        self.urls["services.wallet.payments"] = url
        self.store = Database(url, schema="payments")

    async def player(self, wallet: RunningWallet, player_id: str = "") -> Cashier:
        cashier = Cashier(
            wallet, self._tokens, player_id or new_id(), lambda: self.clock.now().timestamp()
        )
        await cashier.open_wallet()
        return cashier

    async def execute(self, statement: str, **values: object) -> list[Any]:
        """Runs a statement in the store of payments, past the wallet."""
        async with self.store.transaction() as connection:
            done = await connection.execute(text(statement), values)
            return list(done) if done.returns_rows else []

    @asynccontextmanager
    async def refusing(self, update: str) -> AsyncIterator[None]:
        """Lets the store refuse updates, as a database does that fails at this moment."""
        if self.store.is_sqlite:
            await self.execute(
                f"CREATE TRIGGER refusing BEFORE UPDATE ON payment WHEN {update}"
                " BEGIN SELECT RAISE(ABORT, 'refused'); END"
            )
        else:
            await self.execute(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN RAISE EXCEPTION 'refused'; END $$"
            )
            await self.execute(
                "CREATE TRIGGER refusing BEFORE UPDATE ON payment FOR EACH ROW"
                f" WHEN ({update}) EXECUTE FUNCTION refuse()"
            )
        try:
            # The faults are meant, and to print them takes seconds.
            with capture_logs():
                yield
        finally:
            if self.store.is_sqlite:
                await self.execute("DROP TRIGGER refusing")
            else:
                await self.execute("DROP FUNCTION refuse() CASCADE")

    async def transactions_open(self) -> int:
        """Counts the transactions that others hold open in the store of payments."""
        if self.store.is_sqlite:
            return self._sqlite_is_busy()
        [[count]] = await self.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
        )
        return int(count)

    def _sqlite_is_busy(self) -> int:
        with closing(sqlite3.connect(str(self.store.url.database), timeout=0)) as connection:
            try:
                connection.execute("PRAGMA user_version = 1")
            except sqlite3.OperationalError:
                return 1
            # What was just written cannot leave the log while somebody reads what was before.
            [[busy, _, _]] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return int(busy)

    async def booked(self) -> list[str]:
        """Tells by what the ledger has got money from the PSP, after an audit of the whole."""
        audit = await Audit.read(self.urls["services.wallet"])
        audit.check()
        return [
            each.kind.name
            for each in audit.transfers
            if each.source == "psp:sandbox"
            and each.kind.name in ("CAPTURE", "DEPOSIT")
            and each.outcome.posted
        ]

    async def announced(self) -> int:
        """Counts the announcements that the ledger keeps."""
        audit = await Audit.read(self.urls["services.wallet"])
        return sum(hold.state == HoldState.PENDING for hold in audit.rows["hold"])


@pytest.fixture
async def house(
    authority: DevelopmentAuthority,
    tokens: TokenIssuer,
    connect: Connect,
    clock: ManualClock,
    database_url: Callable[[str], str],
    tmp_path: Path,
) -> AsyncIterator[House]:
    def run(**changes: Any) -> AbstractAsyncContextManager[RunningWallet]:
        return running_wallet(
            **{
                "authority": authority,
                "tokens": tokens,
                "connect": connect,
                "folder": tmp_path,
                **changes,
            }
        )

    names = ("services.wallet", "services.wallet.payments")
    made = House(run, {name: database_url(name) for name in names}, clock, tokens)
    yield made
    await made.store.close()
