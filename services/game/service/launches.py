"""How game sessions begin and end."""

from collections.abc import Collection
from datetime import datetime, timedelta

import structlog

from services.game.clients import PlayerClient, ProviderClient
from services.game.domain import (
    GameSession,
    Launch,
    LoginSessionId,
    Provider,
    SessionToken,
    check_launch,
    new_session_token,
    open_session,
    token_hash,
)
from services.game.errors import LoginEndedError, ProviderNotFoundError
from services.game.session_cache import SessionCache
from services.game.store import catalogue, sessions
from services.kit.clock import Clock
from services.kit.database import Database, retry_on_race
from services.kit.feed import Outbox

# How far the clocks of two machines may be apart.
_CLOCK_SKEW_MAX = timedelta(minutes=5)

_log = structlog.get_logger()


class Launches:
    """Opens game sessions, and ends them at a logout."""

    def __init__(  # noqa: PLR0913 (every collaborator of a launch, each named at the call)
        self,
        *,
        database: Database,
        cache: SessionCache,
        outbox: Outbox,
        players: PlayerClient,
        providers: ProviderClient,
        clock: Clock,
        session_life: timedelta,
    ) -> None:
        """Takes what it works with.

        Args:
            database: The service's database.
            cache: What bets look sessions up in.
            outbox: The service's log of events.
            players: Tells whether a player may play.
            providers: Opens games.
            clock: Tells the time.
            session_life: How long a session admits bets.
        """
        self._database = database
        self._cache = cache
        self._outbox = outbox
        self._players = players
        self._providers = providers
        self._clock = clock
        self._session_life = session_life

    async def launch_game(self, launch: Launch) -> tuple[GameSession, str]:
        """Opens a session and asks the provider where the game is.

        Returns:
            The session, and the game's URL for the player's browser.

        Raises:
            LoginEndedError: The player has logged out.
            GameNotFoundError: There is no such game.
            GameDisabledError: An operator disabled it.
            CurrencyNotOfferedError: It is not played in this currency.
            RemoteError: The player may not play.
            ProviderUnavailableError: The provider does not answer; the session has ended.
        """
        await self._check(launch)
        player = await self._players.check_play(launch.player_id)
        token = new_session_token()
        session, provider = await self._open(launch, token)
        try:
            url = await self._providers.open_game(
                provider, launch=launch, token=token, player=player
            )
        except BaseException:
            # Also if the caller has gone: nobody is left who could play in it.
            await self._end(session)
            raise
        return session, url

    async def end_game_sessions(
        self, login_session_ids: Collection[LoginSessionId], *, token_expire_time: datetime
    ) -> int:
        """Ends the sessions that were launched from login sessions, and bars further launches.

        Args:
            login_session_ids: Which login sessions have ended.
            token_expire_time: Until when a launch may still come with a token of theirs.

        Returns:
            How many sessions were open.
        """
        try:
            return await self._end_logins(
                set(login_session_ids), keep_time=token_expire_time + _CLOCK_SKEW_MAX
            )
        finally:
            # Whatever became of it: a commit whose answer was lost has ended them too.
            for each in login_session_ids:
                self._cache.forget_login(each)

    async def _check(self, launch: Launch) -> None:
        """Spares the other services what would be refused anyway; `_open` decides."""
        async with self._database.snapshot() as connection:
            if await sessions.has_login_ended(connection, launch.login_session_id):
                raise LoginEndedError
            game = await catalogue.get_game(connection, launch.game_id)
        check_launch(game, currency_code=launch.currency_code)

    @retry_on_race
    async def _open(self, launch: Launch, token: SessionToken) -> tuple[GameSession, Provider]:
        now = self._clock.now()
        try:
            async with self._database.transaction() as connection:
                if await sessions.lock_login(
                    connection, launch.login_session_id, keep_time=now + self._session_life
                ):
                    raise LoginEndedError
                await sessions.lock_player_at_game(connection, launch.player_id, launch.game_id)
                game = await catalogue.get_game(connection, launch.game_id)
                check_launch(game, currency_code=launch.currency_code)
                provider = await catalogue.find_provider(connection, game.provider_id)
                if provider is None:
                    raise ProviderNotFoundError(provider_id=game.provider_id)
                session = open_session(launch, game, now=now, life=self._session_life)
                await sessions.end_session_of(
                    connection, session.player_id, session.game_id, now=now
                )
                await sessions.insert_session(connection, session, token_hash(token))
                await self._outbox.append(
                    connection,
                    game_launched={
                        "game_session_id": session.game_session_id,
                        "player_id": session.player_id,
                        "game_id": session.game_id,
                        "provider_id": session.provider_id,
                        "currency_code": session.currency_code,
                    },
                )
        finally:
            self._cache.forget_player_at_game(launch.player_id, launch.game_id)
        return session, provider

    @retry_on_race
    async def _end_logins(
        self, login_session_ids: Collection[LoginSessionId], *, keep_time: datetime
    ) -> int:
        now = self._clock.now()
        async with self._database.transaction() as connection:
            # The login sessions first: a launch that comes now waits, and then finds them ended.
            await sessions.end_logins(connection, login_session_ids, keep_time=keep_time)
            ended = await sessions.end_sessions_of_logins(connection, login_session_ids, now=now)
            await sessions.prune_logins(connection, before=now)
        return ended

    async def _end(self, session: GameSession) -> None:
        try:
            await self._end_session(session)
        except Exception:  # noqa: BLE001 (logged whole; see below)
            # The launch has failed for a reason that the caller should see instead of this one.
            # The session's token is nowhere but at the provider, and expires.
            _log.exception("game session not ended", game_session_id=session.game_session_id)
        finally:
            self._cache.forget_player_at_game(session.player_id, session.game_id)

    @retry_on_race
    async def _end_session(self, session: GameSession) -> None:
        async with self._database.transaction() as connection:
            await sessions.end_session(connection, session.game_session_id, now=self._clock.now())
