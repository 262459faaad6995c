"""Calls to Game."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from croupier.game.v1 import game_service_pb2, game_service_pb2_grpc

from services.kit.clients import Peer
from services.kit.errors import DeadlineExceededError, OverloadedError, UnavailableError
from services.kit.tls import Identity
from services.security.domain.sessions import LoginSessionId

_SERVICE = game_service_pb2.DESCRIPTOR.services_by_name["GameService"].full_name


class GameClient:
    """Game, as far as login sessions concern it."""

    def __init__(self, address: str, *, identity: Identity, timeout: timedelta) -> None:
        """Opens the channel to Game at `address`."""
        self._peer = Peer("game", address, identity=identity, services=(_SERVICE,), timeout=timeout)
        self._stub = game_service_pb2_grpc.GameServiceStub(self._peer.channel)

    async def end_game_sessions(
        self, login_session_ids: Sequence[LoginSessionId], *, token_expire_time: datetime
    ) -> None:
        """Ends the game sessions of login sessions, at most 1000; safe to repeat.

        Raises:
            UnavailableError: Game did not say that it has done so.
        """
        request = game_service_pb2.EndGameSessionsRequest(login_session_ids=login_session_ids)
        request.token_expire_time.FromDatetime(token_expire_time)
        try:
            await self._peer.call(self._stub.EndGameSessions, request)
        except (DeadlineExceededError, OverloadedError):
            # The same to our caller: the login session has ended, and a repeat does the rest.
            raise UnavailableError(dependency=self._peer.name) from None

    async def close(self) -> None:
        """Closes the channel."""
        await self._peer.close()
