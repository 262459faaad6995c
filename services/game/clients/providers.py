"""Calls the providers, each over a channel of its own."""

import asyncio
from collections import OrderedDict
from datetime import timedelta

import structlog
from croupier.game.v1 import launch_service_pb2, launch_service_pb2_grpc
from croupier.player.v1 import player_pb2

from services.game.domain import Launch, PlayerSummary, Provider, ProviderId, SessionToken
from services.game.errors import ProviderUnavailableError
from services.kit.clients import Peer, PeerFaultError
from services.kit.errors import ServiceError
from services.kit.interceptors.validation import validate
from services.kit.tls import Identity

_CHANNELS_MAX = 256
_DEFAULT_LOCALE = "en"
_LOGGED_MAX = 500
_SERVICE = launch_service_pb2.DESCRIPTOR.services_by_name["LaunchService"].full_name

_log = structlog.get_logger()


class ProviderClient:
    """Opens games. A provider's certificate must descend from our authority and carry its id."""

    def __init__(
        self,
        *,
        identity: Identity,
        timeout: timedelta,
        channels_max: int = _CHANNELS_MAX,
    ) -> None:
        """Connects to nobody yet.

        Args:
            identity: Who we are.
            timeout: How long a provider may take to open a game.
            channels_max: How many providers stay connected; of more, the one that was least
                recently called is let go.
        """
        self._identity = identity
        self._timeout = timeout
        self._channels_max = channels_max
        self._peers: OrderedDict[tuple[ProviderId, str], Peer] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()

    async def open_game(
        self, provider: Provider, *, launch: Launch, token: SessionToken, player: PlayerSummary
    ) -> str:
        """Returns where the player's browser finds the game.

        Raises:
            ProviderUnavailableError: It does not answer in time, or not by the contract.
        """
        request = launch_service_pb2.OpenGameRequest(
            session_token=token,
            game_id=launch.game_id,
            currency_code=launch.currency_code,
            player=player_pb2.PlayerSummary(
                player_id=player.player_id,
                country_code=player.country_code,
                currency_code=player.currency_code,
            ),
            locale=launch.locale or _DEFAULT_LOCALE,
            return_url=launch.return_url,
        )
        peer = self._peer(provider)
        stub = launch_service_pb2_grpc.LaunchServiceStub(peer.channel)
        try:
            response = await peer.call(stub.OpenGame, request)
            # What a provider says is not to be trusted more than what a client says.
            validate(response)
        except (ServiceError, PeerFaultError) as error:
            _log.warning(
                "provider did not open a game",
                provider_id=provider.provider_id,
                game_id=launch.game_id,
                # A provider may have put into its error what it was sent.
                error=repr(error).replace(token, "[redacted]")[:_LOGGED_MAX],
            )
            raise ProviderUnavailableError(provider_id=provider.provider_id) from None
        return str(response.launch_url)

    async def close(self) -> None:
        """Closes all channels."""
        for peer in self._peers.values():
            await peer.close()
        await asyncio.gather(*self._closing)

    def _peer(self, provider: Provider) -> Peer:
        name = (provider.provider_id, provider.launch_address)
        peer = self._peers.get(name)
        if peer is None:
            peer = Peer(
                provider.provider_id,
                provider.launch_address,
                identity=self._identity,
                services=(_SERVICE,),
                timeout=self._timeout,
            )
            self._peers[name] = peer
            if len(self._peers) > self._channels_max:
                self._let_go(self._peers.popitem(last=False)[1])
        self._peers.move_to_end(name)
        return peer

    def _let_go(self, peer: Peer) -> None:
        # A launch over it may still be under way, and takes no longer than that.
        closing = asyncio.create_task(
            peer.channel.close(self._timeout.total_seconds()), name="close provider channel"
        )
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
