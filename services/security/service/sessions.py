"""Login sessions: opened by a login, refreshed, ended; and Game told of their end."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from services.kit.clock import Clock
from services.kit.database import Database, Transaction, retry_on_race
from services.kit.errors import CredentialInvalidError, UnavailableError
from services.kit.feed import Outbox
from services.kit.ids import new_id
from services.security import opaque_tokens
from services.security.clients import GameClient
from services.security.domain.credentials import Credential, SubjectId, SubjectKind
from services.security.domain.sessions import (
    Lifetimes,
    LoginSession,
    LoginSessionId,
    TokenPair,
    token_span,
)
from services.security.errors import RefreshTokenInvalidError
from services.security.service.signing_keys import SigningKeys
from services.security.store import credentials
from services.security.store import sessions as store

_BATCH = 200
# What Game takes in one call.
_GAMES_BATCH = 1000
_BATCHES_MAX = 1000


class LoginSessions:
    """The sessions of players and operators."""

    def __init__(  # noqa: PLR0913 (what a session needs; all are named at the one call)
        self,
        database: Database,
        *,
        clock: Clock,
        outbox: Outbox,
        keys: SigningKeys,
        game: GameClient,
        lifetimes: Mapping[SubjectKind, Lifetimes],
        access_life: timedelta,
        open_max: int,
        retention: timedelta,
        second_factor_roles: frozenset[str],
    ) -> None:
        """Takes what signs tokens, who is told of ends, and how long sessions live.

        Args:
            database: The service's database.
            clock: The time.
            outbox: Where ends are reported.
            keys: What signs access tokens.
            game: Who is told of ends.
            lifetimes: How long sessions live.
            access_life: How long access tokens live.
            open_max: How many sessions of one subject may be open.
            retention: How long the record of a session is kept after its end.
            second_factor_roles: Roles that only a session with a second factor has.
        """
        self._database = database
        self._clock = clock
        self._outbox = outbox
        self._keys = keys
        self._game = game
        self._lifetimes = lifetimes
        self._access_life = access_life
        self._open_max = open_max
        self._retention = retention
        self._second_factor_roles = second_factor_roles

    async def open(
        self,
        connection: Transaction,
        credential: Credential,
        *,
        client_address: str,
        second_factor_time: datetime | None,
    ) -> tuple[LoginSessionId, TokenPair]:
        """Opens a session as part of a login; the credential must be locked.

        Where too many are open it ends the oldest. The upkeep tells Game.
        """
        now = self._clock.now()
        await self._make_room(connection, credential)
        login_session_id = LoginSessionId(new_id())
        life_end_time = now + self._lifetimes[credential.kind].life
        tokens = await self._issue(
            connection,
            credential,
            login_session_id,
            life_end_time=life_end_time,
            second_factor=second_factor_time is not None,
        )
        session = LoginSession(
            login_session_id=login_session_id,
            subject_id=credential.subject_id,
            kind=credential.kind,
            expire_time=tokens.refresh_expire_time,
            life_end_time=life_end_time,
            token_expire_time=tokens.access_expire_time,
            second_factor_time=second_factor_time,
        )
        await store.add(connection, session, client_address=client_address, create_time=now)
        await self._store_refresh_token(connection, login_session_id, tokens)
        return login_session_id, tokens

    async def refresh(self, refresh_token: str) -> TokenPair:
        """Exchanges a refresh token for the next pair of tokens.

        Raises:
            RefreshTokenInvalidError: It is unknown, expired, used before or of an ended session.
                A second use, and a use too late, end the session.
        """
        outcome = await self._refresh(opaque_tokens.digest_of(refresh_token))
        if isinstance(outcome, TokenPair):
            return outcome
        if outcome is not None:
            await self.tell_game(outcome.subject_id)
        raise RefreshTokenInvalidError

    async def log_out(self, login_session_id: LoginSessionId) -> None:
        """Ends a session and its game sessions. A repeat completes what was left.

        Raises:
            CredentialInvalidError: The store does not know the session.
            UnavailableError: The session has ended; Game did not say that its games have.
        """
        await self._end_one(login_session_id)
        await self._end_games(login_session_id=login_session_id)

    async def end_all(self, player_id: SubjectId) -> int:
        """Ends all sessions of a player and their game sessions, and tells how many were open.

        Raises:
            UnavailableError: The sessions have ended; Game did not say that the games have.
        """
        open_count = 0
        for _ in range(_BATCHES_MAX):
            ended = await self._end_some_of(player_id)
            now = self._clock.now()
            open_count += sum(session.is_open(now) for session in ended)
            if len(ended) < _BATCH:
                break
        await self._end_games(subject_id=player_id)
        return open_count

    async def end_within(
        self, connection: Transaction, credential: Credential, *, but: LoginSessionId | None
    ) -> None:
        """Ends the sessions of a locked credential as part of what makes them end, but for one.

        `tell_game` follows once that is committed.
        """
        for _ in range(_BATCHES_MAX):
            found = await store.lock_open(
                connection, credential.subject_id, kind=credential.kind, but=but, limit=_BATCH
            )
            for session in found:
                await self._end(connection, session)
            if len(found) < _BATCH:
                return

    async def tell_game(self, subject_id: SubjectId) -> None:
        """Tells Game of the sessions that have ended; what it does not answer to is told later."""
        with contextlib.suppress(UnavailableError):
            await self._end_games(subject_id=subject_id)

    async def end_expired(self) -> None:
        """Ends the sessions that expired: whoever is away for long must log in again."""
        for _ in range(_BATCHES_MAX):
            if len(await self._end_some_expired()) < _BATCH:
                return

    async def end_open_games(self) -> None:
        """Tells Game of ends of which it could not be told when they happened.

        Raises:
            UnavailableError: It still cannot.
        """
        await self._end_games()

    async def forget_old(self) -> None:
        """Deletes the records of sessions that ended longer ago than they must be kept."""
        for _ in range(_BATCHES_MAX):
            if await self._forget_some() < _BATCH:
                return

    @retry_on_race
    async def _refresh(self, digest: bytes) -> TokenPair | LoginSession | None:
        """Returns the next tokens; or the session if it was ended instead; or None."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            found = await store.find_refresh_token(connection, digest)
            if found is None:
                return None
            session = await store.lock(connection, found.login_session_id)
            # Looked at again under the lock: of two that hold the same token, one used it up.
            found = await store.find_refresh_token(connection, digest)
            if session is None or session.end_time is not None or found is None:
                return None
            if found.used or not session.is_open(now):
                await self._end(connection, session)
                return session
            credential = await credentials.get(connection, session.subject_id)
            tokens = await self._issue(
                connection,
                credential,
                session.login_session_id,
                life_end_time=session.life_end_time,
                second_factor=session.second_factor_time is not None,
            )
            await store.use_refresh_token(connection, digest, use_time=now)
            await self._store_refresh_token(connection, session.login_session_id, tokens)
            await store.extend(
                connection,
                session.login_session_id,
                expire_time=tokens.refresh_expire_time,
                token_expire_time=tokens.access_expire_time,
            )
            return tokens

    @retry_on_race
    async def _end_one(self, login_session_id: LoginSessionId) -> None:
        async with self._database.transaction() as connection:
            session = await store.lock(connection, login_session_id)
            if session is None:
                raise CredentialInvalidError
            if session.end_time is None:
                await self._end(connection, session)

    @retry_on_race
    async def _end_some_of(self, player_id: SubjectId) -> Sequence[LoginSession]:
        async with self._database.transaction() as connection:
            found = await store.lock_open(
                connection, player_id, kind=SubjectKind.PLAYER, limit=_BATCH
            )
            for session in found:
                await self._end(connection, session)
        return found

    @retry_on_race
    async def _end_some_expired(self) -> Sequence[LoginSession]:
        async with self._database.transaction() as connection:
            found = await store.lock_expired(connection, self._clock.now(), limit=_BATCH)
            for session in found:
                await self._end(connection, session)
        return found

    @retry_on_race
    async def _forget_some(self) -> int:
        async with self._database.transaction() as connection:
            return await store.delete_over(
                connection, before=self._clock.now() - self._retention, limit=_BATCH
            )

    async def _make_room(self, connection: Transaction, credential: Credential) -> None:
        oldest = await store.list_open_but_newest(
            connection, credential.subject_id, newest=self._open_max - 1, limit=_BATCH
        )
        for login_session_id in oldest:
            session = await store.lock(connection, login_session_id)
            if session is not None and session.end_time is None:
                await self._end(connection, session)

    async def _end(self, connection: Transaction, session: LoginSession) -> None:
        now = self._clock.now()
        # Operators have no game sessions.
        nothing_to_tell = session.kind is SubjectKind.OPERATOR
        await store.end(
            connection,
            session.login_session_id,
            end_time=now,
            games_end_time=now if nothing_to_tell else None,
        )
        await self._outbox.append(
            connection,
            login_session_ended={
                "subject_id": session.subject_id,
                "login_session_id": session.login_session_id,
            },
        )

    async def _end_games(
        self,
        *,
        login_session_id: LoginSessionId | None = None,
        subject_id: SubjectId | None = None,
    ) -> None:
        for _ in range(_BATCHES_MAX):
            async with self._database.snapshot() as connection:
                ended = await store.list_with_open_games(
                    connection,
                    login_session_id=login_session_id,
                    subject_id=subject_id,
                    limit=_GAMES_BATCH,
                )
            if ended:
                ids = [session.login_session_id for session in ended]
                await self._game.end_game_sessions(
                    ids, token_expire_time=max(session.token_expire_time for session in ended)
                )
                await self._record_games_ended(ids)
            if len(ended) < _GAMES_BATCH:
                return

    @retry_on_race
    async def _record_games_ended(self, ids: Sequence[LoginSessionId]) -> None:
        async with self._database.transaction() as connection:
            await store.record_games_ended(connection, ids, games_end_time=self._clock.now())

    async def _issue(
        self,
        connection: Transaction,
        credential: Credential,
        login_session_id: LoginSessionId,
        *,
        life_end_time: datetime,
        second_factor: bool,
    ) -> TokenPair:
        span = token_span(
            now=self._clock.now(),
            life_end_time=life_end_time,
            idle=self._lifetimes[credential.kind].idle,
            access_life=self._access_life,
        )
        withheld = frozenset() if second_factor else credential.roles & self._second_factor_roles
        granted = replace(credential, roles=credential.roles - withheld)
        signer = await self._keys.signer(connection)
        return TokenPair(
            access_token=signer.sign(granted, login_session_id=login_session_id, span=span),
            access_expire_time=span.access_expire_time,
            refresh_token=opaque_tokens.new_refresh_token(),
            refresh_expire_time=span.refresh_expire_time,
            withheld_roles=withheld,
        )

    async def _store_refresh_token(
        self, connection: Transaction, login_session_id: LoginSessionId, tokens: TokenPair
    ) -> None:
        await store.add_refresh_token(
            connection,
            opaque_tokens.digest_of(tokens.refresh_token),
            login_session_id,
            create_time=self._clock.now(),
        )
