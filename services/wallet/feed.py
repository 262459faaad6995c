"""The ledger's log as a feed that other services follow: the transfers are the events."""

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import timedelta
from itertools import islice

from croupier.event.v1.event_pb2 import Event

from services.kit.errors import UnavailableError
from services.kit.feed import Head
from services.wallet.messages import event_message
from services.wallet.service import WalletService

# Followers are close to the head and to each other: what one has read, the next one wants.
_KEPT_EVENTS_MAX = 1_000


class LedgerFeed:
    """An `EventSource` over the transfers of one shard; nothing is ever pruned from it.

    The newest events stay in memory, so that each is read and rendered once for all followers.
    """

    def __init__(self, service: WalletService, *, shard: int = 0) -> None:
        """Takes the ledger and the shard."""
        self._service = service
        self._shard = shard
        self._newest: deque[Event] = deque(maxlen=_KEPT_EVENTS_MAX)

    async def head(self) -> Head:
        """Returns what the log has."""
        head = await self._service.get_log_head(self._shard)
        if head is None:
            raise UnavailableError(dependency=f"shard {self._shard}")
        return Head(incarnation=head.incarnation, first_seq=1, last_seq=head.last_seq)

    async def read_page(self, *, after_seq: int, limit: int) -> Sequence[Event]:
        """Returns the transfers that follow `after_seq`."""
        newest = self._newest
        if newest and newest[0].seq <= after_seq + 1 <= newest[-1].seq:
            start = after_seq + 1 - newest[0].seq
            return list(islice(newest, start, start + limit))
        postings = await self._service.read_log(after_seq=after_seq, limit=limit, shard=self._shard)
        events = [event_message(posting) for posting in postings]
        self._keep(events)
        return events

    def _keep(self, events: Sequence[Event]) -> None:
        """Keeps events that continue those in memory, or that lie beyond them."""
        newest = self._newest
        if not events or (newest and events[0].seq <= newest[-1].seq):
            return
        if newest and events[0].seq != newest[-1].seq + 1:
            newest.clear()
        newest.extend(events)

    async def wait_for(self, seq: int, *, within: timedelta) -> bool:
        """Waits until the log has transfer `seq`; the writer wakes it right after its commit."""
        try:
            async with asyncio.timeout(within.total_seconds()):
                await self._service.wait_for_seq(seq)
        except TimeoutError:
            return False
        return True
