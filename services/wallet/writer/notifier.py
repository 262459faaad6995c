"""Wakes those who wait for a commit. The newest value wins: nobody's slowness is queued."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from services.wallet.domain.values import PlayerId
from services.wallet.store import Balance

WATCHES_MAX = 100_000


class TooManyWatchesError(Exception):
    """The process serves as many watches as it will."""


class Watch:
    """The newest balances of one player that one reader has not seen yet."""

    def __init__(self) -> None:
        self._fresh: dict[str, Balance] = {}
        self._arrived = asyncio.Event()

    def put(self, balance: Balance) -> None:
        """Replaces what the reader has not fetched."""
        self._fresh[balance.currency_code] = balance
        self._arrived.set()

    async def take(self) -> list[Balance]:
        """Waits until something is fresh and returns all of it, oldest change first."""
        await self._arrived.wait()
        fresh, self._fresh = self._fresh, {}
        self._arrived.clear()
        return sorted(fresh.values(), key=lambda balance: balance.seq)


class Notifier:
    """Tells watchers of players and followers of the log about commits."""

    def __init__(self) -> None:
        self._watches: dict[PlayerId, set[Watch]] = {}
        self._count = 0
        self.last_seq = 0
        self._advanced: asyncio.Future[None] | None = None

    def publish(self, last_seq: int, balances: Iterable[Balance]) -> None:
        """Announces a commit."""
        self.last_seq = max(self.last_seq, last_seq)
        if self._watches:
            for balance in balances:
                for watch in self._watches.get(balance.player_id, ()):
                    watch.put(balance)
        advanced, self._advanced = self._advanced, None
        if advanced is not None and not advanced.done():
            advanced.set_result(None)

    @contextmanager
    def watch(self, player_id: PlayerId) -> Iterator[Watch]:
        """Watches a player for as long as the block lasts."""
        if self._count >= WATCHES_MAX:
            raise TooManyWatchesError
        watch = Watch()
        self._watches.setdefault(player_id, set()).add(watch)
        self._count += 1
        try:
            yield watch
        finally:
            self._count -= 1
            watches = self._watches[player_id]
            watches.discard(watch)
            if not watches:
                del self._watches[player_id]

    async def wait_beyond(self, seq: int) -> None:
        """Returns once the log reaches beyond a seq."""
        while self.last_seq <= seq:
            if self._advanced is None:
                self._advanced = asyncio.get_running_loop().create_future()
            # Shared by all followers: one that goes away must not cancel it for the others.
            await asyncio.shield(self._advanced)
