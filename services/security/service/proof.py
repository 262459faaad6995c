"""Proof of who somebody is: a password and a code, judged under the lock of the credential."""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from services.kit.clock import Clock
from services.kit.database import Transaction
from services.kit.errors import OverloadedError, ServiceError
from services.kit.feed import Outbox
from services.security.domain.credentials import Credential
from services.security.errors import (
    CredentialLockedError,
    TotpRefusedError,
    TotpRequiredError,
)
from services.security.service.second_factor import Answer, SecondFactor
from services.security.store import credentials as store

_TRIES_MAX = 3
_RETRY_AFTER = timedelta(seconds=1)

T = TypeVar("T")


class HashReplacedError(Exception):
    """The hash that a password was compared with is not the one that is stored any more."""


async def comparing_again(attempt: Callable[[], Awaitable[T]]) -> T:
    """Makes an attempt; makes it again where the hash was replaced between look and lock.

    Passwords are compared outside of transactions. Without this, a login with the old password
    could open a session after the password was changed.

    Raises:
        OverloadedError: The hash was replaced during each attempt.
    """
    for _ in range(_TRIES_MAX):
        with contextlib.suppress(HashReplacedError):
            return await attempt()
    raise OverloadedError(retry_after=_RETRY_AFTER)


@dataclass(frozen=True, slots=True)
class Proven:
    """Somebody has proved who they are."""

    second_factor: bool
    """Whether a code was part of the proof."""


class Proof:
    """Judges passwords and codes; what fails is counted and locks.

    A refusal is returned instead of raised: what it counts must be committed.
    """

    def __init__(self, *, clock: Clock, outbox: Outbox, second_factor: SecondFactor) -> None:
        """Takes what judges codes, and where failures are reported."""
        self._clock = clock
        self._outbox = outbox
        self._second_factor = second_factor

    async def judge(
        self,
        connection: Transaction,
        credential: Credential,
        *,
        proven: bool,
        totp_code: str,
        client_address: str,
        refusal: ServiceError,
    ) -> Proven | ServiceError:
        """Judges one attempt; the credential must be locked.

        Args:
            connection: The transaction, which must be committed whatever the answer.
            credential: Whose credential it is.
            proven: Whether the password, or what stands for it, is right.
            totp_code: The code that was given, or nothing.
            client_address: Who tries.
            refusal: The answer to a wrong password.
        """
        now = self._clock.now()
        lockout = credential.lockout
        if not proven or lockout.is_silent(now):
            return await self._fail(connection, credential, client_address, refusal)
        if lockout.unlock_time is not None and lockout.is_locked(now):
            await self.report_failure(connection, credential, client_address, locked=True)
            return CredentialLockedError(unlock_time=lockout.unlock_time)
        return await self._judge_code(connection, credential, totp_code, client_address)

    async def judge_code(
        self,
        connection: Transaction,
        credential: Credential,
        *,
        totp_code: str,
        client_address: str,
    ) -> Proven | ServiceError:
        """Judges the code of somebody who has shown a secret that nobody can guess.

        A lock keeps guesses away, so it matters only where there is a code to guess. That it holds
        may be told: whoever asks is known.

        Args:
            connection: The transaction, which must be committed whatever the answer.
            credential: Whose credential it is; it must be locked.
            totp_code: The code that was given, or nothing.
            client_address: Who tries.
        """
        lockout = credential.lockout
        if not await self._second_factor.is_on(connection, credential):
            return Proven(second_factor=False)
        if lockout.unlock_time is not None and lockout.is_locked(self._clock.now()):
            await self.report_failure(connection, credential, client_address, locked=True)
            return CredentialLockedError(unlock_time=lockout.unlock_time)
        return await self._judge_code(connection, credential, totp_code, client_address)

    async def report_failure(
        self,
        connection: Transaction,
        credential: Credential | None,
        client_address: str,
        *,
        locked: bool,
    ) -> None:
        """Tells the feed of an attempt that failed; the credential is None if there is none."""
        await self._outbox.append(
            connection,
            login_failed={
                "subject_id": "" if credential is None else credential.subject_id,
                "client_address": client_address,
                "locked": locked,
            },
        )

    async def _judge_code(
        self, connection: Transaction, credential: Credential, totp_code: str, client_address: str
    ) -> Proven | ServiceError:
        answer = await self._second_factor.check(connection, credential, totp_code)
        if answer is Answer.CODE_MISSING:
            return TotpRequiredError()
        if answer is Answer.REFUSED:
            return await self._fail(connection, credential, client_address, TotpRefusedError())
        return Proven(second_factor=answer is Answer.ACCEPTED)

    async def _fail(
        self,
        connection: Transaction,
        credential: Credential,
        client_address: str,
        refusal: ServiceError,
    ) -> ServiceError:
        now = self._clock.now()
        lockout = credential.lockout.after_failure(now)
        await store.save_lockout(connection, credential.subject_id, lockout)
        await self.report_failure(
            connection, credential, client_address, locked=lockout.is_locked(now)
        )
        return refusal
