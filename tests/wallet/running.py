"""The whole Wallet service with a real sandbox PSP, as its `__main__` builds it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import httpx
from croupier.wallet.v1 import (
    back_office_service_pb2_grpc,
    payment_service_pb2_grpc,
    posting_service_pb2_grpc,
    wallet_service_pb2_grpc,
)
from starlette.types import ASGIApp

from scripts.mesh.pki import DevelopmentAuthority
from scripts.sandbox.https import HttpsServer
from scripts.sandbox.psp.application import Psp
from scripts.sandbox.psp.store import Store
from scripts.sandbox.psp.webhooks import Webhooks
from services.kit.clock import SteadyClock
from services.wallet.__main__ import build
from services.wallet.settings import Settings
from tests.conftest import Connect, Templates
from tests.kit.security import start_keys
from tests.kit.tokens import TokenIssuer

WEBHOOK_SECRET = "whsec_test"
API_KEY = "sk_test"

Around = Callable[[ASGIApp], ASGIApp]
"""Puts something between a wallet and its PSP."""


@dataclass(frozen=True, slots=True)
class RunningWallet:
    """A wallet that serves, and who calls it."""

    port: int
    database_url: str
    psp_url: str
    game: Any
    player: Any
    edge: Any
    payments: Any
    posting: Any
    back_office: Any
    analytics_channel: Any
    browser: httpx.AsyncClient
    connect: Callable[[str], grpc.aio.Channel]


@asynccontextmanager
async def sandbox_psp(
    authority: DevelopmentAuthority, folder: Path, around: Around
) -> AsyncIterator[str]:
    identity = authority.identity("psp")
    store = Store(folder / "psp.db")
    async with httpx.AsyncClient() as client:
        # Webhooks are delivered by the tests themselves: only they know when.
        webhooks = Webhooks(
            store,
            client,
            url="https://127.0.0.1:1/",
            secret=WEBHOOK_SECRET.encode(),
            now=lambda: datetime.now(UTC),
        )
        psp = Psp(store, webhooks, api_key=API_KEY, now=lambda: datetime.now(UTC))
        server = HttpsServer(
            around(psp.application()), port=0, certificate=identity.certificate, key=identity.key
        )
        stopping = asyncio.Event()
        serving = asyncio.create_task(server.serve_until(stopping))
        async with asyncio.timeout(10):
            while not server.started:  # noqa: ASYNC110 (uvicorn offers nothing to wait on)
                await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield f"https://127.0.0.1:{port}"
        finally:
            stopping.set()
            await serving
            store.close()


@asynccontextmanager
async def running_wallet(
    *,
    authority: DevelopmentAuthority,
    tokens: TokenIssuer,
    connect: Connect,
    database_url: Callable[[str], str],
    folder: Path,
    clock: SteadyClock | None = None,
    around_psp: Around = lambda application: application,
    **changes: Any,
) -> AsyncIterator[RunningWallet]:
    identity = authority.identity("wallet")
    (folder / "key").write_text(API_KEY)
    (folder / "secret").write_text(WEBHOOK_SECRET)
    trusted = ssl.create_default_context(cafile=str(authority.certificate_path))
    async with (
        sandbox_psp(authority, folder, around_psp) as psp_url,
        AsyncExitStack() as stack,
        httpx.AsyncClient(verify=trusted, trust_env=False) as browser,
    ):
        settings = Settings(
            **{
                "tls_certificate": identity.certificate,
                "tls_key": identity.key,
                "tls_authority": identity.authority,
                "database_url": database_url("services.wallet"),
                "payments_database_url": database_url("services.wallet.payments"),
                "security_address": await start_keys(authority, tokens, stack),
                "psp_sandbox_url": psp_url,
                "psp_sandbox_authority": authority.certificate_path,
                "psp_sandbox_api_key_file": folder / "key",
                "psp_sandbox_webhook_secret_file": folder / "secret",
                "drain_grace": timedelta(seconds=5),
                **changes,
            }
        )
        server = await build(settings, stack, clock)
        port = await server.start()
        stack.push_async_callback(server.stop)

        def channel(service: str) -> grpc.aio.Channel:
            return connect(port, to="wallet", as_service=service)

        def stub(service: str) -> Any:
            return wallet_service_pb2_grpc.WalletServiceStub(channel(service))

        yield RunningWallet(
            port=port,
            database_url=settings.database_url,
            psp_url=psp_url,
            game=stub("game"),
            player=stub("player"),
            edge=stub("edge"),
            payments=payment_service_pb2_grpc.PaymentServiceStub(channel("edge")),
            posting=posting_service_pb2_grpc.PostingServiceStub(channel("game")),
            back_office=back_office_service_pb2_grpc.BackOfficeServiceStub(channel("edge")),
            analytics_channel=channel("analytics"),
            browser=browser,
            connect=channel,
        )


@asynccontextmanager
async def shared_wallet(
    *,
    engine_name: str,
    authority: DevelopmentAuthority,
    tokens: TokenIssuer,
    templates: Templates,
    folder: Path,
) -> AsyncIterator[RunningWallet]:
    """A wallet for all tests of a module, each with players of its own."""
    channels: dict[tuple[int, str], grpc.aio.Channel] = {}

    def connect(port: int, *, to: str, as_service: str) -> grpc.aio.Channel:
        if (port, as_service) not in channels:
            channels[port, as_service] = grpc.aio.secure_channel(
                f"127.0.0.1:{port}",
                authority.identity(as_service).channel_credentials(),
                options=[("grpc.ssl_target_name_override", to)],
            )
        return channels[port, as_service]

    async with running_wallet(
        authority=authority,
        tokens=tokens,
        connect=connect,
        database_url=lambda package: templates.copy(package, engine_name),
        folder=folder,
    ) as wallet:
        yield wallet
        for channel in channels.values():
            await channel.close(grace=None)
