"""The hash by which a repeat of a registration is recognized."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from services.kit.errors import OverloadedError
from services.player.domain import Application

# OWASP's first choice for Argon2id: 46 MiB, one pass, one lane.
_MEMORY_KIB = 47_104
# Each takes that memory and a core for a moment. Further ones wait, and still further ones leave.
_AT_ONCE_MAX = 2
_WAITING_MAX = 64
_RETRY_AFTER = timedelta(seconds=1)

T = TypeVar("T")


class ContentHasher:
    """Hashes what came with a request id, slowly and with salt: there is a password in it.

    A fast hash would let whoever steals the database try passwords faster than against the
    credentials themselves.
    """

    def __init__(self, *, waiting_max: int = _WAITING_MAX) -> None:
        """Prepares the hasher.

        Args:
            waiting_max: How many may wait for their turn.
        """
        self._hasher = PasswordHasher(time_cost=1, memory_cost=_MEMORY_KIB, parallelism=1)
        self._turns = asyncio.Semaphore(_AT_ONCE_MAX)
        self._calls_max = _AT_ONCE_MAX + waiting_max
        self._calls = 0

    async def hash(self, application: Application) -> str:
        """Returns a hash of the content, with its salt and parameters.

        Raises:
            OverloadedError: Too many wait already.
        """
        content = _rendered(application)
        return await self._in_turn(lambda: self._hasher.hash(content))

    async def matches(self, application: Application, content_hash: str) -> bool:
        """Tells whether the content is the one that was hashed.

        Raises:
            OverloadedError: Too many wait already.
        """
        content = _rendered(application)
        try:
            return await self._in_turn(lambda: self._hasher.verify(content_hash, content))
        except VerifyMismatchError:
            return False

    async def _in_turn(self, work: Callable[[], T]) -> T:
        if self._calls >= self._calls_max:
            raise OverloadedError(retry_after=_RETRY_AFTER)
        self._calls += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(work)
        finally:
            self._calls -= 1


def _rendered(application: Application) -> bytes:
    # JSON keeps the fields apart: no two contents have the same text.
    return json.dumps(application.content, ensure_ascii=False).encode()
