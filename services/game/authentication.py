"""Proves providers by their API key, which Security knows."""

import asyncio
import hashlib
from datetime import timedelta

from cachetools import TLRUCache

from services.game.clients import KeyOwner, SecurityClient
from services.kit.call import Call, Caller
from services.kit.clock import MICROSECOND, Clock, to_micros
from services.kit.contract import Level
from services.kit.errors import CredentialInvalidError, CredentialMissingError
from services.kit.interceptors.authentication import client_address

HEADER = "x-api-key"

_KNOWN_FOR = timedelta(seconds=30)
_UNKNOWN_FOR = timedelta(seconds=2)
_CACHED_MAX = 10_000
# The longest that the contract of Security takes.
_KEY_CHARACTERS_MAX = 256

_Digest = bytes


class ApiKeyAuthenticator:
    """Asks Security whose a key is, and remembers the answer for some seconds.

    A revoked key works until its answer is forgotten. Answers are kept by the hash of the key, so
    that the keys themselves do not stay in memory.
    """

    def __init__(self, security: SecurityClient, *, clock: Clock) -> None:
        """Takes the service that knows, and the clock by which answers grow old."""
        self._security = security
        self._answers: TLRUCache[_Digest, KeyOwner | None] = TLRUCache(
            _CACHED_MAX, ttu=_good_until, timer=lambda: to_micros(clock.now())
        )
        self._asking: dict[_Digest, asyncio.Task[KeyOwner | None]] = {}

    async def authenticate(self, call: Call, *, service: str) -> Caller:
        """Returns the provider.

        Raises:
            CredentialMissingError: There is no key.
            CredentialInvalidError: It is unknown, expired or revoked.
            UnavailableError: Security does not answer, so nobody knows.
        """
        api_key = call.text(HEADER)
        if not api_key:
            raise CredentialMissingError(f"AUTH_LEVEL_{Level.PROVIDER.name}")
        if len(api_key) > _KEY_CHARACTERS_MAX:
            raise CredentialInvalidError
        owner = await self._owner(api_key)
        if owner is None:
            raise CredentialInvalidError
        return Caller(
            service=service, provider_id=owner.provider_id, client_address=client_address(call)
        )

    async def _owner(self, api_key: str) -> KeyOwner | None:
        digest = hashlib.sha256(api_key.encode()).digest()
        try:
            return self._answers[digest]
        except KeyError:
            pass
        # Calls that meet ask once. The question outlives the call that put it: the others wait.
        asking = self._asking.get(digest)
        if asking is None:
            asking = asyncio.create_task(self._ask(api_key, digest), name="verify api key")
            self._asking[digest] = asking
        return await asyncio.shield(asking)

    async def _ask(self, api_key: str, digest: _Digest) -> KeyOwner | None:
        try:
            owner = await self._security.find_key_owner(api_key)
            self._answers[digest] = owner
        finally:
            del self._asking[digest]
        return owner


def _good_until(digest: _Digest, owner: KeyOwner | None, now_micros: float) -> float:
    del digest
    if owner is None:
        return now_micros + _UNKNOWN_FOR / MICROSECOND
    until = now_micros + _KNOWN_FOR / MICROSECOND
    return until if owner.expire_time is None else min(until, to_micros(owner.expire_time))
