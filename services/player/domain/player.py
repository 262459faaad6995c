"""A player, and what follows from the facts that are recorded of one."""

from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum

from services.player.domain.countries import COUNTRIES, age_min
from services.player.domain.person import age_on, email_digest, person_digest
from services.player.errors import (
    CountryNotAllowedError,
    ExcludedError,
    ExclusionNotShortenedError,
    IdentityNotVerifiedError,
    NotActiveError,
    UnderAgeError,
)

EXCLUSION_MIN = timedelta(hours=24)
"""The shortest exclusion: a cooling-off that ends the same evening is none."""


class State(StrEnum):
    """Which states an account can be in, as the contract names them."""

    REGISTERING = "STATE_REGISTERING"
    ACTIVE = "STATE_ACTIVE"
    BLOCKED = "STATE_BLOCKED"


class IdentityState(StrEnum):
    """How far the identity check has come, as the contract names it."""

    PENDING = "IDENTITY_STATE_PENDING"
    VERIFIED = "IDENTITY_STATE_VERIFIED"
    REFUSED = "IDENTITY_STATE_REFUSED"


class Restriction(StrEnum):
    """What the wallet does not let a player do, as the contract names it."""

    NO_BET = "RESTRICTION_NO_BET"
    NO_DEPOSIT = "RESTRICTION_NO_DEPOSIT"
    NO_WITHDRAW = "RESTRICTION_NO_WITHDRAW"
    NO_BONUS = "RESTRICTION_NO_BONUS"


Restrictions = frozenset[Restriction]

NO_RESTRICTIONS: Restrictions = frozenset()
# Withdrawals stay possible: the money is the player's (GLI-19 A.3.8).
_OF_EXCLUSION: Restrictions = frozenset(
    {Restriction.NO_BET, Restriction.NO_DEPOSIT, Restriction.NO_BONUS}
)
_OF_BLOCK: Restrictions = frozenset(Restriction)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A time in which a player neither bets nor deposits."""

    start_time: datetime
    end_time: datetime | None
    """None: it never ends."""

    def covers(self, now: datetime) -> bool:
        """Tells whether it is in force; the end itself is free again."""
        return self.end_time is None or now < self.end_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What somebody asks to be registered with. No part of it belongs in a log."""

    request_id: str
    email: str = field(repr=False)
    password: str = field(repr=False)
    given_name: str = field(repr=False)
    family_name: str = field(repr=False)
    date_of_birth: date = field(repr=False)
    country_code: str
    postal_address: str = field(repr=False)
    currency_code: str

    @property
    def content(self) -> tuple[str, ...]:
        """All of it but the id, which is what a repeat must have in common with the first call."""
        return (
            self.email,
            self.password,
            self.given_name,
            self.family_name,
            self.date_of_birth.isoformat(),
            self.country_code,
            self.postal_address,
            self.currency_code,
        )

    @property
    def email_digest(self) -> bytes:
        """What the addresses of two registrations are compared by."""
        return email_digest(self.email)

    @property
    def person_digest(self) -> bytes:
        """What the persons of two registrations are compared by."""
        return person_digest(
            given_name=self.given_name,
            family_name=self.family_name,
            date_of_birth=self.date_of_birth,
            country_code=self.country_code,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Player:
    """A person with an account, or on the way to one."""

    player_id: str
    request_id: str
    """Of the registration."""
    email: str = field(repr=False)
    email_digest: bytes = field(repr=False)
    given_name: str = field(repr=False)
    family_name: str = field(repr=False)
    date_of_birth: date = field(repr=False)
    country_code: str
    postal_address: str = field(repr=False)
    currency_code: str
    create_time: datetime
    credential_create_time: datetime | None
    """When Security was known to have the credential."""
    wallet_open_time: datetime | None
    """When the wallet was known to be open."""
    identity_state: IdentityState
    blocked: bool
    exclusion: Exclusion | None
    """The last one whose end was not settled yet; it may be over."""
    restrictions: Restrictions
    """What the wallet was, or is being, told last."""
    change_number: int
    """How often it was told something new."""

    @property
    def registered(self) -> bool:
        """Whether both the credential and the wallet are there."""
        return self.credential_create_time is not None and self.wallet_open_time is not None

    @property
    def state(self) -> State:
        """The account's state. A block counts more than an unfinished registration."""
        if self.blocked:
            return State.BLOCKED
        return State.ACTIVE if self.registered else State.REGISTERING

    def logged_in(self, now: datetime) -> "Player":
        """Returns the player of whom there is a token: that proves that the credential exists."""
        if self.credential_create_time is not None:
            return self
        return replace(self, credential_create_time=now)

    def is_abandoned(self, *, before: datetime) -> bool:
        """Tells whether the registration stopped half-way and may make room for another one.

        One whose credential is known to exist is not: all that it lacks follows by itself. Nor is
        one that an operator has acted upon.
        """
        return (
            self.credential_create_time is None
            and self.change_number == 0
            and self.create_time <= before
        )

    def exclusion_at(self, now: datetime) -> Exclusion | None:
        """Returns the exclusion that is in force."""
        if self.exclusion is not None and self.exclusion.covers(now):
            return self.exclusion
        return None

    def restrictions_at(self, now: datetime) -> Restrictions:
        """Returns what the wallet must not let the player do."""
        excluded = self.exclusion_at(now) is not None
        return (_OF_EXCLUSION if excluded else NO_RESTRICTIONS) | (
            _OF_BLOCK if self.blocked else NO_RESTRICTIONS
        )


@dataclass(frozen=True, slots=True)
class CountryPolicy:
    """From which countries the operator takes players."""

    allowed: frozenset[str]
    """Empty: from all that are not blocked."""
    blocked: frozenset[str]

    def check(self, country_code: str) -> None:
        """Refuses a country.

        Raises:
            CountryNotAllowedError: It is blocked, not allowed, or no country at all.
        """
        taken = self.allowed or COUNTRIES
        if country_code in self.blocked or country_code not in taken:
            raise CountryNotAllowedError(country_code=country_code)


def check_age(*, date_of_birth: date, country_code: str, today: date) -> None:
    """Refuses who is too young for the country of residence.

    Raises:
        UnderAgeError: The birthday that matters is still to come.
    """
    needed = age_min(country_code)
    if age_on(today, date_of_birth) < needed:
        raise UnderAgeError(age_min=needed)


def check_play(player: Player, *, now: datetime, countries: CountryPolicy) -> None:
    """Refuses who may not begin to play.

    Raises:
        NotActiveError: The account is blocked, or its registration is not complete.
        UnderAgeError: The player is too young.
        IdentityNotVerifiedError: The identity is not confirmed.
        ExcludedError: The player is excluded.
        CountryNotAllowedError: The operator takes no players from the country any more.
    """
    if player.state is not State.ACTIVE:
        raise NotActiveError(state=player.state)
    check_age(
        date_of_birth=player.date_of_birth, country_code=player.country_code, today=now.date()
    )
    if player.identity_state is not IdentityState.VERIFIED:
        raise IdentityNotVerifiedError(identity_state=player.identity_state)
    exclusion = player.exclusion_at(now)
    if exclusion is not None:
        raise ExcludedError(end_time=exclusion.end_time)
    countries.check(player.country_code)


def prolonged(current: Exclusion | None, *, end_time: datetime | None, now: datetime) -> Exclusion:
    """Returns the exclusion that a wish leads to.

    Args:
        current: The exclusion in force.
        end_time: When the player wants it to end; None: never.
        now: When the wish is made.

    Raises:
        ExclusionNotShortenedError: The one in force lasts longer.
    """
    if current is None:
        return Exclusion(start_time=now, end_time=end_time)
    if current.end_time is None or (end_time is not None and end_time < current.end_time):
        raise ExclusionNotShortenedError(end_time=current.end_time)
    return Exclusion(start_time=current.start_time, end_time=end_time)
