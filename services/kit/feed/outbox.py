"""The log of what happened in a service, written in the transactions that made it happen."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from croupier.event.v1.event_pb2 import Event
from google.protobuf.message import Message
from sqlalchemy import case, delete, event, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit import telemetry
from services.kit.clock import Clock
from services.kit.columns import UtcMicros
from services.kit.database import Database, retry_on_race, upsert
from services.kit.feed.errors import SeqNotAvailableError
from services.kit.feed.source import Head
from services.kit.feed.tables import HEAD_ID, OutboxTables
from services.kit.ids import new_id

_APPENDED = "outbox_appended"
# How late a reader learns of what another process committed; what this process commits wakes its
# readers at once.
_POLL = timedelta(milliseconds=100)
PRUNED_MAX = 1000
"""How many events one transaction deletes at most: on SQLite nobody else writes meanwhile."""


class Outbox:
    """A service's log; an `EventSource` for `FeedServicer`."""

    def __init__(
        self, database: Database, tables: OutboxTables, *, clock: Clock, poll: timedelta = _POLL
    ) -> None:
        """Takes the database in which the service's own changes are committed.

        Args:
            database: The service's database.
            tables: What `outbox_tables` has declared.
            clock: Gives the events their time.
            poll: How often readers look for what other processes have committed.
        """
        self._database = database
        self._event = tables.event
        self._head = tables.head
        self._consumer = tables.consumer
        self._clock = clock
        self._poll_s = poll.total_seconds()
        self._wake = asyncio.Event()
        # A connection comes back to the pool right after its transaction has ended. That it may
        # have been rolled back does no harm: a reader that wakes looks for itself.
        event.listen(database.engine.sync_engine, "checkin", self._returned)

    async def append(
        self, connection: AsyncConnection, **payload: Message | Mapping[str, object]
    ) -> int:
        """Appends one event to the log, as part of the transaction of `connection`.

        It locks the head of the log until the transaction ends, which is what makes `seq` dense and
        equal to the order of commits, so it should be the last thing that a transaction does: other
        appending transactions wait for it, and locks are taken in the same order everywhere.

        Args:
            connection: What `database.transaction()` gave.
            **payload: The one payload, by its name in `croupier.event.v1.Event`, as in
                `player_blocked={"player_id": …, "reason": …}`.

        Returns:
            The event's `seq`.

        Raises:
            ValueError: There is no such payload or field, or not exactly one payload.
        """
        built = Event(**payload)  # type: ignore[arg-type] # the names are checked at run time
        kind = built.WhichOneof("payload")
        if kind is None or len(payload) != 1:
            raise ValueError(f"not exactly one payload: {', '.join(payload) or 'none'}")
        connection.info[_APPENDED] = True
        now = literal(self._clock.now(), UtcMicros)
        last_time = self._head.c.last_create_time
        moved = await connection.execute(
            update(self._head)
            .where(self._head.c.id == HEAD_ID)
            .values(
                last_seq=self._head.c.last_seq + 1,
                last_create_time=case((last_time > now, last_time), else_=now),
            )
            .returning(self._head.c.last_seq, last_time)
        )
        seq, create_time = moved.one()
        await connection.execute(
            insert(self._event).values(
                seq=seq,
                create_time=create_time,
                trace_id=telemetry.current_trace_id(),
                kind=kind,
                payload=built.SerializeToString(),
            )
        )
        return int(seq)

    async def begin_incarnation(self, connection: AsyncConnection) -> str:
        """Marks the log as restored from a backup, so that followers stop, and returns the mark.

        What was committed after the backup is lost here, and followers have derived from it.
        """
        incarnation = new_id()
        await connection.execute(
            update(self._head).where(self._head.c.id == HEAD_ID).values(incarnation=incarnation)
        )
        return incarnation

    async def head(self) -> Head:
        """Returns what the log has."""
        async with self._database.snapshot() as connection:
            return await self._read_head(connection)

    async def read_page(self, *, after_seq: int, limit: int) -> Sequence[Event]:
        """Returns the events that follow `after_seq` in order, at most `limit`."""
        stored = self._event.c
        async with self._database.snapshot() as connection:
            rows = (
                await connection.execute(
                    select(stored.seq, stored.create_time, stored.trace_id, stored.payload)
                    .where(stored.seq > after_seq)
                    .order_by(stored.seq)
                    .limit(limit)
                )
            ).all()
        events = []
        for seq, create_time, trace_id, payload in rows:
            read = Event.FromString(payload)
            read.seq = seq
            read.create_time.FromDatetime(create_time)
            read.trace_id = trace_id
            events.append(read)
        return events

    async def wait_for(self, seq: int, *, within: timedelta) -> bool:
        """Waits until the log has event `seq`, and tells whether it came in time."""
        loop = asyncio.get_running_loop()
        end = loop.time() + within.total_seconds()
        while True:
            # Taken before looking, so that a commit between the two is not missed.
            wake = self._wake
            if await self._last_seq() >= seq:
                return True
            left = end - loop.time()
            if left <= 0:
                return False
            try:
                async with asyncio.timeout(min(self._poll_s, left)):
                    await wake.wait()
            except TimeoutError:
                pass

    @retry_on_race
    async def acknowledge(self, consumer: str, *, seq: int) -> None:
        """Notes that a consumer has stored `seq` as its cursor and needs nothing up to it.

        The last word counts, also if it is lower: a consumer that was restored from a backup needs
        again what is still there.

        Raises:
            SeqNotAvailableError: An event after `seq` was pruned already.
        """
        values = {"seq": seq, "acknowledge_time": self._clock.now()}
        async with self._database.transaction() as connection:
            # Pruning takes the same lock, so it either sees this consumer or is seen here.
            await self._lock_head(connection)
            head = await self._read_head(connection)
            if seq < head.first_seq - 1:
                raise SeqNotAvailableError(first_seq=head.first_seq, last_seq=head.last_seq)
            await connection.execute(
                upsert(connection, self._consumer)
                .values(name=consumer, **values)
                .on_conflict_do_update(index_elements=[self._consumer.c.name], set_=values)
            )

    async def consumers(self) -> Mapping[str, int]:
        """Returns how far each consumer was when it last said so."""
        async with self._database.snapshot() as connection:
            return await self._read_consumers(connection)

    async def prune(self, *, consumers: Collection[str], keep: timedelta) -> int:
        """Deletes the oldest events, at most `PRUNED_MAX`, that nobody needs any more.

        Args:
            consumers: Who must have acknowledged an event; everybody who ever followed the log
                must have, too. While one of these was never seen nothing is deleted.
            keep: How old an event must be at least.

        Returns:
            How many were deleted.
        """
        # To look costs no lock; most of the time there is nothing to do.
        async with self._database.snapshot() as connection:
            if not await self._find_prunable(connection, consumers, keep):
                return 0
        return await self._prune(consumers, keep)

    @retry_on_race
    async def _prune(self, consumers: Collection[str], keep: timedelta) -> int:
        async with self._database.transaction() as connection:
            await self._lock_head(connection)
            last = await self._find_prunable(connection, consumers, keep)
            if not last:
                return 0
            deleted = await connection.execute(delete(self._event).where(self._event.c.seq <= last))
            return int(deleted.rowcount)

    async def _find_prunable(
        self, connection: AsyncConnection, consumers: Collection[str], keep: timedelta
    ) -> int:
        """Returns the last of the oldest events that may go, or 0."""
        acknowledged = await self._read_consumers(connection)
        if not acknowledged.keys() >= set(consumers):
            return 0
        before = self._clock.now() - keep
        oldest = await connection.execute(
            select(self._event.c.seq, self._event.c.create_time)
            .order_by(self._event.c.seq)
            .limit(PRUNED_MAX)
        )
        last = 0
        for seq, create_time in oldest:
            if create_time >= before or any(seq > each for each in acknowledged.values()):
                break
            last = seq
        return last

    async def _lock_head(self, connection: AsyncConnection) -> None:
        # On SQLite the transaction is the only one that writes anyway.
        await connection.execute(
            select(self._head.c.id).where(self._head.c.id == HEAD_ID).with_for_update()
        )

    async def _read_head(self, connection: AsyncConnection) -> Head:
        first = select(func.min(self._event.c.seq)).scalar_subquery()
        incarnation, last_seq, first_seq = (
            await connection.execute(select(self._head.c.incarnation, self._head.c.last_seq, first))
        ).one()
        return Head(
            incarnation=incarnation,
            first_seq=last_seq + 1 if first_seq is None else first_seq,
            last_seq=last_seq,
        )

    async def _read_consumers(self, connection: AsyncConnection) -> Mapping[str, int]:
        rows = await connection.execute(select(self._consumer.c.name, self._consumer.c.seq))
        return {row.name: row.seq for row in rows}

    async def _last_seq(self) -> int:
        async with self._database.snapshot() as connection:
            return int((await connection.execute(select(self._head.c.last_seq))).scalar_one())

    def _returned(self, driver_connection: Any, record: Any) -> None:
        del driver_connection
        if record.info.pop(_APPENDED, False):
            self._wake.set()
            self._wake = asyncio.Event()
