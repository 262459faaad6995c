"""The parts of a running Wallet service, made from its settings."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

from services.kit import migrations, telemetry
from services.kit.background import repeat_in_background
from services.kit.clock import Clock, SteadyClock
from services.kit.database import Database
from services.kit.feed import FeedServicer
from services.kit.interceptors.authentication import Authenticators
from services.kit.keys import SecurityKeys
from services.kit.tokens import token_authenticators
from services.wallet.feed import LedgerFeed
from services.wallet.payments.reconciler import Reconciler
from services.wallet.payments.sandbox import SandboxPsp
from services.wallet.payments.service import PaymentService
from services.wallet.payments.servicer import PaymentServicer
from services.wallet.reporting import ReportingService
from services.wallet.service import WalletService
from services.wallet.servicer import BackOfficeServicer, PostingServicer, WalletServicer
from services.wallet.settings import Settings
from services.wallet.tracing import spans_by
from services.wallet.watching import BalanceStreams
from services.wallet.writer import WriterOptions, WriterState


@dataclass(frozen=True, slots=True)
class Parts:
    """What a server serves."""

    authenticators: Authenticators
    wallet: WalletServicer
    posting: PostingServicer
    back_office: BackOfficeServicer
    payments: PaymentServicer
    feed: FeedServicer
    streams: BalanceStreams
    ledger: WalletService
    payments_database: Database

    def drain(self) -> None:
        """Ends the streams that never end by themselves."""
        self.streams.drain()
        self.feed.drain()
        self.posting.drain()

    async def check(self) -> None:
        """Raises while the ledger does not serve."""
        self.ledger.check()
        await self.ledger.database.ping()
        await self.payments_database.ping()

    async def deposition(self) -> str:
        """Returns once another writer has taken the ledger: then only a new process can serve.

        It never returns for a ledger that is halted. A new process would begin as if nothing had
        happened, and a human must look first.
        """
        if await self.ledger.wait_ended() is not WriterState.DEPOSED:
            await asyncio.get_running_loop().create_future()
        return "another writer has taken the ledger"


async def assemble(settings: Settings, stack: AsyncExitStack, *, clock: SteadyClock) -> Parts:
    """Opens what the service needs, and starts it; the stack takes it apart in reverse.

    Raises:
        NotMigratedError: A database must be migrated first.
    """
    ledger = await _ledger(settings, stack, clock)
    payments_database = await migrations.open_database(
        settings.payments_database_url, "services.wallet.payments", stack, migrate=settings.migrate
    )
    keys = SecurityKeys(settings.security_address, identity=settings.identity)
    stack.push_async_callback(keys.close)
    streams = BalanceStreams(clock=clock)
    return Parts(
        authenticators=token_authenticators(keys.fetch),
        wallet=WalletServicer(ledger, streams),
        posting=PostingServicer(ledger),
        back_office=BackOfficeServicer(ledger, ReportingService(ledger.database, clock)),
        payments=PaymentServicer(
            _payments(settings, stack, clock, ledger=ledger, database=payments_database)
        ),
        feed=FeedServicer(LedgerFeed(ledger)),
        streams=streams,
        ledger=ledger,
        payments_database=payments_database,
    )


async def _ledger(settings: Settings, stack: AsyncExitStack, clock: SteadyClock) -> WalletService:
    system = "sqlite" if settings.database_url.startswith("sqlite") else "postgresql"
    options = WriterOptions(clock_ahead_max=settings.clock_ahead_max)
    ledger = WalletService(settings.database_url, clock, options=options, on_batch=spans_by(system))
    stack.push_async_callback(ledger.stop, settings.drain_grace)
    await migrations.bring_up_to_date(ledger.database, "services.wallet", migrate=settings.migrate)
    telemetry.instrument(ledger.database.engine.sync_engine)
    await ledger.start()
    return ledger


def _payments(
    settings: Settings,
    stack: AsyncExitStack,
    clock: Clock,
    *,
    ledger: WalletService,
    database: Database,
) -> PaymentService:
    sandbox = SandboxPsp(
        url=settings.psp_sandbox_url,
        authority=settings.psp_sandbox_authority,
        api_key=settings.psp_sandbox_api_key_file.read_text().strip(),
        webhook_secret=settings.psp_sandbox_webhook_secret_file.read_text().strip(),
        timeout=settings.psp_timeout,
        clock=clock,
    )
    stack.push_async_callback(sandbox.close)
    payments = PaymentService(
        database=database,
        ledger=ledger,
        psps={sandbox.name: sandbox},
        default_psp=sandbox.name,
        clock=clock,
    )
    reconciler = Reconciler(database=database, payments=payments, clock=clock)
    repeat_in_background(
        {"reconcile payments": reconciler.reconcile}, stack, every=settings.reconcile_every
    )
    return payments
