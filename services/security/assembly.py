"""The parts of a running Security service, made from its settings."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from services.kit import migrations
from services.kit.background import repeat_in_background
from services.kit.clock import Clock
from services.kit.database import Database
from services.kit.feed import FeedServicer, Outbox, prune_in_background
from services.kit.interceptors.authentication import Authenticators
from services.kit.tokens import token_authenticators
from services.security import sealing
from services.security.clients import GameClient
from services.security.hashing import PasswordHasher
from services.security.service import (
    ApiKeys,
    Credentials,
    LoginSessions,
    Passwords,
    Proof,
    Recovery,
    SecondFactor,
    SigningKeys,
)
from services.security.servicer import SecurityServicer, json_web_key
from services.security.settings import Settings
from services.security.tables import OUTBOX


@dataclass(frozen=True, slots=True)
class Parts:
    """What a server serves."""

    database: Database
    authenticators: Authenticators
    security: SecurityServicer
    feed: FeedServicer


async def assemble(settings: Settings, stack: AsyncExitStack, *, clock: Clock) -> Parts:
    """Opens what the service needs, makes what is made once, and starts the upkeep.

    The stack closes all of it.

    Raises:
        NotMigratedError: The database must be migrated first.
        KeyFileError: The key-encryption key is missing.
        SealBrokenError: It is not the one that sealed what is in the database.
        FirstOperatorError: The first operator cannot be created as the settings say.
    """
    database = await migrations.open_database(
        settings.database_url, "services.security", stack, migrate=settings.migrate
    )
    sealer = sealing.load(settings.key_encryption_key_file)
    outbox = Outbox(database, OUTBOX, clock=clock)
    hasher = PasswordHasher(
        memory_kib=settings.password_hash_memory_kib,
        passes=settings.password_hash_passes,
        lanes=settings.password_hash_lanes,
        threads=settings.password_hash_threads,
        waiting_max=settings.password_hash_waiting_max,
    )
    stack.callback(hasher.close)
    game = GameClient(
        settings.game_address, identity=settings.identity, timeout=settings.game_timeout
    )
    stack.push_async_callback(game.close)

    keys = SigningKeys(database, clock=clock, sealer=sealer, rotation=settings.rotation)
    sessions = LoginSessions(
        database,
        clock=clock,
        outbox=outbox,
        keys=keys,
        game=game,
        lifetimes=settings.lifetimes,
        access_life=settings.access_token_life,
        open_max=settings.login_sessions_max,
        retention=settings.login_session_retention,
        second_factor_roles=settings.second_factor_roles,
    )
    second_factor = SecondFactor(database, clock=clock, sealer=sealer, issuer=settings.totp_issuer)
    proof = Proof(clock=clock, outbox=outbox, second_factor=second_factor)
    credentials = Credentials(
        database, clock=clock, outbox=outbox, hasher=hasher, proof=proof, sessions=sessions
    )
    passwords = Passwords(
        database, clock=clock, outbox=outbox, hasher=hasher, proof=proof, sessions=sessions
    )
    recovery = Recovery(
        database, clock=clock, outbox=outbox, reset_life=settings.password_reset_life
    )
    # Before the first call: tokens need a key, and a wrong key-encryption key must stop the start.
    await keys.check()
    await keys.rotate()
    await _create_first_operator(settings, credentials)
    _start_upkeep(settings, stack, keys, sessions, recovery)
    prune_in_background(outbox, settings, stack)

    async def fetch_own_keys() -> Mapping[str, Any]:
        return {"keys": [json_web_key(key) for key in await keys.published()]}

    return Parts(
        database=database,
        authenticators=token_authenticators(fetch_own_keys),
        security=SecurityServicer(
            credentials=credentials,
            sessions=sessions,
            second_factor=second_factor,
            passwords=passwords,
            recovery=recovery,
            keys=keys,
            api_keys=ApiKeys(database, clock=clock),
        ),
        feed=FeedServicer(outbox),
    )


async def _create_first_operator(settings: Settings, credentials: Credentials) -> None:
    file = settings.first_operator_password_file
    if settings.first_operator_email and file is not None:
        password = (await asyncio.to_thread(file.read_text, encoding="utf-8")).rstrip("\r\n")
        await credentials.create_first_operator(
            email=settings.first_operator_email, password=password
        )


def _start_upkeep(
    settings: Settings,
    stack: AsyncExitStack,
    keys: SigningKeys,
    sessions: LoginSessions,
    recovery: Recovery,
) -> None:
    repeat_in_background(
        {
            "rotate signing keys": keys.rotate,
            "end expired login sessions": sessions.end_expired,
            "end open game sessions": sessions.end_open_games,
            "forget old login sessions": sessions.forget_old,
            "forget expired password resets": recovery.forget_expired,
        },
        stack,
        every=settings.upkeep_every,
    )
