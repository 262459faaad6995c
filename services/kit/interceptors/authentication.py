"""Finds out who is calling: the mesh service by its certificate, then the person or provider."""

from collections.abc import Mapping
from typing import Protocol

from services.kit.call import Call, Caller
from services.kit.contract import Level
from services.kit.errors import CredentialMissingError
from services.kit.tls import service_of


class Authenticator(Protocol):
    """Proves one kind of credential."""

    async def authenticate(self, call: Call, *, service: str) -> Caller:
        """Returns who it is.

        Raises:
            CredentialMissingError: The call carries none.
            CredentialInvalidError: It is not valid.
            TokenExpiredError: It was valid.
            CallerNotAllowedError: It is valid, and proves somebody of another kind.
        """


class PeerAuthenticator:
    """Enough for methods that only other services call, or anybody."""

    async def authenticate(self, call: Call, *, service: str) -> Caller:
        """Returns the peer, and the client's address where the edge tells it."""
        return Caller(service=service, client_address=client_address(call))


def client_address(call: Call) -> str:
    """Returns the client's address as the edge saw it; the edge replaces what clients send."""
    return (
        call.text("x-envoy-external-address")
        or call.text("x-forwarded-for").rpartition(",")[2].strip()
    )


async def authenticate(call: Call, authenticator: Authenticator) -> Caller:
    """Establishes the caller of a call.

    Raises:
        CredentialMissingError: The connection has no certificate of the mesh, or the method wants
            a token or key that is not there.
    """
    service = service_of(call.context)
    if service is None:
        raise CredentialMissingError(f"AUTH_LEVEL_{Level.SERVICE.name}")
    return await authenticator.authenticate(call, service=service)


Authenticators = Mapping[Level, Authenticator]
