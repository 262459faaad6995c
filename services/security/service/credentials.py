"""Credentials: created, and proved by a login."""

import structlog

from services.kit.clock import Clock
from services.kit.database import Database, retry_on_race
from services.kit.errors import ServiceError
from services.kit.feed import Outbox
from services.kit.ids import new_id
from services.security.domain import passwords
from services.security.domain.credentials import (
    ROLE_ADMIN,
    Credential,
    Lockout,
    SubjectId,
    SubjectKind,
    normalised_email,
)
from services.security.domain.sessions import LoggedIn
from services.security.errors import LoginRefusedError, LoginTakenError, PasswordTooCommonError
from services.security.hashing import PasswordHasher
from services.security.service.proof import HashReplacedError, Proof, comparing_again
from services.security.service.sessions import LoginSessions
from services.security.store import credentials as store

_log = structlog.get_logger()


class FirstOperatorError(Exception):
    """The first operator cannot be created as the settings say."""


class Credentials:
    """How players and operators prove who they are."""

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
        """Takes what compares passwords and codes, and what opens sessions."""
        self._database = database
        self._clock = clock
        self._outbox = outbox
        self._hasher = hasher
        self._proof = proof
        self._sessions = sessions

    async def log_in(
        self, *, email: str, password: str, totp_code: str, client_address: str
    ) -> LoggedIn:
        """Opens a login session for whoever knows the password and has the authenticator.

        The password is hashed once, whether the address is known or not, and outside of any
        transaction. What follows from it is decided under the credential's lock, so that guesses
        made at the same time are counted one after the other.

        Raises:
            LoginRefusedError: No such address, or not its password.
            CredentialLockedError: The password is right, and too many wrong ones came before it.
            TotpRequiredError: The password is right, and the code is missing.
            TotpRefusedError: The password is right, and the code is not.
        """
        address = normalised_email(email)

        async def attempt() -> LoggedIn | ServiceError:
            async with self._database.snapshot() as connection:
                compared = await store.find_password_hash(connection, address)
            proven = await self._hasher.verify(password, compared)
            outcome = await self._decide(
                address,
                compared=compared,
                proven=proven,
                totp_code=totp_code,
                client_address=client_address,
            )
            if not isinstance(outcome, ServiceError) and compared is not None:
                await self._rehash(address, password, old=compared)
            return outcome

        outcome = await comparing_again(attempt)
        if isinstance(outcome, ServiceError):
            raise outcome
        return outcome

    async def create_credential(self, player_id: SubjectId, *, email: str, password: str) -> None:
        """Creates the credential of a player.

        Raises:
            PasswordTooCommonError: The password is one that attackers try first.
            LoginTakenError: Another credential uses the address, or the player has another one.
        """
        if passwords.is_common(password, email=email):
            raise PasswordTooCommonError
        address = normalised_email(email)
        async with self._database.snapshot() as connection:
            existing = await store.find_equal(connection, player_id, address)
        if existing is None:
            wanted = Credential(
                subject_id=player_id,
                kind=SubjectKind.PLAYER,
                email=address,
                password_hash=await self._hasher.hash(password),
                last_login_time=None,
                lockout=Lockout(),
            )
            existing = await self._add_or_find(wanted)
        if existing is None:
            return
        same = existing.subject_id == player_id and existing.email == address
        if not same or not await self._hasher.verify(password, existing.password_hash):
            raise LoginTakenError

    async def create_first_operator(self, *, email: str, password: str) -> None:
        """Creates an operator who may do everything, if there is no operator at all.

        Raises:
            FirstOperatorError: The password is too easy to guess, or the address is a player's.
        """
        async with self._database.snapshot() as connection:
            if await store.has_operator(connection):
                return
        if len(password) < passwords.LENGTH_MIN or passwords.is_common(password, email=email):
            raise FirstOperatorError(
                f"the password needs {passwords.LENGTH_MIN} characters and must not be a common one"
            )
        operator = Credential(
            subject_id=SubjectId(new_id()),
            kind=SubjectKind.OPERATOR,
            email=normalised_email(email),
            password_hash=await self._hasher.hash(password),
            last_login_time=None,
            lockout=Lockout(),
            roles=frozenset({ROLE_ADMIN}),
        )
        if await self._add_first_operator(operator):
            _log.info("first operator created", subject_id=operator.subject_id)

    @retry_on_race
    async def _decide(
        self,
        address: str,
        *,
        compared: str | None,
        proven: bool,
        totp_code: str,
        client_address: str,
    ) -> LoggedIn | ServiceError:
        """Returns a refusal instead of raising it: what it counts must be committed."""
        async with self._database.transaction() as connection:
            credential = await store.lock_by_email(connection, address)
            if credential is None:
                await self._proof.report_failure(connection, None, client_address, locked=False)
                return LoginRefusedError()
            if credential.password_hash != compared:
                raise HashReplacedError
            outcome = await self._proof.judge(
                connection,
                credential,
                proven=proven,
                totp_code=totp_code,
                client_address=client_address,
                refusal=LoginRefusedError(),
            )
            if isinstance(outcome, ServiceError):
                return outcome
            now = self._clock.now()
            await store.record_login(connection, credential.subject_id, login_time=now)
            login_session_id, tokens = await self._sessions.open(
                connection,
                credential,
                client_address=client_address,
                second_factor_time=now if outcome.second_factor else None,
            )
            await self._outbox.append(
                connection,
                login_succeeded={
                    "subject_id": credential.subject_id,
                    "login_session_id": login_session_id,
                    "client_address": client_address,
                },
            )
        return LoggedIn(
            tokens=tokens,
            subject_id=credential.subject_id,
            previous_login_time=credential.last_login_time,
        )

    @retry_on_race
    async def _add_or_find(self, wanted: Credential) -> Credential | None:
        """Stores a new credential, or returns the one that stands in its way."""
        async with self._database.transaction() as connection:
            existing = await store.find_equal(connection, wanted.subject_id, wanted.email)
            if existing is None:
                await store.add(connection, wanted, create_time=self._clock.now())
            return existing

    @retry_on_race
    async def _add_first_operator(self, operator: Credential) -> bool:
        async with self._database.transaction() as connection:
            if await store.has_operator(connection):
                return False
            existing = await store.find_equal(connection, operator.subject_id, operator.email)
            if existing is not None and existing.kind is SubjectKind.PLAYER:
                raise FirstOperatorError("the address belongs to a player")
            if existing is not None:
                # Another replica was faster, between this look and the one before.
                return False
            await store.add(connection, operator, create_time=self._clock.now())
            return True

    @retry_on_race
    async def _store_hash(self, address: str, *, old: str, new: str) -> None:
        async with self._database.transaction() as connection:
            await store.replace_password_hash(connection, address, old=old, new=new)

    async def _rehash(self, address: str, password: str, *, old: str) -> None:
        """Replaces a hash that was made with outdated parameters."""
        if self._hasher.is_outdated(old):
            await self._store_hash(address, old=old, new=await self._hasher.hash(password))
