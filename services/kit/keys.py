"""How a service gets the public keys of Security."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from croupier.security.v1 import security_service_pb2, security_service_pb2_grpc
from google.protobuf.json_format import MessageToDict

from services.kit.clients import Peer
from services.kit.tls import Identity

_TIMEOUT = timedelta(seconds=2)
SECURITY_SERVICE = security_service_pb2.DESCRIPTOR.services_by_name["SecurityService"].full_name


class SecurityKeys:
    """Fetches the key set over the mesh."""

    def __init__(self, address: str, *, identity: Identity) -> None:
        """Opens the channel to Security at `address`."""
        self._peer = Peer(
            "security",
            address,
            identity=identity,
            services=(SECURITY_SERVICE,),
            timeout=_TIMEOUT,
        )
        self._stub = security_service_pb2_grpc.SecurityServiceStub(self._peer.channel)

    async def fetch(self) -> Mapping[str, Any]:
        """Returns the JSON Web Key Set."""
        response = await self._peer.call(self._stub.GetJwks, security_service_pb2.GetJwksRequest())
        return MessageToDict(response)

    async def close(self) -> None:
        """Closes the channel."""
        await self._peer.close()
