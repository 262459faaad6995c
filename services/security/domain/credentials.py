"""Credentials: how addresses and passwords compare, and when failures lock a credential."""

import unicodedata
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

SubjectId = NewType("SubjectId", str)
"""A player or an operator: the `sub` of access tokens."""

ROLE_ADMIN = "admin"

FAILURES_MAX = 3
FAILURE_WINDOW = timedelta(minutes=30)
LOCK_SPAN = timedelta(minutes=30)
"""Three failures within 30 minutes lock for 30 minutes (GLI-19 2.5.3b)."""


class SubjectKind(StrEnum):
    """Whom a credential stands for."""

    PLAYER = "player"
    OPERATOR = "operator"


def normalised_email(email: str) -> str:
    """Returns the one form in which addresses are stored and compared."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", email).casefold())


def normalised_password(password: str) -> str:
    """Returns the form that is hashed: keyboards differ in how they compose the same character."""
    return unicodedata.normalize("NFKC", password)


@dataclass(frozen=True, slots=True)
class Lockout:
    """The failures of a credential that still matter, and its lock."""

    unlock_time: datetime | None = None
    """Until when the last lock holds or held."""
    failure_times: tuple[datetime, ...] = ()
    """The failures since, at most `FAILURES_MAX`."""

    def is_locked(self, now: datetime) -> bool:
        """Tells whether no login succeeds at present."""
        return self.unlock_time is not None and now < self.unlock_time

    def is_silent(self, now: datetime) -> bool:
        """Tells whether even a right password is answered as a wrong one.

        A locked credential tells its owner so, which tells a guesser that the guess was right. The
        guesses that can be tested in this way are therefore as few as those before the lock.
        """
        return self.is_locked(now) and len(self._counted(now)) >= FAILURES_MAX

    def after_failure(self, now: datetime) -> "Lockout":
        """Counts a failure.

        While locked it does not prolong the lock: that would let anybody keep the owner out.
        """
        counted = (*self._counted(now), now)
        if self.is_locked(now):
            return replace(self, failure_times=counted[:FAILURES_MAX])
        if len(counted) >= FAILURES_MAX:
            return Lockout(unlock_time=now + LOCK_SPAN)
        return replace(self, failure_times=counted)

    def _counted(self, now: datetime) -> tuple[datetime, ...]:
        since = now - FAILURE_WINDOW
        if self.unlock_time is not None and not self.is_locked(now):
            # What was tried during a lock that is over does not count towards the next one.
            since = max(since, self.unlock_time)
        return tuple(time for time in self.failure_times if time >= since)


@dataclass(frozen=True, slots=True)
class Credential:
    """How somebody logs in."""

    subject_id: SubjectId
    kind: SubjectKind
    email: str = field(repr=False)
    password_hash: str = field(repr=False)
    last_login_time: datetime | None
    lockout: Lockout
    roles: frozenset[str] = frozenset()
    """What an operator may do; empty for a player."""
