import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import grpc
import pytest
from croupier.event.v1 import feed_service_pb2, feed_service_pb2_grpc
from croupier.event.v1.event_pb2 import Event
from sqlalchemy import delete, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit import migrations, telemetry
from services.kit.database import Database
from services.kit.errors import DETAILS_KEY, error_info_of
from services.kit.feed import PAGE_EVENTS_MAX, FeedStoppedError, Head
from tests.conftest import Connect
from tests.kit.clock import ManualClock
from tests.kit.feeds import (
    METADATA,
    TABLES,
    Feeds,
    Log,
    cancelled,
    crash,
    handled,
    record_handled,
    running,
)
from tests.kit.waiting import until

LONG = timedelta(seconds=60)


async def committed(log: Log) -> Sequence[Event]:
    return await log.outbox.read_page(after_seq=0, limit=10_000)


# --- Outbox


async def test_migration_makes_the_tables_that_the_code_declares(database: Database) -> None:
    assert await migrations.differences(database, METADATA) == []


async def test_event_comes_back_as_it_was_appended(log: Log, clock: ManualClock) -> None:
    traceparent = f"00-{'ab' * 16}-{'cd' * 8}-00"
    telemetry.activate(telemetry.remote_parent(traceparent))
    async with log.database.transaction() as connection:
        seq = await log.outbox.append(
            connection, player_excluded={"player_id": "p", "end_time": clock.now()}
        )
    telemetry.activate(None)
    assert seq == 1
    (event,) = await committed(log)
    expected = Event(seq=1, trace_id="ab" * 16)
    expected.player_excluded.player_id = "p"
    expected.create_time.FromDatetime(clock.now())
    expected.player_excluded.end_time.FromDatetime(clock.now())
    assert event == expected


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"seq": 7},
        {"player_excluded": {"nothing": "of the kind"}},
        {"nothing": {}},
        {"player_excluded": {"player_id": "a"}, "player_blocked": {"player_id": "a"}},
    ],
)
async def test_what_is_not_exactly_one_payload_is_refused(log: Log, payload: Any) -> None:
    with pytest.raises(ValueError, match=r"payload|field"):
        async with log.database.transaction() as connection:
            await log.outbox.append(connection, **payload)
    assert await log.outbox.head() == Head((await log.outbox.head()).incarnation, 1, 0)


async def test_appended_event_cannot_be_rewritten(log: Log) -> None:
    await log.append()
    with pytest.raises(DBAPIError, match="append-only"):
        async with log.database.transaction() as connection:
            await connection.execute(update(TABLES.event).values(trace_id="forged"))


async def test_seq_has_no_gaps_under_concurrent_commits_and_rollbacks(
    log: Log, clock: ManualClock
) -> None:
    other_process = Log(
        Database(log.database.url.render_as_string(hide_password=False), schema="feed"),
        clock=clock,
    )
    seen: list[int] = []
    done = asyncio.Event()

    async def write(writer: Log, number: int) -> None:
        for turn in range(10):
            try:
                async with writer.database.transaction() as connection:
                    for _ in range(1 + turn % 2):
                        await writer.outbox.append(
                            connection, player_registered={"player_id": f"{number}-{turn}"}
                        )
                    _ = 1 // ((number + turn) % 3)
            except ZeroDivisionError:
                pass

    async def read() -> None:
        # What a reader has seen is never preceded by what it has not.
        while not (done.is_set() and len(seen) == 100):
            page = await log.outbox.read_page(after_seq=len(seen), limit=7)
            seen.extend(event.seq for event in page)
            await asyncio.sleep(0)

    reader = asyncio.create_task(read())
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(write(log if number % 2 else other_process, number))
    rolled_back = sum(1 + t % 2 for n in range(10) for t in range(10) if (n + t) % 3 == 0)
    total = 150 - rolled_back
    assert (await log.outbox.head()).last_seq == total
    assert [event.seq for event in await committed(log)] == list(range(1, total + 1))
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    assert seen == list(range(1, len(seen) + 1))
    await other_process.database.close()


async def test_time_of_the_log_never_goes_back(log: Log, clock: ManualClock) -> None:
    await log.append()
    clock.advance(timedelta(seconds=-3))
    await log.append()
    clock.advance(timedelta(seconds=5))
    await log.append()
    first, second, third = (event.create_time.ToDatetime() for event in await committed(log))
    assert first == second
    assert third == first + timedelta(seconds=2)


async def test_commit_wakes_a_reader_of_the_same_process(
    database: Database, clock: ManualClock
) -> None:
    # Polling is out of the question: the first look comes before the commit.
    log = Log(database, clock=clock, poll=LONG)
    waiting = asyncio.create_task(log.outbox.wait_for(1, within=LONG))
    for _ in range(5):
        await log.outbox.head()
    await log.append()
    async with asyncio.timeout(10):
        assert await waiting


async def test_commit_of_another_process_is_noticed(log: Log, clock: ManualClock) -> None:
    other = Log(
        Database(log.database.url.render_as_string(hide_password=False), schema="feed"),
        clock=clock,
    )
    waiting = asyncio.create_task(log.outbox.wait_for(1, within=LONG))
    await other.append()
    async with asyncio.timeout(10):
        assert await waiting
    await other.database.close()


async def test_rolled_back_event_is_waited_for_in_vain(log: Log) -> None:
    async def append_and_fail() -> None:
        async with log.database.transaction() as connection:
            await log.outbox.append(connection, player_registered={"player_id": "p"})
            raise InterruptedError

    with pytest.raises(InterruptedError):
        await append_and_fail()
    assert not await log.outbox.wait_for(1, within=timedelta(milliseconds=150))


# --- FeedServicer


async def subscribe(channel: grpc.aio.Channel, **request: Any) -> Any:
    return feed_service_pb2_grpc.FeedServiceStub(channel).Subscribe(
        feed_service_pb2.SubscribeRequest(**request), timeout=30
    )


async def test_feed_is_served_in_pages(log: Log, feeds: Feeds, connect: Connect) -> None:
    await log.append(PAGE_EVENTS_MAX + 20)
    _, port = await feeds.serve(log.outbox)
    stream = await subscribe(connect(port, to="player", as_service="game"), after_seq=10)
    hello, first, second = [await stream.read() for _ in range(3)]
    incarnation = (await log.outbox.head()).incarnation
    assert {hello.incarnation, first.incarnation, second.incarnation} == {incarnation}
    assert list(hello.events) == []
    assert [event.seq for event in first.events] == list(range(11, 511))
    assert [event.seq for event in second.events] == list(range(511, 521))
    await log.append()
    assert [event.seq for event in (await stream.read()).events] == [521]
    stream.cancel()


async def test_page_stays_below_the_size_of_a_message(
    log: Log, feeds: Feeds, connect: Connect
) -> None:
    await log.append(8, padding=400_000)
    _, port = await feeds.serve(log.outbox)
    stream = await subscribe(connect(port, to="player", as_service="game"))
    pages = [await stream.read() for _ in range(5)]
    assert [len(page.events) for page in pages] == [0, 2, 2, 2, 2]
    stream.cancel()


async def test_silent_feed_gives_signs_of_life(log: Log, feeds: Feeds, connect: Connect) -> None:
    _, port = await feeds.serve(log.outbox, heartbeat=timedelta(milliseconds=50))
    stream = await subscribe(connect(port, to="player", as_service="game"))
    for _ in range(3):
        assert list((await stream.read()).events) == []
    stream.cancel()


async def refused(channel: grpc.aio.Channel, **request: Any) -> tuple[grpc.StatusCode, Any]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        async for _ in await subscribe(channel, **request):
            pass
    trailing: Any = raised.value.trailing_metadata()
    info = error_info_of(dict(tuple(trailing))[DETAILS_KEY])
    assert info is not None
    return raised.value.code(), (info.reason, dict(info.metadata))


async def test_feed_refuses_cursors_that_it_cannot_continue(
    log: Log, feeds: Feeds, connect: Connect
) -> None:
    await log.append(10)
    async with log.database.transaction() as connection:
        await connection.execute(delete(TABLES.event).where(TABLES.event.c.seq <= 4))
    _, port = await feeds.serve(log.outbox)
    game = connect(port, to="player", as_service="game")
    incarnation = (await log.outbox.head()).incarnation
    precondition = grpc.StatusCode.FAILED_PRECONDITION
    out_of_range = grpc.StatusCode.OUT_OF_RANGE
    not_there = ("ERROR_REASON_SEQ_NOT_AVAILABLE", {"first_seq": "5", "last_seq": "10"})
    changed = ("ERROR_REASON_INCARNATION_CHANGED", {"incarnation": incarnation})
    assert await refused(game, after_seq=3) == (out_of_range, not_there)
    assert await refused(game, after_seq=11) == (out_of_range, not_there)
    assert await refused(game, after_seq=5, incarnation="another") == (precondition, changed)
    code, (reason, _) = await refused(game, shard=1)
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "ERROR_REASON_INVALID_REQUEST")
    stream = await subscribe(game, after_seq=4, incarnation=incarnation)
    await stream.read()
    assert [event.seq for event in (await stream.read()).events] == [5, 6, 7, 8, 9, 10]
    stream.cancel()


async def test_only_declared_services_may_follow(log: Log, feeds: Feeds, connect: Connect) -> None:
    _, port = await feeds.serve(log.outbox)
    code, (reason, _) = await refused(connect(port, to="player", as_service="edge"))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert reason == "ERROR_REASON_CALLER_NOT_ALLOWED"


async def test_draining_server_ends_its_streams(log: Log, feeds: Feeds, connect: Connect) -> None:
    server, port = await feeds.serve(log.outbox)
    stream = await subscribe(connect(port, to="player", as_service="game"))
    responses = aiter(stream)
    await anext(responses)
    await server.stop()
    assert [response async for response in responses] == []
    assert await stream.code() is grpc.StatusCode.OK


# --- Follower


async def test_follower_handles_what_is_there_and_what_comes(
    log: Log, own: Database, feeds: Feeds, clock: ManualClock
) -> None:
    await log.append(700)
    _, port = await feeds.serve(log.outbox)
    follower = feeds.follower(port, own)
    async with running(feeds, follower):
        await until(lambda: at(follower, 700))
        clock.advance(timedelta(seconds=1))
        await log.append(3)
        await until(lambda: at(follower, 703))
    assert await handled(own) == list(range(1, 704))
    position = await follower.position()
    assert position.incarnation == (await log.outbox.head()).incarnation
    assert position.event_time == clock.now()
    await follower.check()


async def at(follower: Any, seq: int) -> bool:
    return bool((await follower.position()).seq == seq)


async def test_follower_resumes_after_its_cursor(log: Log, own: Database, feeds: Feeds) -> None:
    _, port = await feeds.serve(log.outbox)
    for expected in (5, 10, 15):
        await log.append(5)
        follower = feeds.follower(port, own)
        async with running(feeds, follower):
            await until(lambda: at(follower, expected))  # noqa: B023 (waited for in the block)
    assert await handled(own) == list(range(1, 16))


async def test_follower_that_dies_between_handling_and_commit_loses_and_repeats_nothing(
    log: Log, own: Database, feeds: Feeds
) -> None:
    await log.append(30)
    _, port = await feeds.serve(log.outbox)
    deaths = 0

    async def die(connection: AsyncConnection, events: Sequence[Event]) -> None:
        nonlocal deaths
        await record_handled(connection, events)
        deaths += 1
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    for _ in range(3):
        task = feeds.start(feeds.follower(port, own, die))
        with pytest.raises(asyncio.CancelledError):
            await task
    assert deaths == 3
    assert await handled(own) == []
    follower = feeds.follower(port, own)
    async with running(feeds, follower):
        await until(lambda: at(follower, 30))
    assert await handled(own) == list(range(1, 31))


async def test_follower_may_be_cancelled_at_any_moment(
    log: Log, own: Database, feeds: Feeds
) -> None:
    _, port = await feeds.serve(log.outbox)
    seed = random.randrange(2**32)  # noqa: S311 (chance, not secrecy)
    chance = random.Random(seed)  # noqa: S311 (as above)
    for _ in range(40):
        await log.append(5)
        task = feeds.start(feeds.follower(port, own))
        for _ in range(chance.randrange(400)):
            await asyncio.sleep(0)
        await asyncio.sleep(chance.random() * 0.03)
        await cancelled(task)
        done = await handled(own)
        assert done == list(range(1, len(done) + 1)), f"seed {seed}"
        assert await at(feeds.follower(port, own), len(done)), f"seed {seed}"
    follower = feeds.follower(port, own)
    async with running(feeds, follower):
        await until(lambda: at(follower, 200))
    assert await handled(own) == list(range(1, 201))


async def test_follower_survives_crashes_of_the_server(
    log: Log, own: Database, feeds: Feeds
) -> None:
    server, port = await feeds.serve(log.outbox)
    follower = feeds.follower(port, own)
    async with running(feeds, follower):
        for turn in range(1, 4):
            await log.append(600)
            await until(lambda: at_least(follower, 600 * turn - 599))  # noqa: B023 (as above)
            await crash(server)
            server, port = await feeds.serve(log.outbox, port=port)
        await until(lambda: at(follower, 1800))
        await follower.check()
    assert await handled(own) == list(range(1, 1801))


async def at_least(follower: Any, seq: int) -> bool:
    return bool((await follower.position()).seq >= seq)


async def test_two_followers_of_one_cursor_share_the_work(
    log: Log, own: Database, feeds: Feeds
) -> None:
    _, port = await feeds.serve(log.outbox)
    follower, other = feeds.follower(port, own), feeds.follower(port, own)
    async with running(feeds, follower), running(feeds, other):
        for _ in range(20):
            await log.append(10)
        await until(lambda: at(follower, 200))
        await follower.check()
        await other.check()
    assert await handled(own) == list(range(1, 201))


async def test_follower_stops_when_the_log_was_restored(
    log: Log, own: Database, feeds: Feeds
) -> None:
    await log.append(5)
    server, port = await feeds.serve(log.outbox)
    follower = feeds.follower(port, own)
    task = feeds.start(follower)
    await until(lambda: at(follower, 5))
    await crash(server)
    async with log.database.transaction() as connection:
        await log.outbox.begin_incarnation(connection)
    await log.append(5)
    await feeds.serve(log.outbox, port=port)
    async with asyncio.timeout(30):
        await task
    with pytest.raises(FeedStoppedError, match="incarnation"):
        await follower.check()
    assert await handled(own) == [1, 2, 3, 4, 5]


async def test_open_stream_notices_that_the_log_was_restored(
    log: Log, own: Database, feeds: Feeds
) -> None:
    await log.append(5)
    _, port = await feeds.serve(log.outbox, heartbeat=timedelta(milliseconds=50))
    follower = feeds.follower(port, own)
    task = feeds.start(follower)
    await until(lambda: at(follower, 5))
    async with log.database.transaction() as connection:
        await log.outbox.begin_incarnation(connection)
    async with asyncio.timeout(30):
        await task
    with pytest.raises(FeedStoppedError, match="incarnation"):
        await follower.check()


async def test_follower_that_is_ahead_of_the_log_stops(
    log: Log, own: Database, feeds: Feeds
) -> None:
    await log.append(5)
    server, port = await feeds.serve(log.outbox)
    follower = feeds.follower(port, own)
    task = feeds.start(follower)
    await until(lambda: at(follower, 5))
    await crash(server)
    async with log.database.transaction() as connection:
        await connection.execute(delete(TABLES.event).where(TABLES.event.c.seq > 3))
        await connection.execute(update(TABLES.head).values(last_seq=3))
    await feeds.serve(log.outbox, port=port)
    async with asyncio.timeout(30):
        await task
    with pytest.raises(FeedStoppedError, match="1 to 3"):
        await follower.check()


class ForgetfulSource:
    """A broken log that leaves an event out in the middle of a page."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def head(self) -> Head:
        return await self._log.outbox.head()

    async def read_page(self, *, after_seq: int, limit: int) -> Sequence[Event]:
        page = await self._log.outbox.read_page(after_seq=after_seq, limit=limit)
        return [event for event in page if event.seq != 3]

    async def wait_for(self, seq: int, *, within: timedelta) -> bool:
        return await self._log.outbox.wait_for(seq, within=within)


async def test_follower_stops_at_a_gap(log: Log, own: Database, feeds: Feeds) -> None:
    await log.append(5)
    _, port = await feeds.serve(ForgetfulSource(log))
    follower = feeds.follower(port, own)
    async with asyncio.timeout(30):
        await follower.run()
    with pytest.raises(FeedStoppedError, match="expected event 3, got 4"):
        await follower.check()
    assert await handled(own) == []


async def test_events_that_cannot_be_handled_are_tried_again_and_told(
    log: Log, own: Database, feeds: Feeds
) -> None:
    await log.append(5)
    _, port = await feeds.serve(log.outbox)
    poisoned = True

    async def handle(connection: AsyncConnection, events: Sequence[Event]) -> None:
        await record_handled(connection, events)
        if poisoned:
            raise ValueError("poison")

    follower = feeds.follower(port, own, handle)

    async def is_unhealthy() -> bool:
        try:
            await follower.check()
        except FeedStoppedError:
            return True
        return False

    async with running(feeds, follower):
        await until(is_unhealthy)
        assert await handled(own) == []
        poisoned = False
        await until(lambda: at(follower, 5))
        await follower.check()
    assert await handled(own) == [1, 2, 3, 4, 5]


async def test_silent_peer_is_left_and_called_again(log: Log, own: Database, feeds: Feeds) -> None:
    _, port = await feeds.serve(log.outbox, heartbeat=LONG)
    follower = feeds.follower(port, own, silence_max=timedelta(milliseconds=100))
    async with running(feeds, follower):
        await until(lambda: follower._failed_tries >= 2)
        await log.append(5)
        await until(lambda: at(follower, 5))


class CountingSource(ForgetfulSource):
    """Counts how far it was read."""

    read_seq = 0

    async def read_page(self, *, after_seq: int, limit: int) -> Sequence[Event]:
        page = await self._log.outbox.read_page(after_seq=after_seq, limit=limit)
        self.read_seq = page[-1].seq if page else self.read_seq
        return page


async def test_slow_follower_holds_the_reading_back(log: Log, own: Database, feeds: Feeds) -> None:
    await log.append(3_000, padding=10_000)
    source = CountingSource(log)
    _, port = await feeds.serve(source)
    entered, leave = asyncio.Event(), asyncio.Event()

    async def wait(connection: AsyncConnection, events: Sequence[Event]) -> None:
        entered.set()
        await leave.wait()
        await record_handled(connection, events)

    follower = feeds.follower(port, own, wait)
    async with running(feeds, follower):
        await entered.wait()
        # Until it has not moved for a while: what is read ahead fills the connection's windows.
        still = 0
        before = 0
        while still < 50:
            await asyncio.sleep(0.01)
            still = still + 1 if source.read_seq == before else 0
            before = source.read_seq
        assert before < 2_500
        leave.set()
        await until(lambda: at(follower, 3_000))
    assert await handled(own) == list(range(1, 3_001))
