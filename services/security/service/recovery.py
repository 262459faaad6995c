"""What operators do for people who cannot log in."""

from datetime import timedelta

from services.kit.call import current_call
from services.kit.clock import Clock
from services.kit.database import Database, Transaction, retry_on_race
from services.kit.errors import CallerNotAllowedError
from services.kit.feed import Outbox
from services.security import opaque_tokens
from services.security.domain.credentials import Lockout, SubjectId
from services.security.domain.recovery import Action, ActionKind, Operator, PasswordReset
from services.security.errors import CredentialNotFoundError, RequestIdReusedError
from services.security.service.signed_in import require_signed_in
from services.security.store import credentials
from services.security.store import recovery as store


class Recovery:
    """Locks that operators end and passwords that they let people reset, all of it on record."""

    def __init__(
        self, database: Database, *, clock: Clock, outbox: Outbox, reset_life: timedelta
    ) -> None:
        """Takes where credentials are, and how long the token of a password reset is good."""
        self._database = database
        self._clock = clock
        self._outbox = outbox
        self._reset_life = reset_life

    @retry_on_race
    async def unlock(
        self, operator: Operator, subject_id: SubjectId, *, request_id: str, reason: str
    ) -> None:
        """Ends the lock of a credential and forgets its failures; once for each request id.

        Raises:
            CredentialInvalidError: The operator's login session has ended.
            CredentialNotFoundError: The subject has no credential.
            CallerNotAllowedError: The operator may not help this subject.
            RequestIdReusedError: The id was used for something else.
        """
        action = Action(
            kind=ActionKind.UNLOCK,
            operator_id=operator.operator_id,
            subject_id=subject_id,
            reason=reason,
            request_id=request_id,
        )
        async with self._database.transaction() as connection:
            await self._lock(connection, operator, subject_id)
            done = await store.find_action(connection, request_id)
            if done == action:
                return
            if done is not None:
                raise RequestIdReusedError(request_id=request_id)
            await credentials.save_lockout(connection, subject_id, Lockout())
            await store.add_action(connection, action, create_time=self._clock.now())
            await self._outbox.append(
                connection,
                credential_unlocked={
                    "subject_id": subject_id,
                    "operator_id": operator.operator_id,
                    "reason": reason,
                },
            )

    async def create_reset(
        self, operator: Operator, subject_id: SubjectId, *, reason: str
    ) -> tuple[PasswordReset, str]:
        """Makes a password reset and returns it with its token, which is stored nowhere.

        It replaces one that was made before.

        Raises:
            CredentialInvalidError: The operator's login session has ended.
            CredentialNotFoundError: The subject has no credential.
            CallerNotAllowedError: The operator may not help this subject.
        """
        token = opaque_tokens.new_reset_token()
        reset = PasswordReset(
            subject_id,
            token_digest=opaque_tokens.digest_of(token),
            expire_time=self._clock.now() + self._reset_life,
        )
        await self._store_reset(operator, reset, reason=reason)
        return reset, token

    async def forget_expired(self) -> None:
        """Deletes the password resets that nobody used in time."""
        async with self._database.transaction() as connection:
            await store.delete_expired_resets(connection, self._clock.now())

    @retry_on_race
    async def _store_reset(self, operator: Operator, reset: PasswordReset, *, reason: str) -> None:
        now = self._clock.now()
        action = Action(
            kind=ActionKind.RESET,
            operator_id=operator.operator_id,
            subject_id=reset.subject_id,
            reason=reason,
        )
        async with self._database.transaction() as connection:
            await self._lock(connection, operator, reset.subject_id)
            await store.replace_reset(connection, reset, create_time=now)
            await store.add_action(connection, action, create_time=now)
            await self._outbox.append(
                connection,
                password_reset_created={
                    "subject_id": reset.subject_id,
                    "operator_id": operator.operator_id,
                    "reason": reason,
                },
            )

    async def _lock(
        self, connection: Transaction, operator: Operator, subject_id: SubjectId
    ) -> None:
        await require_signed_in(connection, operator.login_session_id, clock=self._clock)
        credential = await credentials.lock(connection, subject_id)
        if credential is None:
            raise CredentialNotFoundError
        if not operator.may_help(credential):
            raise CallerNotAllowedError(
                caller=operator.operator_id, method=current_call.get().method.full_name
            )
