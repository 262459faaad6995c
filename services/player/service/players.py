"""The use cases of Player, one for each RPC."""

import asyncio
from dataclasses import replace
from datetime import datetime

from services.kit.database import retry_on_race
from services.kit.errors import InvalidRequestError
from services.player.domain import (
    EXCLUSION_MIN,
    RESTRICTIONS,
    Application,
    CountryPolicy,
    IdentityState,
    Origin,
    Player,
    check_play,
    is_one_line,
    prolonged,
    self_exclusion,
)
from services.player.errors import IdentityRefusedError
from services.player.identity import Claim, IdentityProvider, Verdict
from services.player.service.followup import FollowUp
from services.player.service.records import Records
from services.player.service.registration import Registration
from services.player.store import history, outstanding, players


class PlayerService:
    """What can be done with a player.

    A change is committed here first. Then Wallet and Security are told, and only when they have
    confirmed does the call answer; if they do not, it says UNAVAILABLE, and either a repeat or the
    upkeep tells them later.
    """

    def __init__(
        self,
        records: Records,
        *,
        registration: Registration,
        follow_up: FollowUp,
        identity: IdentityProvider,
        countries: CountryPolicy,
    ) -> None:
        """Takes what the use cases need.

        Args:
            records: The store.
            registration: The flow that makes players.
            follow_up: Tells Wallet and Security.
            identity: Checks identities, within a deadline.
            countries: From where players are taken.
        """
        self._records = records
        self._registration = registration
        self._follow_up = follow_up
        self._identity = identity
        self._countries = countries

    async def register_player(self, application: Application) -> Player:
        """Registers a player; see `Registration.register`, also for what it raises."""
        return await self._registration.register(application)

    async def get_player(self, player_id: str) -> Player:
        """Reads a player.

        Raises:
            PlayerNotFoundError: There is no such player.
        """
        async with self._records.database.snapshot() as connection:
            return await players.get(connection, player_id)

    async def verify_identity(self, player_id: str, *, document_number: str) -> Player:
        """Has a player's identity checked; does nothing if it is confirmed already.

        Raises:
            PlayerNotFoundError: There is no such player.
            IdentityRefusedError: The provider does not confirm the person.
            UnavailableError: The provider does not answer.
        """
        player = await self.get_player(player_id)
        if not player.registered:
            await self._registration.resume(player_id)
            player = await self._follow_up.open_wallet(player_id)
        if player.identity_state is IdentityState.VERIFIED:
            return player
        verdict = await self._identity.check(
            Claim(
                given_name=player.given_name,
                family_name=player.family_name,
                date_of_birth=player.date_of_birth,
                country_code=player.country_code,
                postal_address=player.postal_address,
                document_number=document_number,
            )
        )
        player = await self._identity_checked(player_id, verdict)
        if player.identity_state is not IdentityState.VERIFIED:
            raise IdentityRefusedError(cause=verdict.cause)
        return player

    async def exclude_player(self, player_id: str, *, end_time: datetime | None) -> Player:
        """Excludes a player from now on; None: for ever.

        Raises:
            PlayerNotFoundError: There is no such player.
            InvalidRequestError: The end is too near.
            ExclusionNotShortenedError: The exclusion in force lasts longer.
            UnavailableError: The wallet does not answer; repeat the call.
        """
        player = await self._excluded(player_id, end_time)
        await self._follow_up.tell_wallet(player_id, RESTRICTIONS)
        return player

    async def block_player(self, player_id: str, *, operator_id: str, reason: str) -> Player:
        """Blocks a player and ends the login sessions; a repeat only ends those that are new.

        Raises:
            PlayerNotFoundError: There is no such player.
            InvalidRequestError: The reason cannot be shown.
            UnavailableError: Wallet or Security does not answer; repeat the call.
        """
        player = await self._set_blocked(
            player_id, blocked=True, operator_id=operator_id, reason=reason
        )
        # Neither waits for the other: money and sessions are both to be stopped as far as possible.
        outcomes = await asyncio.gather(
            self._follow_up.tell_wallet(player_id, RESTRICTIONS),
            self._follow_up.end_login_sessions(player_id, if_due=False),
            return_exceptions=True,
        )
        for failure in outcomes:
            if failure is not None:
                raise failure
        return player

    async def unblock_player(self, player_id: str, *, operator_id: str, reason: str) -> Player:
        """Lifts a block; does nothing more if there is none. An exclusion stays.

        Raises:
            PlayerNotFoundError: There is no such player.
            InvalidRequestError: The reason cannot be shown.
            UnavailableError: The wallet does not answer; repeat the call.
        """
        player = await self._set_blocked(
            player_id, blocked=False, operator_id=operator_id, reason=reason
        )
        await self._follow_up.tell_wallet(player_id, RESTRICTIONS)
        return player

    async def check_play(self, player_id: str) -> Player:
        """Returns a player who may begin to play; for what it raises see `domain.check_play`.

        Raises:
            PlayerNotFoundError: There is no such player.
        """
        player = await self.get_player(player_id)
        check_play(player, now=self._records.clock.now(), countries=self._countries)
        return player

    @retry_on_race
    async def _identity_checked(self, player_id: str, verdict: Verdict) -> Player:
        now = self._records.clock.now()
        async with self._records.database.transaction() as connection:
            was = await players.lock(connection, player_id)
            if was.identity_state is IdentityState.VERIFIED:
                # Another check was confirmed meanwhile, which a later refusal does not undo.
                return was
            await history.add_identity_check(
                connection,
                player_id,
                provider=self._identity.name,
                cause=verdict.cause,
                now=now,
            )
            state = IdentityState.VERIFIED if verdict.verified else IdentityState.REFUSED
            return await self._records.save(
                connection,
                replace(was, identity_state=state),
                was=was,
                now=now,
                player_identity_checked={"player_id": player_id, "verified": verdict.verified},
            )

    @retry_on_race
    async def _excluded(self, player_id: str, end_time: datetime | None) -> Player:
        now = self._records.clock.now()
        async with self._records.database.transaction() as connection:
            was = await players.lock(connection, player_id)
            current = was.exclusion_at(now)
            if current is not None and current.end_time == end_time:
                # A repeat, which may come when less than the shortest exclusion is left.
                return was
            if end_time is not None and end_time < now + EXCLUSION_MIN:
                raise InvalidRequestError({"end_time": "must be at least 24 hours from now"})
            exclusion = prolonged(current, end_time=end_time, now=now)
            await history.add_self_exclusion(connection, player_id, exclusion, now=now)
            return await self._records.save(
                connection,
                replace(was.logged_in(now), exclusion=exclusion),
                was=was,
                now=now,
                origin=self_exclusion(player_id),
                player_excluded={"player_id": player_id, "end_time": end_time},
            )

    @retry_on_race
    async def _set_blocked(
        self, player_id: str, *, blocked: bool, operator_id: str, reason: str
    ) -> Player:
        if not is_one_line(reason.replace("\n", " ")):
            raise InvalidRequestError({"reason": "must not contain control characters"})
        now = self._records.clock.now()
        async with self._records.database.transaction() as connection:
            was = await players.lock(connection, player_id)
            if was.blocked is blocked:
                return was
            block_id = await history.add_block(
                connection,
                player_id,
                blocked=blocked,
                operator_id=operator_id,
                reason=reason,
                now=now,
            )
            if blocked:
                await outstanding.add_session_ending(
                    connection, player_id, block_id=block_id, now=now
                )
            what = {"player_id": player_id, "operator_id": operator_id, "reason": reason}
            event = {"player_blocked": what} if blocked else {"player_unblocked": what}
            return await self._records.save(
                connection,
                replace(was, blocked=blocked),
                was=was,
                now=now,
                origin=Origin(operator_id, reason),
                **event,
            )
