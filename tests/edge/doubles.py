"""Servers that speak the real contracts and answer what a test says."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from croupier.security.v1 import security_service_pb2
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
from tests.contract.contracts import services
from tests.kit.tokens import TokenIssuer

API_KEY = "test-api-key"
UPSTREAMS = ("security", "player", "wallet", "game", "analytics")

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


def contracts_of(upstream: str) -> list[tuple[Any, Any]]:
    """Returns descriptor and stubs of each gRPC service in the package of a mesh service."""
    return [
        (service, importlib.import_module(f"{service.file.name[:-6].replace('/', '.')}_pb2_grpc"))
        for service in services()
        if service.file.package == f"croupier.{upstream}.v1"
    ]


def servicer(mesh: Mesh, service: Any, stubs: Any) -> Any:
    """Makes a servicer of a contract whose methods all ask `mesh` what to answer."""
    methods = {
        method.name: (_stream if method.server_streaming else _unary)(mesh, method)
        for method in service.methods
    }
    return type(f"{service.name}Double", (getattr(stubs, f"{service.name}Servicer"),), methods)()


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
    for service, stubs in contracts_of(name):
        register = getattr(stubs, f"add_{service.name}Servicer_to_server")
        server.add(register, servicer(mesh, service, stubs))
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
    for name in UPSTREAMS:
        server = await serve(mesh, name, authority=authority, tokens=tokens)
        stack.push_async_callback(server.stop)
