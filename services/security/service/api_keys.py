"""API keys of providers."""

from dataclasses import replace
from datetime import datetime

import structlog

from services.kit.clock import Clock
from services.kit.database import Database, retry_on_race
from services.kit.errors import InvalidRequestError
from services.kit.ids import new_id
from services.security import opaque_tokens
from services.security.domain.api_keys import DEFAULT_LIFE, ApiKey, ApiKeyId
from services.security.domain.recovery import Operator
from services.security.errors import ApiKeyNotFoundError
from services.security.service.signed_in import require_signed_in
from services.security.store import api_keys as store

_log = structlog.get_logger()


class ApiKeys:
    """The keys by which providers prove who they are."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        """Takes where the keys are."""
        self._database = database
        self._clock = clock

    async def verify(self, secret: str) -> ApiKey:
        """Returns the record of a valid key.

        Raises:
            ApiKeyNotFoundError: It is unknown, expired or revoked.
        """
        api_key_id = opaque_tokens.api_key_id_of(secret)
        if api_key_id is None:
            raise ApiKeyNotFoundError
        async with self._database.snapshot() as connection:
            stored = await store.find(connection, api_key_id)
        if stored is None or not opaque_tokens.matches(secret, stored.secret_digest):
            raise ApiKeyNotFoundError
        if not stored.api_key.is_valid(self._clock.now()):
            raise ApiKeyNotFoundError
        return stored.api_key

    @retry_on_race
    async def create(
        self,
        provider_id: str,
        *,
        display_name: str,
        expire_time: datetime | None,
        operator: Operator,
    ) -> tuple[ApiKey, str]:
        """Makes a key and returns its record and its secret, which is stored nowhere.

        Raises:
            CredentialInvalidError: The operator's login session has ended.
            InvalidRequestError: It would have expired already.
        """
        now = self._clock.now()
        if expire_time is not None and expire_time <= now:
            raise InvalidRequestError({"expire_time": "must be in the future"})
        api_key = ApiKey(
            api_key_id=ApiKeyId(new_id()),
            provider_id=provider_id,
            display_name=display_name,
            create_time=now,
            expire_time=expire_time or now + DEFAULT_LIFE,
        )
        secret = opaque_tokens.new_api_key(api_key.api_key_id)
        async with self._database.transaction() as connection:
            await require_signed_in(connection, operator.login_session_id, clock=self._clock)
            await store.add(
                connection,
                api_key,
                secret_digest=opaque_tokens.digest_of(secret),
                operator_id=operator.operator_id,
            )
        _log.info(
            "api key created",
            api_key_id=api_key.api_key_id,
            provider_id=provider_id,
            operator_id=operator.operator_id,
        )
        return api_key, secret

    @retry_on_race
    async def revoke(self, api_key_id: ApiKeyId, *, operator: Operator) -> ApiKey:
        """Revokes a key; a key that is revoked stays as it is.

        Raises:
            CredentialInvalidError: The operator's login session has ended.
            ApiKeyNotFoundError: There is no such key.
        """
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await require_signed_in(connection, operator.login_session_id, clock=self._clock)
            stored = await store.find(connection, api_key_id, lock=True)
            if stored is None:
                raise ApiKeyNotFoundError
            if stored.api_key.revoke_time is not None:
                return stored.api_key
            await store.revoke(
                connection, api_key_id, revoke_time=now, operator_id=operator.operator_id
            )
        _log.info("api key revoked", api_key_id=api_key_id, operator_id=operator.operator_id)
        return replace(stored.api_key, revoke_time=now)
