"""Refresh tokens, reset tokens and API keys: 256 random bits each, stored as a digest.

A plain SHA-256 is enough for them, other than for passwords: nobody can try 2**256 of them.
"""

import hashlib
import hmac
import secrets

from services.kit.ids import is_canonical_uuid
from services.security.domain.api_keys import ApiKeyId

_RANDOM_BYTES = 32
_API_KEY_PREFIX = "ck"
_SEPARATOR = "_"


def new_refresh_token() -> str:
    """Makes a refresh token."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


def new_reset_token() -> str:
    """Makes the token of a password reset."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


def new_api_key(api_key_id: ApiKeyId) -> str:
    """Makes the secret of an API key: `ck_<id>_<random>`, found by its id."""
    return _SEPARATOR.join((_API_KEY_PREFIX, api_key_id, secrets.token_urlsafe(_RANDOM_BYTES)))


def api_key_id_of(secret: str) -> ApiKeyId | None:
    """Reads the id out of an API key; None if it is not one of ours."""
    prefix, _, rest = secret.partition(_SEPARATOR)
    api_key_id, _, random = rest.partition(_SEPARATOR)
    if prefix != _API_KEY_PREFIX or not is_canonical_uuid(api_key_id) or not random:
        return None
    return ApiKeyId(api_key_id)


def digest_of(token: str) -> bytes:
    """Returns what is stored of a token."""
    return hashlib.sha256(token.encode()).digest()


def matches(token: str, digest: bytes) -> bool:
    """Compares a token with a stored digest, in a time that does not depend on either."""
    return hmac.compare_digest(digest_of(token), digest)
