"""Follows the feed of another service exactly once."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from croupier.event.v1 import feed_service_pb2, feed_service_pb2_grpc
from croupier.event.v1.event_pb2 import Event
from prometheus_client import Counter, Gauge
from sqlalchemy import Table, and_, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit.clients import Peer, PeerFaultError
from services.kit.clock import Clock, from_timestamp
from services.kit.database import Database, retry_on_race
from services.kit.errors import RemoteError, ServiceError
from services.kit.feed.errors import (
    CursorMovedError,
    FeedStoppedError,
    IncarnationChangedError,
    SeqGapError,
)

FEED_SERVICE = feed_service_pb2.DESCRIPTOR.services_by_name["FeedService"].full_name
"""What the `Peer` of a follower serves."""

# Three heartbeats: a stream that is silent for longer is broken, whatever the connection says.
_SILENCE_MAX = timedelta(seconds=45)
_PAUSE_FIRST = timedelta(milliseconds=100)
_PAUSE_MAX = timedelta(seconds=5)
# So many failures in a row to handle events, and the service that follows is not healthy.
_FAULTS_MAX = 5

_Response = feed_service_pb2.SubscribeResponse
Handle = Callable[[AsyncConnection, Sequence[Event]], Awaitable[None]]
"""Derives something from events, at most 500, in the transaction that is given."""

_log = structlog.get_logger()
_FOLLOWED = Counter(
    "feed_follower_events", "Events that were handled, once each.", ["source", "shard"]
)
_SEQ = Gauge("feed_follower_seq", "The last event that was handled.", ["source", "shard"])
_LAG = Gauge(
    "feed_follower_lag_seconds",
    "Age of the last event when it had been handled; 0 once there was nothing more.",
    ["source", "shard"],
)
_CONNECTED = Gauge("feed_follower_connected", "1 while the source answers.", ["source", "shard"])
_STOPPED = Gauge(
    "feed_follower_stopped", "1 if the follower gave up and a human must look.", ["source", "shard"]
)


@dataclass(frozen=True, slots=True)
class Position:
    """How far a feed was followed."""

    seq: int
    """The last event that was handled; 0 for none."""
    incarnation: str
    """The log that it is of; empty until the source has told it."""
    event_time: datetime | None
    """When that event was committed; None for none."""


class Follower:
    """Follows one shard of the feed of one peer.

    Each message of the stream, at most 500 events, is one transaction: it moves the cursor from
    where it was and handles the events, or does neither. Two processes may follow with the same
    cursor: each event is handled by one of them.
    """

    def __init__(  # noqa: PLR0913 (the pauses are there for tests)
        self,
        peer: Peer,
        database: Database,
        cursors: Table,
        handle: Handle,
        *,
        clock: Clock,
        shard: int = 0,
        silence_max: timedelta = _SILENCE_MAX,
        pause_max: timedelta = _PAUSE_MAX,
    ) -> None:
        """Prepares to follow; `run` does it.

        Args:
            peer: Whose feed; its `services` must contain `FEED_SERVICE`.
            database: Where the cursor is, and all that `handle` writes.
            cursors: What `cursor_table` has declared.
            handle: Derives something from events, in the transaction that moves the cursor.
            clock: Tells how old events are.
            shard: Which shard of the peer's log.
            silence_max: After how long a silence the stream counts as broken.
            pause_max: The longest pause before the next try.
        """
        self._peer = peer
        self._stub = feed_service_pb2_grpc.FeedServiceStub(peer.channel)
        self._database = database
        self._cursors = cursors
        self._row = and_(cursors.c.source == peer.name, cursors.c.shard == shard)
        self._handle = handle
        self._clock = clock
        self._shard = shard
        self._silence_max_s = silence_max.total_seconds()
        self._pause_max_s = pause_max.total_seconds()
        self._failed_tries = 0
        self._faults = 0
        self._stopped: Exception | None = None
        labels = (peer.name, str(shard))
        self._followed, self._seq = _FOLLOWED.labels(*labels), _SEQ.labels(*labels)
        self._lag, self._connected = _LAG.labels(*labels), _CONNECTED.labels(*labels)
        self._stopped_gauge = _STOPPED.labels(*labels)

    async def run(self) -> None:
        """Follows until it is cancelled, which may happen at any point.

        A peer that is away, and a `handle` that raises, are tried again with growing pauses. It
        returns early only when going on would be wrong: the log is not the one that was followed,
        lacks events, or the peer refuses for good. `check` raises from then on.
        """
        while True:
            try:
                await self._follow()
                _log.info("feed ended", source=self._peer.name, shard=self._shard)
            except (RemoteError, IncarnationChangedError, SeqGapError) as error:
                self._stopped = error
                self._stopped_gauge.set(1)
                _log.critical(
                    "feed stopped", source=self._peer.name, shard=self._shard, error=repr(error)
                )
                return
            except (ServiceError, PeerFaultError, TimeoutError) as error:
                _log.warning(
                    "feed interrupted", source=self._peer.name, shard=self._shard, error=repr(error)
                )
            except CursorMovedError:
                _log.info("feed followed elsewhere", source=self._peer.name, shard=self._shard)
            except Exception:  # noqa: BLE001 (logged whole; what it derives is tried again)
                _log.exception("feed not handled", source=self._peer.name, shard=self._shard)
            finally:
                self._connected.set(0)
            await self._pause()

    async def check(self) -> None:
        """Raises if events are not being handled and waiting will not help; for `Server.require`.

        A peer that does not answer is not a fault here: what was derived so far stays true.

        Raises:
            FeedStoppedError: It stopped for good, or handling events fails again and again.
        """
        if self._stopped is not None:
            raise FeedStoppedError(f"{self._peer.name}/{self._shard}: {self._stopped!r}")
        if self._faults >= _FAULTS_MAX:
            raise FeedStoppedError(f"{self._peer.name}/{self._shard}: {self._faults} faults")

    async def position(self) -> Position:
        """Reads how far the feed was followed, as committed."""
        async with self._database.snapshot() as connection:
            return await self._read(connection) or Position(0, "", None)

    async def _follow(self) -> None:
        position = await self._cursor()
        self._seq.set(position.seq)
        request = feed_service_pb2.SubscribeRequest(
            after_seq=position.seq, incarnation=position.incarnation, shard=self._shard
        )
        async with aclosing(self._peer.follow(self._stub.Subscribe, request)) as stream:
            # The first message only tells the incarnation. It proves nothing about the events, so
            # the pauses keep growing while every one of them is followed by a failure.
            first = await self._next(stream)
            self._connected.set(1)
            position = await self._take(position, first)
            while (response := await self._next(stream)) is not None:
                position = await self._take(position, response)
                self._failed_tries = 0

    async def _next(self, stream: AsyncIterator[_Response]) -> _Response | None:
        async with asyncio.timeout(self._silence_max_s):
            return await anext(stream, None)

    async def _take(self, position: Position, response: _Response | None) -> Position:
        if response is None:
            return position
        if position.incarnation not in ("", response.incarnation):
            raise IncarnationChangedError(incarnation=response.incarnation)
        events = response.events
        if not events:
            self._lag.set(0)
            return position
        for expected, event in enumerate(events, start=position.seq + 1):
            if event.seq != expected:
                raise SeqGapError(f"expected event {expected}, got {event.seq}")
        event_time = from_timestamp(events[-1].create_time)
        taken = Position(events[-1].seq, response.incarnation, event_time)
        # A failure to commit counts as well; a cancellation is nobody's fault.
        try:
            await self._commit(position, taken, events)
        except Exception as error:
            self._faults += not isinstance(error, CursorMovedError)
            raise
        self._faults = 0
        self._followed.inc(len(events))
        self._seq.set(taken.seq)
        self._lag.set((self._clock.now() - event_time).total_seconds())
        return taken

    async def _commit(self, position: Position, taken: Position, events: Sequence[Event]) -> None:
        async with self._database.transaction() as connection:
            # First the cursor, whose lock keeps a second follower from doing the work twice.
            moved = await connection.execute(
                update(self._cursors)
                .where(
                    self._row,
                    self._cursors.c.seq == position.seq,
                    self._cursors.c.incarnation == position.incarnation,
                )
                .values(seq=taken.seq, incarnation=taken.incarnation, event_time=taken.event_time)
            )
            if moved.rowcount != 1:
                raise CursorMovedError
            await self._handle(connection, events)

    @retry_on_race
    async def _cursor(self) -> Position:
        async with self._database.transaction() as connection:
            found = await self._read(connection)
            if found is None:
                found = Position(0, "", None)
                await connection.execute(
                    insert(self._cursors).values(
                        source=self._peer.name,
                        shard=self._shard,
                        seq=found.seq,
                        incarnation=found.incarnation,
                        event_time=found.event_time,
                    )
                )
            return found

    async def _read(self, connection: AsyncConnection) -> Position | None:
        row = (
            await connection.execute(
                select(
                    self._cursors.c.seq, self._cursors.c.incarnation, self._cursors.c.event_time
                ).where(self._row)
            )
        ).one_or_none()
        return None if row is None else Position(*row)

    async def _pause(self) -> None:
        longest = min(self._pause_max_s, _PAUSE_FIRST.total_seconds() * 2**self._failed_tries)
        self._failed_tries = min(self._failed_tries + 1, 10)
        # Jitter, so that the followers of a peer that restarts do not come back all at once.
        await asyncio.sleep(random.uniform(longest / 2, longest))  # noqa: S311 (jitter)
