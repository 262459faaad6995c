"""Security as other services see it: the keys that verify access tokens."""

from contextlib import AsyncExitStack
from typing import Any

from croupier.security.v1 import security_service_pb2, security_service_pb2_grpc
from google.protobuf.json_format import ParseDict

from scripts.mesh.pki import DevelopmentAuthority
from services.kit.server import Server
from services.kit.settings import ServerSettings
from services.kit.tokens import token_authenticators
from tests.kit.tokens import TokenIssuer


class KeysDouble(security_service_pb2_grpc.SecurityServiceServicer):
    """Serves the keys of a test's own issuer."""

    def __init__(self, tokens: TokenIssuer) -> None:
        self._tokens = tokens

    async def GetJwks(self, request: Any, context: Any) -> security_service_pb2.GetJwksResponse:
        keys = await self._tokens.fetch_keys()
        return ParseDict(dict(keys), security_service_pb2.GetJwksResponse())


async def start_keys(
    authority: DevelopmentAuthority, tokens: TokenIssuer, stack: AsyncExitStack
) -> str:
    """Starts it and returns its address."""
    identity = authority.identity("security")
    server = Server(
        ServerSettings(
            tls_certificate=identity.certificate,
            tls_key=identity.key,
            tls_authority=identity.authority,
        ),
        authenticators=token_authenticators(tokens.fetch_keys),
    )
    server.add(
        security_service_pb2_grpc.add_SecurityServiceServicer_to_server,
        KeysDouble(tokens),  # type: ignore[abstract]
    )
    port = await server.start()
    stack.push_async_callback(server.stop)
    return f"127.0.0.1:{port}"
