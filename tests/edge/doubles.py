"""Servers that speak the real contracts and answer what a test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from croupier.analytics.v1 import analytics_service_pb2, analytics_service_pb2_grpc
from croupier.game.v1 import (
    game_service_pb2,
    game_service_pb2_grpc,
    provider_service_pb2,
    provider_service_pb2_grpc,
)
from croupier.player.v1 import player_service_pb2, player_service_pb2_grpc
from croupier.security.v1 import security_service_pb2, security_service_pb2_grpc
from croupier.wallet.v1 import (
    payment_service_pb2,
    payment_service_pb2_grpc,
    wallet_service_pb2,
    wallet_service_pb2_grpc,
)
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass

from scripts.mesh.pki import DevelopmentAuthority
from services.kit.call import Call, Caller, caller, current_call
from services.kit.contract import Level
from services.kit.errors import CredentialInvalidError, CredentialMissingError
from services.kit.interceptors.authentication import client_address
from services.kit.server import Server
from services.kit.settings import ServerSettings
from services.kit.tokens import token_authenticators
from tests.kit.tokens import TokenIssuer

API_KEY = "test-api-key"
SERVICES: dict[str, list[tuple[Any, Any, str]]] = {
    "security": [(security_service_pb2, security_service_pb2_grpc, "SecurityService")],
    "player": [(player_service_pb2, player_service_pb2_grpc, "PlayerService")],
    "wallet": [
        (wallet_service_pb2, wallet_service_pb2_grpc, "WalletService"),
        (payment_service_pb2, payment_service_pb2_grpc, "PaymentService"),
    ],
    "game": [
        (game_service_pb2, game_service_pb2_grpc, "GameService"),
        (provider_service_pb2, provider_service_pb2_grpc, "ProviderService"),
    ],
    "analytics": [(analytics_service_pb2, analytics_service_pb2_grpc, "AnalyticsService")],
}

Answer = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Received:
    """A call as it reached a service."""

    method: str
    request: Any
    metadata: dict[str, Any]
    caller: Caller
    remaining: float | None


@dataclass
class Mesh:
    """All five services as doubles, on ports of their own."""

    ports: dict[str, int] = field(default_factory=dict)
    servers: dict[str, Server] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    always: dict[str, Answer] = field(default_factory=dict)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    def reset(self) -> None:
        self.received.clear()
        self.answers = dict(self.always)
        self.cancelled = asyncio.Event()

    def answer(self, method: str, how: Answer) -> None:
        """Lets `method` answer what `how` returns for a request, or raise what it raises."""
        self.answers[method] = how

    def last(self, method: str) -> Received:
        return next(each for each in reversed(self.received) if each.method == method)

    def note(self, method: str, request: Any, context: Any) -> None:
        self.received.append(
            Received(
                method=method,
                request=request,
                metadata=dict(current_call.get().metadata),
                caller=caller(),
                remaining=context.time_remaining(),
            )
        )


class KeyAuthenticator:
    """Knows one API key."""

    async def authenticate(self, call: Call, *, service: str) -> Caller:
        given = call.text("x-api-key")
        if not given:
            raise CredentialMissingError("AUTH_LEVEL_PROVIDER")
        if given != API_KEY:
            raise CredentialInvalidError
        return Caller(service=service, provider_id="acme", client_address=client_address(call))


def _unary(mesh: Mesh, method: Any) -> Any:
    response_type = GetMessageClass(method.output_type)

    async def serve(_: Any, request: Any, context: Any) -> Any:
        mesh.note(method.name, request, context)
        how = mesh.answers.get(method.name)
        answer = how(request) if how else response_type()
        if asyncio.iscoroutine(answer):
            try:
                answer = await answer
            except asyncio.CancelledError:
                mesh.cancelled.set()
                raise
        return answer

    return serve


def _stream(mesh: Mesh, method: Any) -> Any:
    async def serve(_: Any, request: Any, context: Any) -> AsyncIterator[Any]:
        mesh.note(method.name, request, context)
        try:
            async for each in mesh.answers[method.name](request):
                yield each
        except (asyncio.CancelledError, GeneratorExit):
            mesh.cancelled.set()
            raise

    return serve


def servicer(mesh: Mesh, module: Any, stubs: Any, name: str) -> Any:
    """Makes a servicer of a contract whose methods all ask `mesh` what to answer."""
    methods = {
        method.name: (_stream if method.server_streaming else _unary)(mesh, method)
        for method in module.DESCRIPTOR.services_by_name[name].methods
    }
    return type(f"{name}Double", (getattr(stubs, f"{name}Servicer"),), methods)()


async def serve(
    mesh: Mesh,
    name: str,
    *,
    authority: DevelopmentAuthority,
    tokens: TokenIssuer,
    listen: str = "127.0.0.1:0",
) -> Server:
    """Starts the double of one service."""
    identity = authority.identity(name)
    server = Server(
        ServerSettings(
            listen=listen,
            tls_certificate=identity.certificate,
            tls_key=identity.key,
            tls_authority=identity.authority,
            drain_grace=timedelta(0),
        ),
        authenticators={
            **token_authenticators(tokens.fetch_keys),
            Level.PROVIDER: KeyAuthenticator(),
        },
    )
    for module, stubs, contract in SERVICES[name]:
        register = getattr(stubs, f"add_{contract}Servicer_to_server")
        server.add(register, servicer(mesh, module, stubs, contract))
    mesh.ports[name] = await server.start()
    mesh.servers[name] = server
    return server


async def serve_all(
    mesh: Mesh, *, authority: DevelopmentAuthority, tokens: TokenIssuer, stack: AsyncExitStack
) -> None:
    """Starts all five; Security serves the keys of `tokens`."""
    keys = ParseDict(dict(await tokens.fetch_keys()), security_service_pb2.GetJwksResponse())
    mesh.always["GetJwks"] = lambda _: keys
    mesh.reset()
    for name in SERVICES:
        server = await serve(mesh, name, authority=authority, tokens=tokens)
        stack.push_async_callback(server.stop)
