"""The hash by which a repeat of a registration is recognized."""

import asyncio
import json

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from services.player.domain import Application

# Each takes 64 MiB and a core for a moment; further ones wait their turn.
_AT_ONCE_MAX = 2


class ContentHasher:
    """Hashes what came with a request id, slowly and with salt: there is a password in it.

    A fast hash would let whoever steals the database try passwords faster than against the
    credentials themselves. The parameters are Argon2id's of RFC 9106 for small memory.
    """

    def __init__(self) -> None:
        """Prepares the hasher."""
        self._hasher = PasswordHasher()
        self._turns = asyncio.Semaphore(_AT_ONCE_MAX)

    async def hash(self, application: Application) -> str:
        """Returns a hash of the content, with its salt and parameters."""
        async with self._turns:
            return await asyncio.to_thread(self._hasher.hash, _rendered(application))

    async def matches(self, application: Application, content_hash: str) -> bool:
        """Tells whether the content is the one that was hashed."""
        async with self._turns:
            try:
                return await asyncio.to_thread(
                    self._hasher.verify, content_hash, _rendered(application)
                )
            except VerifyMismatchError:
                return False


def _rendered(application: Application) -> bytes:
    # JSON keeps the fields apart: no two contents have the same text.
    return json.dumps(application.content, ensure_ascii=False).encode()
