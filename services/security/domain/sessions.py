"""Login sessions: how long they and their tokens live."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NewType

from services.security.domain.credentials import SubjectId, SubjectKind

LoginSessionId = NewType("LoginSessionId", str)
"""The `sid` of access tokens."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long the login sessions of one kind of subject live."""

    idle: timedelta
    """Without a refresh, a session ends after this."""
    life: timedelta
    """However often it is refreshed, a session ends after this."""


@dataclass(frozen=True, slots=True)
class LoginSession:
    """What one login began."""

    login_session_id: LoginSessionId
    subject_id: SubjectId
    kind: SubjectKind
    expire_time: datetime
    """When it ends unless it is refreshed before."""
    life_end_time: datetime
    """When it ends however often it is refreshed."""
    token_expire_time: datetime
    """When its last access token expires."""
    end_time: datetime | None = None
    games_end_time: datetime | None = None
    """When Game had ended its game sessions."""
    second_factor_time: datetime | None = None
    """When it proved a second factor; None if it rests on the password alone."""

    def is_open(self, now: datetime) -> bool:
        """Tells whether it can be refreshed."""
        return self.end_time is None and now < self.expire_time


@dataclass(frozen=True, slots=True)
class Span:
    """When the two tokens of a pair begin and expire."""

    issue_time: datetime
    access_expire_time: datetime
    refresh_expire_time: datetime


def token_span(
    *, now: datetime, life_end_time: datetime, idle: timedelta, access_life: timedelta
) -> Span:
    """Decides how long a new pair of tokens lives; neither outlives the session.

    A JWT tells times in whole seconds. Both of its times are rounded down, so that a verifier
    never finds it issued in the future.
    """
    issue_time = now.replace(microsecond=0)
    return Span(
        issue_time=issue_time,
        access_expire_time=min(issue_time + access_life, life_end_time.replace(microsecond=0)),
        refresh_expire_time=min(now + idle, life_end_time),
    )


@dataclass(frozen=True, slots=True)
class TokenPair:
    """The two tokens of a login session."""

    access_token: str = field(repr=False)
    access_expire_time: datetime
    refresh_token: str = field(repr=False)
    refresh_expire_time: datetime
    withheld_roles: frozenset[str] = frozenset()
    """Roles that the access token lacks, because the session has not proved a second factor."""


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The outcome of a login."""

    tokens: TokenPair
    subject_id: SubjectId
    previous_login_time: datetime | None
