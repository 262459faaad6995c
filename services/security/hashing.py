"""Password hashing: Argon2id in a few threads, so that the event loop never waits for it."""

import asyncio
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import TypeVar

import argon2
from argon2.exceptions import VerifyMismatchError
from prometheus_client import Histogram

from services.kit import telemetry
from services.kit.errors import OverloadedError
from services.security.domain.credentials import normalised_password

_RETRY_AFTER = timedelta(seconds=1)
_DURATION = Histogram(
    "password_hash_duration_seconds",
    "How long a password was hashed, to be stored or to be compared; waiting is not included.",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2),
)

T = TypeVar("T")


class PasswordHasher:
    """Hashes and verifies passwords. The work under way and waiting is bounded."""

    def __init__(
        self, *, memory_kib: int, passes: int, lanes: int, threads: int, waiting_max: int
    ) -> None:
        """Starts the threads, and hashes once, for the comparisons that have nothing to compare.

        Args:
            memory_kib: Memory of one hash, in KiB.
            passes: How often it is passed over.
            lanes: Threads of one hash.
            threads: How many hashes are computed at once.
            waiting_max: How many more may wait; a further one is refused.
        """
        self._argon2 = argon2.PasswordHasher(
            time_cost=passes, memory_cost=memory_kib, parallelism=lanes
        )
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._accepted_max = threads + waiting_max
        self._accepted = 0
        self._counting = threading.Lock()
        self._nobodys_hash = self._argon2.hash(secrets.token_urlsafe())

    async def hash(self, password: str) -> str:
        """Hashes a password to be stored.

        Raises:
            OverloadedError: Too many wait already.
        """
        plain = normalised_password(password)
        return await self._run(lambda: self._argon2.hash(plain))

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Compares a password with a hash.

        Without a hash it computes one all the same and answers no, so that an address without a
        credential takes as long as one with.

        Raises:
            OverloadedError: Too many wait already.
        """
        plain = normalised_password(password)
        compared = self._nobodys_hash if password_hash is None else password_hash

        def matches() -> bool:
            try:
                return self._argon2.verify(compared, plain)
            except VerifyMismatchError:
                return False

        return await self._run(matches) and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Tells whether a hash was made with other parameters than today's."""
        return self._argon2.check_needs_rehash(password_hash)

    def close(self) -> None:
        """Ends the threads; what waits is not computed any more."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        with self._counting:
            if self._accepted >= self._accepted_max:
                raise OverloadedError(retry_after=_RETRY_AFTER)
            self._accepted += 1

        def measured() -> T:
            with _DURATION.time():
                return work()

        with telemetry.span("hash password"):
            # Counted until the thread is done: a caller that goes away does not stop it.
            future = self._executor.submit(measured)
            future.add_done_callback(self._leave)
            return await asyncio.wrap_future(future)

    def _leave(self, future: "Future[T]") -> None:
        del future
        with self._counting:
            self._accepted -= 1
