"""Registration: one flow over three services, which a crash may cut anywhere.

The player's row is committed first, then Security makes the credential, then Wallet opens the
wallet; each answer is committed before the next step. A repeat of the request goes on where the
last one stopped. A refusal leaves nothing behind, so its request id stays free.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from services.kit.database import Transaction, retry_on_race
from services.kit.errors import CurrencyUnknownError, InvalidRequestError, RemoteError
from services.kit.ids import new_id
from services.kit.money import UnknownCurrencyError, currency
from services.player.clients import SecurityClient
from services.player.domain import (
    Application,
    CountryPolicy,
    IdentityState,
    Player,
    check_age,
    is_credible_birth,
    is_one_line,
    normalized_name,
)
from services.player.errors import (
    AlreadyRegisteredError,
    PlayerNotFoundError,
    RequestIdReusedError,
)
from services.player.service.content import ContentHasher
from services.player.service.followup import FollowUp
from services.player.service.records import Records
from services.player.store import players


@dataclass(frozen=True, slots=True)
class _Opening:
    """A registration that has begun."""

    player: Player
    content_hash: str
    abandoned: bool = False
    """It is another request's, which stopped half-way; this one may take its place."""


class Registration:
    """Registers players."""

    def __init__(
        self,
        records: Records,
        *,
        security: SecurityClient,
        follow_up: FollowUp,
        countries: CountryPolicy,
        hold: timedelta,
    ) -> None:
        """Takes what the flow needs.

        Args:
            records: The store.
            security: Makes credentials.
            follow_up: Opens wallets.
            countries: From where players are taken.
            hold: How long a registration that stopped half-way keeps others from its person and
                address.
        """
        self._records = records
        self._security = security
        self._follow_up = follow_up
        self._countries = countries
        self._hold = hold
        self._hasher = ContentHasher()

    async def register(self, application: Application) -> Player:
        """Registers a player, or completes the registration that the same request began.

        Raises:
            InvalidRequestError: A name or the date of birth cannot be anybody's.
            CurrencyUnknownError: There is no such currency.
            RequestIdReusedError: The request id came with other content before.
            UnderAgeError: The person is too young.
            CountryNotAllowedError: No players are taken from the country.
            AlreadyRegisteredError: The person or the address has an account.
            RemoteError: Security refuses the address or the password.
            UnavailableError: Security or Wallet does not answer; repeat the request.
            OverloadedError: Too many register at this moment.
        """
        _check_form(application, today=self._records.clock.now().date())
        opening = await self._find(application.request_id)
        content_hash = ""
        if opening is None:
            self._check_policy(application)
            content_hash = await self._hasher.hash(application)
            opening = await self._begin(application, content_hash)
        if not opening.abandoned and opening.content_hash != content_hash:
            if not await self._hasher.matches(application, opening.content_hash):
                raise RequestIdReusedError(request_id=application.request_id)
            if opening.player.registered:
                return _first_answer(opening.player)
        if opening.player.credential_create_time is None:
            await self._create_credential(application, opening, content_hash)
        return await self._follow_up.open_wallet(opening.player.player_id)

    @retry_on_race
    async def resume(self, player_id: str) -> Player:
        """Returns a player who is logged in; if registration stopped half-way, it can go on.

        A token of the player's proves that the credential exists, whether or not Security's answer
        ever arrived.

        Raises:
            PlayerNotFoundError: There is no such player.
        """
        now = self._records.clock.now()
        async with self._records.database.transaction() as connection:
            was = await players.lock(connection, player_id)
            if was.credential_create_time is not None:
                return was
            return await self._records.save(connection, was.logged_in(now), was=was, now=now)

    def _check_policy(self, application: Application) -> None:
        check_age(
            date_of_birth=application.date_of_birth,
            country_code=application.country_code,
            today=self._records.clock.now().date(),
        )
        self._countries.check(application.country_code)

    async def _find(self, request_id: str) -> _Opening | None:
        async with self._records.database.snapshot() as connection:
            return await _find(connection, request_id)

    @retry_on_race
    async def _begin(self, application: Application, content_hash: str) -> _Opening:
        """Commits that the registration has begun, if nobody has the person or the address."""
        now = self._records.clock.now()
        async with self._records.database.transaction() as connection:
            claimants = await players.lock_claimants(connection, application)
            # Only now: an equal request that commits between the two looks must be found by the
            # second one, or it would be taken for somebody else who has the address.
            equal = await _find(connection, application.request_id)
            if equal is not None:
                return equal
            for claimant in self._removable(claimants):
                if claimant.email_digest == application.email_digest:
                    # Its credential may exist. Whether the applicant knows the password decides,
                    # so nothing is touched before Security has answered.
                    return _Opening(claimant, content_hash="", abandoned=True)
                await players.remove(connection, claimant.player_id)
            player = await players.add(
                connection, application, player_id=new_id(), content_hash=content_hash, now=now
            )
            return _Opening(player, content_hash)

    def _removable(self, claimants: Sequence[Player]) -> Sequence[Player]:
        """Returns the registrations that stand in the way, if all of them were abandoned."""
        before = self._records.clock.now() - self._hold
        if not all(claimant.is_abandoned(before=before) for claimant in claimants):
            raise AlreadyRegisteredError
        return claimants

    async def _create_credential(
        self, application: Application, opening: _Opening, content_hash: str
    ) -> None:
        player_id = opening.player.player_id
        try:
            await self._security.create_credential(
                player_id=player_id, email=application.email, password=application.password
            )
        except RemoteError:
            if not opening.abandoned:
                await self._withdraw(application.request_id)
            raise
        if opening.abandoned:
            await self._take_over(application, player_id, content_hash)
        else:
            await self._credential_created(application.request_id, player_id)

    @retry_on_race
    async def _withdraw(self, request_id: str) -> None:
        """Forgets a registration that Security refused, so that it bars nobody."""
        async with self._records.database.transaction() as connection:
            await players.remove_by_request(connection, request_id)

    @retry_on_race
    async def _credential_created(self, request_id: str, player_id: str) -> None:
        now = self._records.clock.now()
        async with self._records.database.transaction() as connection:
            try:
                was = await players.lock(connection, player_id)
            except PlayerNotFoundError:
                was = None
            # The call took longer than the hold, and another request took its place.
            if was is None or was.request_id != request_id:
                raise AlreadyRegisteredError
            if was.credential_create_time is None:
                player = replace(was, credential_create_time=now)
                await self._records.save(connection, player, was=was, now=now)

    @retry_on_race
    async def _take_over(self, application: Application, player_id: str, content_hash: str) -> None:
        """Replaces an abandoned registration of the same address by this one."""
        now = self._records.clock.now()
        async with self._records.database.transaction() as connection:
            claimants = await players.lock_claimants(connection, application)
            for claimant in self._removable(claimants):
                await players.remove(connection, claimant.player_id)
            was = await players.add(
                connection, application, player_id=player_id, content_hash=content_hash, now=now
            )
            player = replace(was, credential_create_time=now)
            await self._records.save(connection, player, was=was, now=now)


async def _find(connection: Transaction, request_id: str) -> _Opening | None:
    found = await players.find_by_request(connection, request_id)
    return None if found is None else _Opening(*found)


def _check_form(application: Application, *, today: date) -> None:
    violations = {}
    for field in ("given_name", "family_name", "postal_address"):
        text = getattr(application, field)
        if not is_one_line(text):
            violations[field] = "must not contain control characters"
        elif not normalized_name(text):
            violations[field] = "must contain a letter or a digit"
    if not is_credible_birth(application.date_of_birth, today=today):
        violations["date_of_birth"] = "must be the birth date of somebody alive"
    if violations:
        raise InvalidRequestError(violations)
    try:
        currency(application.currency_code)
    except UnknownCurrencyError:
        raise CurrencyUnknownError(application.currency_code) from None


def _first_answer(player: Player) -> Player:
    """Returns the player as registration answered first, whatever happened since."""
    return replace(player, identity_state=IdentityState.PENDING, blocked=False, exclusion=None)
