"""`python -m services.wallet`: the Wallet service, put together."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

from croupier.event.v1 import feed_service_pb2_grpc
from croupier.wallet.v1 import payment_service_pb2_grpc, wallet_service_pb2_grpc

from services.kit import migrations, telemetry
from services.kit.clock import SystemClock
from services.kit.database import Database
from services.kit.errors import UnavailableError
from services.kit.feed import FeedServicer
from services.kit.keys import SecurityKeys
from services.kit.server import Server, main
from services.kit.tokens import token_authenticators
from services.wallet.feed import LedgerFeed
from services.wallet.payments.sandbox import SandboxPsp
from services.wallet.payments.service import PaymentService
from services.wallet.payments.servicer import PaymentServicer
from services.wallet.service import WalletService
from services.wallet.servicer import WalletServicer
from services.wallet.settings import Settings
from services.wallet.tracing import spans_by
from services.wallet.watching import BalanceStreams
from services.wallet.writer import WriterState


async def build(settings: Settings, stack: AsyncExitStack) -> Server:
    """Puts the service together; the stack takes it apart in reverse."""
    clock = SystemClock()
    ledger = await _ledger(settings, stack, clock)
    keys = SecurityKeys(settings.security_address, identity=settings.identity)
    stack.push_async_callback(keys.close)
    streams = BalanceStreams(clock=clock)
    feed = FeedServicer(LedgerFeed(ledger))
    server = Server(settings, authenticators=token_authenticators(keys.fetch))
    server.add(
        wallet_service_pb2_grpc.add_WalletServiceServicer_to_server,
        WalletServicer(ledger, streams),
    )
    server.add(
        payment_service_pb2_grpc.add_PaymentServiceServicer_to_server,
        PaymentServicer(await _payments(settings, stack, clock, ledger)),
    )
    server.add(feed_service_pb2_grpc.add_FeedServiceServicer_to_server, feed)
    server.on_drain(streams.drain)
    server.on_drain(feed.drain)

    async def serves() -> None:
        if ledger.state is not WriterState.SERVING:
            raise UnavailableError(dependency=f"ledger ({ledger.state.value})")
        await ledger.database.ping()

    server.require(serves)
    return server


async def _ledger(settings: Settings, stack: AsyncExitStack, clock: SystemClock) -> WalletService:
    if settings.migrates(settings.database_url):
        await migrations.upgrade(settings.database_url, "services.wallet")
    system = "sqlite" if settings.database_url.startswith("sqlite") else "postgresql"
    ledger = WalletService(settings.database_url, clock, on_batch=spans_by(system))
    telemetry.instrument(ledger.database.engine.sync_engine)
    await ledger.start()
    stack.push_async_callback(ledger.stop, settings.drain_grace)
    return ledger


async def _payments(
    settings: Settings, stack: AsyncExitStack, clock: SystemClock, ledger: WalletService
) -> PaymentService:
    if settings.migrates(settings.payments_database_url):
        await migrations.upgrade(settings.payments_database_url, "services.wallet.payments")
    database = Database(settings.payments_database_url, schema="payments")
    telemetry.instrument(database.engine.sync_engine)
    stack.push_async_callback(database.close)
    sandbox = SandboxPsp(
        url=settings.psp_sandbox_url,
        authority=settings.psp_sandbox_authority,
        api_key=settings.psp_sandbox_api_key_file.read_text().strip(),
        webhook_secret=settings.psp_sandbox_webhook_secret_file.read_text().strip(),
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
    reconciling = asyncio.create_task(
        payments.reconcile_forever(settings.reconcile_every), name="reconciling"
    )
    stack.push_async_callback(_ended, reconciling)
    return payments


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task}, timeout=timedelta(seconds=5).total_seconds())


if __name__ == "__main__":
    main("wallet", Settings, build)
