"""Serves logs of events as `croupier.event.v1.FeedService`."""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

from croupier.event.v1 import feed_service_pb2, feed_service_pb2_grpc
from croupier.event.v1.event_pb2 import Event

from services.kit.call import caller
from services.kit.errors import InvalidRequestError, UnavailableError
from services.kit.feed.errors import IncarnationChangedError, SeqNotAvailableError
from services.kit.feed.source import EventSource, Head, PrunedSource

PAGE_EVENTS_MAX = 500
_PAGE_BYTES_MAX = 1_000_000
_HEARTBEAT = timedelta(seconds=15)
# A stream of a log that is pruned ends by itself after this. Its follower comes back at once with
# its cursor, which tells how far it is.
_STREAM_LIFE = timedelta(hours=1)
# How often a stream that waits for events looks whether the server drains.
_SLICE = timedelta(milliseconds=500)
# How long what follows a page is left to gather. A quiet log is told at once; a busy one in pages
# that hold many commits, since each page costs the source a read and the follower a commit.
_GATHER = timedelta(milliseconds=50)


class FeedServicer(feed_service_pb2_grpc.FeedServiceServicer):
    """Streams the events of one service to its followers.

    A follower that is slow holds its stream back, and with it the reading of further pages; the
    server keeps no queue for anybody.
    """

    def __init__(
        self,
        *shards: EventSource,
        heartbeat: timedelta = _HEARTBEAT,
        stream_life: timedelta = _STREAM_LIFE,
    ) -> None:
        """Takes the logs to serve.

        Args:
            *shards: The log of each shard; most services have one.
            heartbeat: After how long a silence the follower gets a sign of life.
            stream_life: After how long a follower must say again how far it is, if the log is
                pruned.
        """
        self._shards = shards
        self._heartbeat_s = heartbeat.total_seconds()
        self._stream_life_s = stream_life.total_seconds()
        self._draining = False

    def drain(self) -> None:
        """Ends all streams soon, for `Server.on_drain`: by themselves they never would."""
        self._draining = True

    async def Subscribe(
        self, request: feed_service_pb2.SubscribeRequest, context: Any
    ) -> AsyncIterator[feed_service_pb2.SubscribeResponse]:
        """Streams all events after a cursor, then waits for more.

        Raises:
            InvalidRequestError: There is no such shard.
            IncarnationChangedError: The log is not the one that the follower has read.
            SeqNotAvailableError: Events after the cursor are missing, or it is ahead of the log.
            UnavailableError: The server is draining.
        """
        del context
        if self._draining:
            raise UnavailableError(dependency="feed")
        if request.shard >= len(self._shards):
            raise InvalidRequestError({"shard": f"the log has {len(self._shards)} shards"})
        source = self._shards[request.shard]
        incarnation, seq = request.incarnation, request.after_seq
        acknowledged = False
        end = math.inf
        while not self._over(end):
            # Also after a silence: the log may be another one by now.
            head = await source.head()
            incarnation = incarnation or head.incarnation
            _check(head, incarnation=incarnation, after_seq=seq)
            if isinstance(source, PrunedSource) and not acknowledged:
                # Only what the request says: what is sent now may never be handled.
                await source.acknowledge(caller().service, seq=seq)
                acknowledged = True
                end = asyncio.get_running_loop().time() + self._stream_life_s
            # At the begin too: the follower learns the incarnation before it handles anything.
            yield feed_service_pb2.SubscribeResponse(incarnation=incarnation)
            async for page in self._pages(source, after_seq=seq, end=end):
                seq = page[-1].seq
                yield feed_service_pb2.SubscribeResponse(events=page, incarnation=incarnation)

    def _over(self, end: float) -> bool:
        return self._draining or asyncio.get_running_loop().time() >= end

    async def _pages(
        self, source: EventSource, *, after_seq: int, end: float
    ) -> AsyncIterator[Sequence[Event]]:
        """Reads on until the stream is over, or nothing was new for as long as a heartbeat."""
        seq = after_seq
        while not self._over(end):
            events = await source.read_page(after_seq=seq, limit=PAGE_EVENTS_MAX)
            page = _bounded(events)
            if page:
                if page[0].seq != seq + 1:
                    # Pruned while the stream was ahead of it.
                    head = await source.head()
                    raise SeqNotAvailableError(first_seq=head.first_seq, last_seq=head.last_seq)
                seq = page[-1].seq
                yield page
                if len(page) == len(events) < PAGE_EVENTS_MAX:
                    await asyncio.sleep(_GATHER.total_seconds())
            elif not await self._waited_for(source, seq + 1):
                return

    async def _waited_for(self, source: EventSource, seq: int) -> bool:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._heartbeat_s
        while not self._draining:
            left = timedelta(seconds=end - loop.time())
            if left <= timedelta():
                return False
            if await source.wait_for(seq, within=min(_SLICE, left)):
                return True
        return False


def _check(head: Head, *, incarnation: str, after_seq: int) -> None:
    if incarnation != head.incarnation:
        raise IncarnationChangedError(incarnation=head.incarnation)
    if not head.first_seq - 1 <= after_seq <= head.last_seq:
        raise SeqNotAvailableError(first_seq=head.first_seq, last_seq=head.last_seq)


def _bounded(events: Sequence[Event]) -> Sequence[Event]:
    """Cuts a page so that its message stays well below what a client takes."""
    total = 0
    for count, event in enumerate(events):
        total += event.ByteSize()
        if total > _PAGE_BYTES_MAX and count:
            return events[:count]
    return events
