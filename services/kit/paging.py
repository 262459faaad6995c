"""Opaque page tokens: the position after a page, bound to the query that made it."""

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence

from services.kit.errors import PageTokenInvalidError

_TAG_BYTES = 8
_INT64 = 2**63


def page_token(position: Sequence[int | str], *, query: Sequence[int | str]) -> str:
    """Makes the token for the page that begins after `position`.

    Args:
        position: The sort key of the last row of this page.
        query: What the rows were selected by; the token is good for the same only.
    """
    body = json.dumps(list(position), separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_tag(body, query) + body).decode().rstrip("=")


def page_position(
    token: str, *, query: Sequence[int | str], shape: Sequence[type[int] | type[str]]
) -> list[int | str] | None:
    """Returns the position that a token holds; None for the first page, which has no token.

    Args:
        token: What the caller has sent, whoever has made it.
        query: What the rows are selected by.
        shape: The types of the sort key. Integers fit into 64 bits, as those of rows do.

    Raises:
        PageTokenInvalidError: It was not made for this query.
    """
    if not token:
        return None
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        tag, body = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
        if not hmac.compare_digest(tag, _tag(body, query)):
            raise PageTokenInvalidError
        position = json.loads(body)
    except (ValueError, RecursionError):
        raise PageTokenInvalidError from None
    if not isinstance(position, list) or [type(each) for each in position] != list(shape):
        raise PageTokenInvalidError
    if any(isinstance(each, int) and not -_INT64 <= each < _INT64 for each in position):
        raise PageTokenInvalidError
    return position


def _tag(body: bytes, query: Sequence[int | str]) -> bytes:
    # Not a secret: a forged position shows nothing that the query itself would not. The tag
    # catches a token that is carried over to another query, which would skip rows in silence.
    bound = json.dumps(list(query), separators=(",", ":")).encode()
    return hashlib.blake2b(bound + b"\0" + body, digest_size=_TAG_BYTES).digest()
