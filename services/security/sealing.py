"""Sealing: what is stored secret and must be read again, encrypted under a key outside the store.

The key-encryption key lies in a file, so that neither the database nor a backup of it opens
anything. AES-256-GCM; each sealed value is bound to the row that it was made for.
"""

import base64
import hashlib
import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY_BYTES = 32
_KEY_ID_BYTES = 8
_NONCE_BYTES = 12
_STANDARD = str.maketrans("-_", "+/")
_VERSION = b"\x01"
_HEADER_BYTES = len(_VERSION) + _KEY_ID_BYTES + _NONCE_BYTES


class SealBrokenError(Exception):
    """A sealed value was made under another key or for another row, or was changed since."""


class KeyFileError(Exception):
    """The file of the key-encryption key is missing or does not hold one."""


class Sealer:
    """Seals under the newest key-encryption key, and opens under any."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Takes the keys, newest first; at least one."""
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self._newest = _key_id(keys[0])

    def seal(self, plain: bytes, *, row: str) -> bytes:
        """Encrypts a value for one row, named such that no other row has the same name."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        encrypted = self._ciphers[self._newest].encrypt(nonce, plain, row.encode())
        return _VERSION + self._newest + nonce + encrypted

    def open(self, sealed: bytes, *, row: str) -> bytes:
        """Decrypts what `seal` made for the same row.

        Raises:
            SealBrokenError: It cannot be trusted, or its key is not in the file.
        """
        key_id = sealed[len(_VERSION) : len(_VERSION) + _KEY_ID_BYTES]
        nonce = sealed[len(_VERSION) + _KEY_ID_BYTES : _HEADER_BYTES]
        cipher = self._ciphers.get(key_id)
        if cipher is None or not sealed.startswith(_VERSION):
            raise SealBrokenError(f"{row}: no key-encryption key opens it")
        try:
            return cipher.decrypt(nonce, sealed[_HEADER_BYTES:], row.encode())
        except InvalidTag:
            raise SealBrokenError(f"{row}: it was changed or moved") from None


def load(path: Path) -> Sealer:
    """Reads the key-encryption keys: base64, one a line, newest first.

    Raises:
        KeyFileError: The file is missing, or a line is not a key of 32 bytes.
    """
    if not path.exists():
        raise KeyFileError(f"{path} is missing")
    keys = [
        _decoded(path, line) for line in path.read_text(encoding="utf-8", errors="replace").split()
    ]
    if not keys:
        raise KeyFileError(f"{path} holds no key")
    return Sealer(keys)


def _decoded(path: Path, line: str) -> bytes:
    try:
        # Either alphabet: tools that make such keys differ.
        key = base64.b64decode(line.translate(_STANDARD), validate=True)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise KeyFileError(f"{path} holds a line that is not {_KEY_BYTES} bytes in base64")
    return key


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"key id" + key).digest()[:_KEY_ID_BYTES]
