"""The Player service between doubles of Security and Wallet."""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest
from croupier.security.v1.security_service_pb2_grpc import add_SecurityServiceServicer_to_server
from croupier.wallet.v1.wallet_service_pb2_grpc import add_WalletServiceServicer_to_server

from scripts.mesh.pki import DevelopmentAuthority
from services.kit.server import Server
from services.kit.settings import ServerSettings
from services.kit.tokens import token_authenticators
from services.player.__main__ import build
from tests.conftest import Connect
from tests.kit.clock import ManualClock
from tests.kit.tokens import TokenIssuer
from tests.player.doubles import SecurityDouble, WalletDouble
from tests.player.world import World, player_settings


@pytest.fixture
async def doubles(
    authority: DevelopmentAuthority, tokens: TokenIssuer
) -> AsyncIterator[tuple[SecurityDouble, WalletDouble, dict[str, str]]]:
    security = SecurityDouble(tokens)  # type: ignore[abstract] # the rest is not called
    wallet = WalletDouble()  # type: ignore[abstract]
    addresses = {}
    async with AsyncExitStack() as stack:
        for name, register, double in (
            ("security", add_SecurityServiceServicer_to_server, security),
            ("wallet", add_WalletServiceServicer_to_server, wallet),
        ):
            identity = authority.identity(name)
            server = Server(
                ServerSettings(
                    tls_certificate=identity.certificate,
                    tls_key=identity.key,
                    tls_authority=identity.authority,
                    drain_grace=timedelta(seconds=0),
                ),
                authenticators=token_authenticators(tokens.fetch_keys),
            )
            server.add(register, double)
            addresses[f"{name}_address"] = f"127.0.0.1:{await server.start()}"
            stack.push_async_callback(server.stop)
        yield security, wallet, addresses


@pytest.fixture
async def world(  # noqa: PLR0917 (fixtures arrive as arguments)
    authority: DevelopmentAuthority,
    tokens: TokenIssuer,
    clock: ManualClock,
    database_url: Callable[[str], str],
    serve: Callable[..., Awaitable[int]],
    connect: Connect,
    doubles: tuple[SecurityDouble, WalletDouble, dict[str, str]],
) -> World:
    security, wallet, addresses = doubles
    url = database_url("services.player")

    async def start(**changes: Any) -> int:
        settings = player_settings(authority, url, **addresses, **changes)
        return await serve(functools.partial(build, clock=clock), settings)

    return World(
        security=security,
        wallet=wallet,
        clock=clock,
        tokens=tokens,
        database_url=url,
        connect=connect,
        start=start,
        port=await start(),
    )
