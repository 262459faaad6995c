"""How operators help people who cannot log in, and whom they may help."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from services.security.domain.credentials import (
    ROLE_ADMIN,
    Credential,
    SubjectId,
    SubjectKind,
)
from services.security.domain.sessions import LoginSessionId


@dataclass(frozen=True, slots=True)
class Operator:
    """The operator who acts, as the access token says."""

    operator_id: SubjectId
    roles: frozenset[str]
    login_session_id: LoginSessionId

    def may_help(self, credential: Credential) -> bool:
        """Tells whether this operator may unlock a credential or let its password be reset.

        Nobody helps themselves: a stolen session could be turned into the account. And only an
        administrator helps other operators, who might have more roles than the one who helps.
        """
        if credential.subject_id == self.operator_id:
            return False
        return credential.kind is SubjectKind.PLAYER or ROLE_ADMIN in self.roles


class ActionKind(StrEnum):
    """What an operator did to somebody's credential."""

    UNLOCK = "unlock"
    RESET = "password_reset"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that an operator did, and why."""

    kind: ActionKind
    operator_id: SubjectId
    subject_id: SubjectId
    reason: str
    request_id: str | None = None
    """None where a repeat is a new action."""


@dataclass(frozen=True, slots=True)
class PasswordReset:
    """What lets a subject set a new password without the old one; the token is a digest."""

    subject_id: SubjectId
    token_digest: bytes = field(repr=False)
    expire_time: datetime

    def is_valid(self, now: datetime) -> bool:
        """Tells whether it is not too late."""
        return now < self.expire_time
