"""Asks the Security service."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from croupier.security.v1 import security_service_pb2, security_service_pb2_grpc
from croupier.security.v1.error_reason_pb2 import ErrorReason

from services.game.domain import ProviderId
from services.kit.clients import Peer
from services.kit.clock import from_timestamp
from services.kit.errors import RemoteError
from services.kit.keys import SECURITY_SERVICE
from services.kit.tls import Identity

_KEY_UNKNOWN = ErrorReason.Name(ErrorReason.ERROR_REASON_API_KEY_NOT_FOUND)


@dataclass(frozen=True, slots=True)
class KeyOwner:
    """Whose an API key is, and until when."""

    provider_id: ProviderId
    expire_time: datetime | None


class SecurityClient:
    """Knows the API keys."""

    def __init__(self, address: str, *, identity: Identity, timeout: timedelta) -> None:
        """Opens the channel to Security at `address`."""
        self._peer = Peer(
            "security", address, identity=identity, services=(SECURITY_SERVICE,), timeout=timeout
        )
        self._stub = security_service_pb2_grpc.SecurityServiceStub(self._peer.channel)

    async def find_key_owner(self, api_key: str) -> KeyOwner | None:
        """Returns whose key it is; None if it is unknown, expired or revoked.

        Raises:
            UnavailableError: Security does not answer, so nobody knows.
        """
        request = security_service_pb2.VerifyApiKeyRequest(api_key=api_key)
        try:
            response = await self._peer.call(self._stub.VerifyApiKey, request)
        except RemoteError as error:
            if error.reason == _KEY_UNKNOWN:
                return None
            raise
        found = response.api_key
        return KeyOwner(
            provider_id=ProviderId(found.provider_id),
            expire_time=(
                from_timestamp(found.expire_time) if found.HasField("expire_time") else None
            ),
        )

    async def close(self) -> None:
        """Closes the channel."""
        await self._peer.close()
