"""Game as Security sees it, and a whole Security around it."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import argon2
import grpc
from croupier.event.v1.event_pb2 import Event
from croupier.game.v1 import game_service_pb2, game_service_pb2_grpc
from croupier.security.v1 import security_service_pb2, security_service_pb2_grpc

from scripts.mesh.pki import DevelopmentAuthority
from services.kit.database import Database
from services.kit.errors import OverloadedError, UnavailableError
from services.kit.feed import Outbox
from services.kit.server import Server
from services.kit.settings import ServerSettings
from services.kit.tokens import token_authenticators
from services.security.__main__ import build
from services.security.domain.credentials import Credential, Lockout, SubjectId, SubjectKind
from services.security.settings import Settings
from services.security.store import credentials
from services.security.tables import OUTBOX
from tests.factories.security import (
    EMAIL,
    FROM_CLIENT,
    OPERATOR_EMAIL,
    OPERATOR_PASSWORD,
    PASSWORD,
    bearer,
    create_credential,
    login,
    settings,
)
from tests.kit.clock import ManualClock
from tests.kit.refusals import told
from tests.kit.tokens import TokenIssuer


@dataclass
class GameDouble(game_service_pb2_grpc.GameServiceServicer):
    """Ends game sessions, or does what a test says instead."""

    requests: list[game_service_pb2.EndGameSessionsRequest] = field(default_factory=list)
    failure: Exception | None = None
    silent: bool = False
    asked: int = 0

    async def EndGameSessions(
        self, request: game_service_pb2.EndGameSessionsRequest, context: Any
    ) -> game_service_pb2.EndGameSessionsResponse:
        self.asked += 1
        if self.silent:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        self.requests.append(request)
        return game_service_pb2.EndGameSessionsResponse(ended_count=1)

    def ended(self) -> list[str]:
        """Returns the login sessions that it was told of, once each: it may be told twice."""
        return sorted({each for request in self.requests for each in request.login_session_ids})


UNAVAILABLE = UnavailableError(dependency="wallet")
OVERLOADED = OverloadedError(retry_after=timedelta(seconds=1))


async def start_game(
    authority: DevelopmentAuthority, double: GameDouble, stack: AsyncExitStack
) -> str:
    identity = authority.identity("game")
    server = Server(
        ServerSettings(
            tls_certificate=identity.certificate,
            tls_key=identity.key,
            tls_authority=identity.authority,
            traces_endpoint="",
            drain_grace=timedelta(),
        ),
        authenticators=token_authenticators(TokenIssuer().fetch_keys),
    )
    server.add(game_service_pb2_grpc.add_GameServiceServicer_to_server, double)
    port = await server.start()
    stack.push_async_callback(server.stop)
    return f"127.0.0.1:{port}"


@dataclass
class LoggedIn:
    """Somebody with a login session."""

    subject_id: str
    email: str
    tokens: Any

    @property
    def player_id(self) -> str:
        return self.subject_id

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return bearer(self.tokens.access_token)


class Security:
    """A running Security, its callers and its store."""

    def __init__(
        self,
        *,
        authority: DevelopmentAuthority,
        database_url: str,
        folder: Path,
        clock: ManualClock,
        connect: Callable[..., grpc.aio.Channel],
        stack: AsyncExitStack,
    ) -> None:
        self.clock = clock
        self.game = GameDouble()  # type: ignore[abstract] # Security calls one method
        self.folder = folder
        self.database_url = database_url
        self._authority = authority
        self._connect = connect
        self._stack = stack
        self._game_address = ""
        self._operator: tuple[tuple[str, str], ...] = ()
        self.port = 0
        self.database = Database(database_url, schema="security")
        stack.push_async_callback(self.database.close)

    def settings(self, **changes: Any) -> Settings:
        return settings(
            self._authority.identity("security"),
            database_url=self.database_url,
            folder=self.folder,
            **{"game_address": self._game_address, **changes},
        )

    async def start(self, **changes: Any) -> "Security":
        if not self._game_address:
            self._game_address = await start_game(self._authority, self.game, self._stack)
        self.port = await self.start_replica(**changes)
        return self

    async def start_replica(self, **changes: Any) -> int:
        stack = await self._stack.enter_async_context(AsyncExitStack())
        server = await build(self.settings(**changes), stack, self.clock)
        port = await server.start()
        stack.push_async_callback(server.stop)
        return port

    def caller(self, service: str, *, port: int = 0) -> Any:
        channel = self._connect(port or self.port, to="security", as_service=service)
        return security_service_pb2_grpc.SecurityServiceStub(channel)

    def channel(self, service: str) -> grpc.aio.Channel:
        return self._connect(self.port, to="security", as_service=service)

    @functools.cached_property
    def edge(self) -> Any:
        return self.caller("edge")

    @functools.cached_property
    def player_service(self) -> Any:
        return self.caller("player")

    @functools.cached_property
    def game_service(self) -> Any:
        return self.caller("game")

    async def register(self, email: str = EMAIL, password: str = PASSWORD) -> str:
        player_id = str(uuid4())
        request = create_credential(player_id, email=email, password=password)
        await self.player_service.CreateCredential(request)
        return player_id

    async def login(self, *arguments: str) -> security_service_pb2.LoginResponse:
        answer = await self.edge.Login(login(*arguments), metadata=FROM_CLIENT)
        return cast("security_service_pb2.LoginResponse", answer)

    async def player(self, email: str = EMAIL) -> LoggedIn:
        player_id = await self.register(email)
        return LoggedIn(player_id, email, (await self.login(email)).tokens)

    async def operator(self) -> tuple[tuple[str, str], ...]:
        """Logs the first operator in, once: a token made later may lie in the machine's future."""
        if not self._operator:
            answer = await self.login(OPERATOR_EMAIL, OPERATOR_PASSWORD)
            self._operator = bearer(answer.tokens.access_token)
        return self._operator

    async def operator_login(
        self, email: str = OPERATOR_EMAIL, password: str = OPERATOR_PASSWORD
    ) -> LoggedIn:
        answer = await self.login(email, password)
        return LoggedIn(answer.subject_id, email, answer.tokens)

    async def add_operator(self, email: str, *roles: str) -> str:
        """Stores another operator; the password is that of the first."""
        subject_id = str(uuid4())
        hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        operator = Credential(
            subject_id=SubjectId(subject_id),
            kind=SubjectKind.OPERATOR,
            email=email,
            password_hash=hasher.hash(OPERATOR_PASSWORD),
            last_login_time=None,
            lockout=Lockout(),
            roles=frozenset(roles),
        )
        async with self.database.transaction() as connection:
            await credentials.add(connection, operator, create_time=self.clock.now())
        return subject_id

    async def events(self) -> Sequence[Event]:
        """Returns all that was appended to the feed."""
        outbox = Outbox(self.database, OUTBOX, clock=self.clock)
        return await outbox.read_page(after_seq=0, limit=500)

    async def kinds(self) -> list[str | None]:
        return [event.WhichOneof("payload") for event in await self.events()]


def first_operator(folder: Path) -> dict[str, Any]:
    """Settings with which an operator can log in."""
    file = folder / "operator-password"
    file.write_text(f"{OPERATOR_PASSWORD}\n")
    return {"first_operator_email": OPERATOR_EMAIL, "first_operator_password_file": file}


async def refused(call: Awaitable[Any], code: str, reason: str, **metadata: str) -> None:
    """Asserts all that a caller sees of a refusal."""
    found = await told(call)
    assert (found.code.name, found.reason, found.metadata) == (code, reason, metadata)


def moment(timestamp: Any) -> datetime:
    return cast("datetime", timestamp.ToDatetime(tzinfo=UTC))
