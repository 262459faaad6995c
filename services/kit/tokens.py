"""Access tokens: verified with the public keys of Security, in every service, on every call.

The edge has verified them already; a service that trusts a header from the network is one
misconfiguration away from serving anybody.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import jwt
from cachetools import LRUCache

from services.kit.call import Call, Caller
from services.kit.contract import Level
from services.kit.errors import (
    CallerNotAllowedError,
    CredentialInvalidError,
    CredentialMissingError,
    TokenExpiredError,
)
from services.kit.interceptors.authentication import client_address

ALGORITHM = "ES256"
ISSUER = "croupier"
AUDIENCE = "croupier"
KIND_PLAYER = "player"
KIND_OPERATOR = "operator"
_KINDS = {
    Level.PLAYER: frozenset({KIND_PLAYER}),
    Level.OPERATOR: frozenset({KIND_OPERATOR}),
    Level.SUBJECT: frozenset({KIND_PLAYER, KIND_OPERATOR}),
}

_CACHED_MAX = 10_000
_KEYS_MAX_AGE_S = 300.0
_KEYS_MIN_AGE_S = 2.0
_BEARER = "Bearer "

KeySource = Callable[[], Awaitable[Mapping[str, Any]]]


class TokenVerifier:
    """Knows the keys and remembers tokens that it has verified, until they expire."""

    def __init__(self, fetch_keys: KeySource) -> None:
        """Takes the way to get the key set; it is asked when a key is first needed.

        Args:
            fetch_keys: Returns a JSON Web Key Set.
        """
        self._fetch_keys = fetch_keys
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = -_KEYS_MAX_AGE_S
        self._fetching = asyncio.Lock()
        self._verified: LRUCache[str, tuple[float, Mapping[str, Any]]] = LRUCache(_CACHED_MAX)

    async def claims(self, token: str) -> Mapping[str, Any]:
        """Verifies a token and returns its claims.

        Raises:
            CredentialInvalidError: It is malformed, forged, or of another issuer or audience.
            TokenExpiredError: It was valid.
        """
        known = self._verified.get(token)
        if known is not None:
            if known[0] <= time.time():  # house: allow time-from-clock (as PyJWT)
                raise TokenExpiredError
            return known[1]
        try:
            key = await self._key(str(jwt.get_unverified_header(token).get("kid", "")))
            claims = jwt.decode(
                token,
                key=key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={"require": ["exp", "iat", "sub", "sid", "kind"]},
            )
        except jwt.ExpiredSignatureError:
            raise TokenExpiredError from None
        except jwt.PyJWTError:
            raise CredentialInvalidError from None
        self._verified[token] = (float(claims["exp"]), claims)
        return claims

    async def _key(self, key_id: str) -> jwt.PyJWK:
        age = time.monotonic() - self._fetched_at
        if age > _KEYS_MAX_AGE_S or (key_id not in self._keys and age > _KEYS_MIN_AGE_S):
            async with self._fetching:
                await self._refresh(key_id)
        found = self._keys.get(key_id)
        if found is None:
            raise CredentialInvalidError
        return found

    async def _refresh(self, key_id: str) -> None:
        age = time.monotonic() - self._fetched_at
        if age <= _KEYS_MIN_AGE_S or (age <= _KEYS_MAX_AGE_S and key_id in self._keys):
            return  # somebody else refreshed while this call waited
        key_set = await self._fetch_keys()
        self._keys = {key["kid"]: jwt.PyJWK(dict(key), ALGORITHM) for key in key_set["keys"]}
        self._fetched_at = time.monotonic()


class TokenAuthenticator:
    """Proves players, operators or either by their access token."""

    def __init__(self, verifier: TokenVerifier, *, level: Level) -> None:
        """Chooses whom the token may name.

        Args:
            verifier: Verifies tokens; one for the whole server.
            level: `PLAYER`, `OPERATOR`, or `SUBJECT` for either.
        """
        self._verifier = verifier
        self._level = level
        self._kinds = _KINDS[level]

    async def authenticate(self, call: Call, *, service: str) -> Caller:
        """Returns the token's subject.

        Raises:
            CredentialMissingError: There is no bearer token.
            CredentialInvalidError: It is not valid.
            TokenExpiredError: It was valid.
            CallerNotAllowedError: It is valid, and names another kind of subject.
        """
        given = call.text("authorization")
        if not given.startswith(_BEARER):
            raise CredentialMissingError(f"AUTH_LEVEL_{self._level.name}")
        claims = await self._verifier.claims(given[len(_BEARER) :])
        if claims["kind"] not in self._kinds:
            # Not a fault of the token: a client that were told so would log in again, for nothing.
            raise CallerNotAllowedError(caller=claims["sub"], method=call.method.full_name)
        return Caller(
            service=service,
            subject_id=claims["sub"],
            roles=frozenset(claims.get("roles", ())),
            login_session_id=claims["sid"],
            expire_time=datetime.fromtimestamp(claims["exp"], UTC),
            client_address=client_address(call),
        )


def token_authenticators(fetch_keys: KeySource) -> dict[Level, TokenAuthenticator]:
    """Builds what a server needs for methods of the levels PLAYER, OPERATOR and SUBJECT."""
    verifier = TokenVerifier(fetch_keys)
    return {level: TokenAuthenticator(verifier, level=level) for level in _KINDS}
