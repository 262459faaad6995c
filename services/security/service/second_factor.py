"""The second factor: enrolled, confirmed, asked for at login."""

from dataclasses import dataclass, field
from enum import Enum, auto

import pyotp

from services.kit.clock import Clock
from services.kit.database import Database, Transaction, retry_on_race
from services.security.domain import totp
from services.security.domain.credentials import Credential, SubjectId
from services.security.domain.sessions import LoginSessionId
from services.security.domain.totp import TotpFactor
from services.security.errors import (
    TotpAlreadyEnrolledError,
    TotpNotPendingError,
    TotpRefusedError,
)
from services.security.sealing import Sealer
from services.security.service.signed_in import lock_signed_in
from services.security.store import credentials, sessions


class Answer(Enum):
    """What the second factor says to a login."""

    NOT_ENROLLED = auto()
    CODE_MISSING = auto()
    REFUSED = auto()
    ACCEPTED = auto()


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an authenticator needs; shown once."""

    secret: str = field(repr=False)
    otpauth_uri: str = field(repr=False)


class SecondFactor:
    """Codes of an authenticator (TOTP), each good for one use."""

    def __init__(self, database: Database, *, clock: Clock, sealer: Sealer, issuer: str) -> None:
        """Takes what seals the secrets, and the issuer that authenticators show."""
        self._database = database
        self._clock = clock
        self._sealer = sealer
        self._issuer = issuer

    @retry_on_race
    async def enroll(self, subject_id: SubjectId, login_session_id: LoginSessionId) -> Enrolment:
        """Stores a secret that is pending until it is confirmed; replaces one that was pending.

        Raises:
            CredentialInvalidError: The login session of the access token has ended.
            TotpAlreadyEnrolledError: A second factor is on already.
        """
        now = self._clock.now()
        secret = pyotp.random_base32()
        async with self._database.transaction() as connection:
            credential = await lock_signed_in(
                connection, subject_id, login_session_id, clock=self._clock
            )
            present = await credentials.find_totp(connection, subject_id)
            if present is not None and present.confirmed:
                raise TotpAlreadyEnrolledError
            sealed = self._sealer.seal(secret.encode(), row=_row(subject_id))
            pending = TotpFactor(secret_sealed=sealed, confirmed=False, last_step=totp.NO_STEP)
            await credentials.replace_totp(connection, subject_id, pending, create_time=now)
        uri = totp.otpauth_uri(secret, account=credential.email, issuer=self._issuer)
        return Enrolment(secret=secret, otpauth_uri=uri)

    @retry_on_race
    async def confirm(
        self, subject_id: SubjectId, login_session_id: LoginSessionId, *, totp_code: str
    ) -> None:
        """Turns the pending second factor on.

        Raises:
            CredentialInvalidError: The login session of the access token has ended.
            TotpNotPendingError: There is nothing to confirm.
            TotpRefusedError: The code is wrong or too old.
        """
        async with self._database.transaction() as connection:
            await lock_signed_in(connection, subject_id, login_session_id, clock=self._clock)
            pending = await credentials.find_totp(connection, subject_id)
            if pending is None or pending.confirmed:
                raise TotpNotPendingError
            if not await self._use(connection, subject_id, pending, totp_code):
                raise TotpRefusedError
            now = self._clock.now()
            await credentials.confirm_totp(connection, subject_id, confirm_time=now)
            # This session has proved it; those that rest on the password alone have not.
            await sessions.record_second_factor(
                connection, login_session_id, second_factor_time=now
            )

    async def is_on(self, connection: Transaction, credential: Credential) -> bool:
        """Tells whether a second factor was confirmed; the credential must be locked."""
        factor = await credentials.find_totp(connection, credential.subject_id)
        return factor is not None and factor.confirmed

    async def check(
        self, connection: Transaction, credential: Credential, totp_code: str
    ) -> Answer:
        """Judges the code of a login, and uses it up; the credential must be locked."""
        factor = await credentials.find_totp(connection, credential.subject_id)
        if factor is None or not factor.confirmed:
            return Answer.NOT_ENROLLED
        if not totp_code:
            return Answer.CODE_MISSING
        used = await self._use(connection, credential.subject_id, factor, totp_code)
        return Answer.ACCEPTED if used else Answer.REFUSED

    async def _use(
        self, connection: Transaction, subject_id: SubjectId, factor: TotpFactor, code: str
    ) -> bool:
        secret = self._sealer.open(factor.secret_sealed, row=_row(subject_id)).decode()
        step = totp.matching_step(secret, code, now=self._clock.now(), after_step=factor.last_step)
        if step is None:
            return False
        await credentials.use_totp_step(connection, subject_id, step=step)
        return True


def _row(subject_id: SubjectId) -> str:
    return f"totp_factor/{subject_id}"
