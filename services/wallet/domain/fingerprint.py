"""The fingerprint of an operation's content: what makes a repeated key a replay or an error."""

import hashlib
import struct
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from services.wallet.domain.operations import OPERATIONS, Operation, SetRestriction

_VERSION = b"\x01"
_LENGTH = struct.Struct(">I").pack
_ABSENT = b"\xff\xff\xff\xff"


def _encode(value: Any) -> bytes:
    if value is None:
        return _ABSENT
    # Booleans and enums are integers; `%d` writes them all alike.
    kind = type(value)
    body = value.encode() if kind is str else value if kind is bytes else b"%d" % value
    return _LENGTH(len(body)) + body


_CONTENT: dict[type[Operation], Callable[[Operation], tuple[Any, ...]]] = {
    kind: attrgetter("key.source", "KIND", *kind.CONTENT) for kind in OPERATIONS
}
# Words that were content once, and that nobody ever said: fingerprints of then must stay.
_EMPTY_WORDS: dict[type[Operation], bytes] = {SetRestriction: 2 * _encode("")}


def fingerprint(operation: Operation) -> bytes:
    """Digests source, kind and content, each with its length before it, in a fixed order."""
    content = _CONTENT[type(operation)](operation)
    digest = hashlib.blake2b(_VERSION, digest_size=16)
    digest.update(b"".join(map(_encode, content)))
    digest.update(_EMPTY_WORDS.get(type(operation), b""))
    return digest.digest()
