"""Asks the Player service."""

from datetime import timedelta

from croupier.player.v1 import player_service_pb2, player_service_pb2_grpc

from services.game.domain import PlayerId, PlayerSummary
from services.kit.clients import Peer
from services.kit.tls import Identity

_SERVICE = player_service_pb2.DESCRIPTOR.services_by_name["PlayerService"].full_name


class PlayerClient:
    """Knows who may play."""

    def __init__(self, address: str, *, identity: Identity, timeout: timedelta) -> None:
        """Opens the channel to Player at `address`."""
        self._peer = Peer(
            "player", address, identity=identity, services=(_SERVICE,), timeout=timeout
        )
        self._stub = player_service_pb2_grpc.PlayerServiceStub(self._peer.channel)

    async def check_play(self, player_id: PlayerId) -> PlayerSummary:
        """Returns what a provider may know of a player who may play.

        Raises:
            RemoteError: The player may not, for one of Player's reasons.
            UnavailableError: Player does not answer.
        """
        response = await self._peer.call(
            self._stub.CheckPlay, player_service_pb2.CheckPlayRequest(player_id=player_id)
        )
        return PlayerSummary(
            player_id=PlayerId(response.player.player_id),
            country_code=response.player.country_code,
            currency_code=response.player.currency_code,
        )

    async def close(self) -> None:
        """Closes the channel."""
        await self._peer.close()
