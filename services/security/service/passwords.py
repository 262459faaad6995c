"""Passwords: changed by whoever knows the old one, or reset with an operator's help."""

from services.kit.clock import Clock
from services.kit.database import Database, Transaction, retry_on_race
from services.kit.errors import ServiceError
from services.kit.feed import Outbox
from services.security import opaque_tokens
from services.security.domain import passwords
from services.security.domain.credentials import Credential, Lockout, SubjectId
from services.security.domain.recovery import PasswordReset
from services.security.domain.sessions import LoginSessionId
from services.security.errors import (
    PasswordRefusedError,
    PasswordResetInvalidError,
    PasswordTooCommonError,
)
from services.security.hashing import PasswordHasher
from services.security.service.proof import HashReplacedError, Proof, comparing_again
from services.security.service.sessions import LoginSessions
from services.security.service.signed_in import lock_signed_in, require_signed_in
from services.security.store import credentials, recovery


class Passwords:
    """New passwords. Each ends the sessions that the old one opened."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        outbox: Outbox,
        hasher: PasswordHasher,
        proof: Proof,
        sessions: LoginSessions,
    ) -> None:
        """Takes what compares and hashes passwords, and what ends sessions."""
        self._database = database
        self._clock = clock
        self._outbox = outbox
        self._hasher = hasher
        self._proof = proof
        self._sessions = sessions

    async def change(
        self,
        subject_id: SubjectId,
        login_session_id: LoginSessionId,
        *,
        old_password: str,
        new_password: str,
        totp_code: str,
        client_address: str,
    ) -> None:
        """Replaces a password, and ends every login session but the one that does so.

        As with a login, passwords are hashed outside of any transaction, and what follows is
        decided under the credential's lock.

        Raises:
            CredentialInvalidError: The login session of the access token has ended.
            PasswordTooCommonError: The new password is one that attackers try first.
            PasswordRefusedError: The old one is wrong.
            CredentialLockedError: It is right, and too many wrong ones came before it.
            TotpRequiredError: It is right, and the code is missing.
            TotpRefusedError: It is right, and the code is not.
        """

        async def attempt() -> ServiceError | None:
            known = await self._signed_in(subject_id, login_session_id)
            if passwords.is_common(new_password, email=known.email):
                raise PasswordTooCommonError
            return await self._change(
                known,
                login_session_id,
                proven=await self._hasher.verify(old_password, known.password_hash),
                new_hash=await self._hasher.hash(new_password),
                totp_code=totp_code,
                client_address=client_address,
            )

        refusal = await comparing_again(attempt)
        if refusal is not None:
            raise refusal
        await self._sessions.tell_game(subject_id)

    async def reset(
        self, reset_token: str, *, new_password: str, totp_code: str, client_address: str
    ) -> None:
        """Sets a new password with the token of a password reset, and ends every login session.

        Raises:
            PasswordResetInvalidError: The token is unknown, expired, used or replaced.
            PasswordTooCommonError: The new password is one that attackers try first.
            CredentialLockedError: There is a second factor, and too much was wrong before.
            TotpRequiredError: The code is missing.
            TotpRefusedError: The code is wrong.
        """
        digest = opaque_tokens.digest_of(reset_token)
        async with self._database.snapshot() as connection:
            found = await self._valid_reset(connection, digest)
            if found is None:
                raise PasswordResetInvalidError
            known = await credentials.get(connection, found.subject_id)
        if passwords.is_common(new_password, email=known.email):
            raise PasswordTooCommonError
        refusal = await self._reset(
            known.subject_id,
            digest,
            new_hash=await self._hasher.hash(new_password),
            totp_code=totp_code,
            client_address=client_address,
        )
        if refusal is not None:
            raise refusal
        await self._sessions.tell_game(known.subject_id)

    async def _signed_in(
        self, subject_id: SubjectId, login_session_id: LoginSessionId
    ) -> Credential:
        async with self._database.snapshot() as connection:
            await require_signed_in(connection, login_session_id, clock=self._clock)
            return await credentials.get(connection, subject_id)

    @retry_on_race
    async def _change(
        self,
        known: Credential,
        login_session_id: LoginSessionId,
        *,
        proven: bool,
        new_hash: str,
        totp_code: str,
        client_address: str,
    ) -> ServiceError | None:
        async with self._database.transaction() as connection:
            credential = await lock_signed_in(
                connection, known.subject_id, login_session_id, clock=self._clock
            )
            if credential.password_hash != known.password_hash:
                raise HashReplacedError
            outcome = await self._proof.judge(
                connection,
                credential,
                proven=proven,
                totp_code=totp_code,
                client_address=client_address,
                refusal=PasswordRefusedError(),
            )
            if isinstance(outcome, ServiceError):
                return outcome
            await self._set(connection, credential, new_hash, but=login_session_id)
            await self._report(connection, credential, client_address, reset=False)
        return None

    @retry_on_race
    async def _reset(
        self,
        subject_id: SubjectId,
        digest: bytes,
        *,
        new_hash: str,
        totp_code: str,
        client_address: str,
    ) -> ServiceError | None:
        async with self._database.transaction() as connection:
            credential = await credentials.lock(connection, subject_id)
            # Looked at again under the lock: of two that hold the token, one used it up.
            found = await self._valid_reset(connection, digest)
            if credential is None or found is None:
                return PasswordResetInvalidError()
            outcome = await self._proof.judge_code(
                connection, credential, totp_code=totp_code, client_address=client_address
            )
            if isinstance(outcome, ServiceError):
                return outcome
            await self._set(connection, credential, new_hash, but=None)
            await self._report(connection, credential, client_address, reset=True)
        return None

    async def _valid_reset(self, connection: Transaction, digest: bytes) -> PasswordReset | None:
        found = await recovery.find_reset(connection, digest)
        return found if found is not None and found.is_valid(self._clock.now()) else None

    async def _set(
        self,
        connection: Transaction,
        credential: Credential,
        new_hash: str,
        *,
        but: LoginSessionId | None,
    ) -> None:
        await credentials.set_password(connection, credential.subject_id, new_hash)
        # As after a login that succeeded: the failures before it do not count any more.
        await credentials.save_lockout(connection, credential.subject_id, Lockout())
        await recovery.delete_reset(connection, credential.subject_id)
        await self._sessions.end_within(connection, credential, but=but)

    async def _report(
        self, connection: Transaction, credential: Credential, client_address: str, *, reset: bool
    ) -> None:
        await self._outbox.append(
            connection,
            password_changed={
                "subject_id": credential.subject_id,
                "reset": reset,
                "client_address": client_address,
            },
        )
