"""Logs are pruned behind the slowest of those who follow them, over real servers."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import grpc
import pytest
from croupier.event.v1 import feed_service_pb2, feed_service_pb2_grpc
from croupier.event.v1.event_pb2 import Event
from sqlalchemy.ext.asyncio import AsyncConnection

from scripts.mesh.pki import DevelopmentAuthority
from services.kit.database import Database
from services.kit.feed import (
    PRUNED_MAX,
    FeedSettings,
    FeedStoppedError,
    Head,
    SeqNotAvailableError,
    prune_in_background,
)
from tests.conftest import Connect
from tests.kit.clock import ManualClock
from tests.kit.feeds import (
    Feeds,
    Log,
    cancelled,
    handled,
    record_handled,
    running,
)
from tests.kit.refusals import refusal
from tests.kit.waiting import until

HOUR = timedelta(hours=1)
# Short enough that a follower says often how far it is.
BRIEF = timedelta(milliseconds=50)


async def subscribe(channel: grpc.aio.Channel, after_seq: int) -> Any:
    """Subscribes, and waits until the feed has taken the cursor."""
    stream = feed_service_pb2_grpc.FeedServiceStub(channel).Subscribe(
        feed_service_pb2.SubscribeRequest(after_seq=after_seq), timeout=30
    )
    await stream.read()
    return stream


async def prune(log: Log, *consumers: str, keep: timedelta = HOUR) -> int:
    return await log.outbox.prune(consumers=consumers, keep=keep)


async def first_seq(log: Log) -> int:
    return (await log.outbox.head()).first_seq


async def test_log_is_pruned_behind_the_slowest_consumer(
    log: Log, feeds: Feeds, clock: ManualClock, connect: Connect
) -> None:
    await log.append(10)
    clock.advance(2 * HOUR)
    _, port = await feeds.serve(log.outbox)
    analytics = connect(port, to="player", as_service="analytics")
    game = connect(port, to="player", as_service="game")
    ahead, behind = await subscribe(analytics, 8), await subscribe(game, 3)
    assert await log.outbox.consumers() == {"analytics": 8, "game": 3}
    # Also one whom nobody named: it has followed, and may come back.
    assert await prune(log, "analytics") == 3
    assert await first_seq(log) == 4
    (await subscribe(game, 6)).cancel()
    assert await prune(log, "analytics") == 3
    assert [event.seq for event in (await behind.read()).events] == list(range(4, 11))
    ahead.cancel()
    behind.cancel()


async def test_events_that_were_sent_and_not_acknowledged_are_kept(
    log: Log, own: Database, feeds: Feeds, clock: ManualClock
) -> None:
    """A consumer that crashes on what it was sent finds it again."""
    await log.append(20)
    clock.advance(2 * HOUR)
    _, port = await feeds.serve(log.outbox, stream_life=BRIEF)
    failed = asyncio.Event()

    async def fail(connection: AsyncConnection, events: Sequence[Event]) -> None:
        await record_handled(connection, events)
        failed.set()
        raise InterruptedError

    task = feeds.start(feeds.follower(port, own, fail))
    await asyncio.wait_for(failed.wait(), 20)
    await cancelled(task)
    assert await prune(log, "analytics") == 0
    follower = feeds.follower(port, own)
    async with running(feeds, follower):
        await until(lambda: acknowledged(log, 20))
    assert await prune(log, "analytics") == 20
    assert await handled(own) == list(range(1, 21))


async def acknowledged(log: Log, seq: int) -> bool:
    return (await log.outbox.consumers()).get("analytics") == seq


async def test_consumer_that_never_came_keeps_all(
    log: Log, feeds: Feeds, clock: ManualClock, connect: Connect
) -> None:
    await log.append(5)
    clock.advance(2 * HOUR)
    assert await prune(log, "game") == 0
    _, port = await feeds.serve(log.outbox)
    (await subscribe(connect(port, to="player", as_service="analytics"), 5)).cancel()
    assert await prune(log, "game") == 0
    (await subscribe(connect(port, to="player", as_service="game"), 0)).cancel()
    assert await prune(log, "game") == 0
    (await subscribe(connect(port, to="player", as_service="game"), 5)).cancel()
    assert await prune(log, "game") == 5


async def test_young_events_are_kept_whoever_has_handled_them(log: Log, clock: ManualClock) -> None:
    await log.append(3)
    clock.advance(HOUR)
    await log.append(3)
    assert await prune(log) == 0
    clock.advance(timedelta(microseconds=1))
    assert await prune(log) == 3
    assert await log.outbox.head() == Head((await log.outbox.head()).incarnation, 4, 6)
    clock.advance(HOUR)
    assert await prune(log) == 3
    # A log that is empty goes on where it was.
    assert await log.outbox.head() == Head((await log.outbox.head()).incarnation, 7, 6)
    await log.append()
    assert [event.seq for event in await log.outbox.read_page(after_seq=6, limit=9)] == [7]


async def test_one_transaction_deletes_no_more_than_its_share(log: Log, clock: ManualClock) -> None:
    await log.append(PRUNED_MAX + 7)
    clock.advance(2 * HOUR)
    assert await prune(log) == PRUNED_MAX
    assert await prune(log) == 7
    assert await prune(log) == 0


async def test_consumer_that_comes_too_late_is_refused_and_holds_nothing_back(
    log: Log, own: Database, feeds: Feeds, clock: ManualClock, connect: Connect
) -> None:
    await log.append(10)
    clock.advance(2 * HOUR)
    await prune(log)
    await log.append(5)
    _, port = await feeds.serve(log.outbox)
    game: Any = feed_service_pb2_grpc.FeedServiceStub(connect(port, to="player", as_service="game"))
    stream = game.Subscribe(feed_service_pb2.SubscribeRequest(after_seq=9), timeout=20)
    refused = await refusal(stream.read())
    assert refused.code is grpc.StatusCode.OUT_OF_RANGE
    assert refused.reason == "ERROR_REASON_SEQ_NOT_AVAILABLE"
    assert refused.metadata == {"first_seq": "11", "last_seq": "15"}
    follower = feeds.follower(port, own)
    async with asyncio.timeout(30):
        await feeds.start(follower)
    with pytest.raises(FeedStoppedError, match="11 to 15"):
        await follower.check()
    assert await handled(own) == []
    assert await log.outbox.consumers() == {}


async def test_log_that_was_pruned_since_it_was_looked_at_takes_no_cursor_before_it(
    log: Log, clock: ManualClock
) -> None:
    await log.append(10)
    clock.advance(2 * HOUR)
    await prune(log)
    with pytest.raises(SeqNotAvailableError):
        await log.outbox.acknowledge("game", seq=9)
    await log.outbox.acknowledge("game", seq=10)
    assert await log.outbox.consumers() == {"game": 10}


async def test_consumer_that_was_restored_from_a_backup_is_believed(
    log: Log, clock: ManualClock
) -> None:
    await log.append(10)
    clock.advance(2 * HOUR)
    await log.outbox.acknowledge("game", seq=8)
    await log.outbox.acknowledge("game", seq=2)
    assert await prune(log) == 2


async def test_each_event_has_its_effect_once_while_the_log_is_pruned(
    log: Log, own: Database, feeds: Feeds, authority: DevelopmentAuthority, clock: ManualClock
) -> None:
    """Followers come and go, and crash, while all that may go goes at once."""
    _, port = await feeds.serve(log.outbox, stream_life=BRIEF)
    seed = random.randrange(2**32)  # noqa: S311 (chance, not secrecy)
    chance = random.Random(seed)  # noqa: S311 (as above)
    always = pruning(authority, feed_consumers=["analytics"], feed_keep=timedelta(0))
    async with AsyncExitStack() as stack:
        prune_in_background(log.outbox, always, stack)
        for _ in range(20):
            await log.append(7)
            clock.advance(timedelta(seconds=1))
            task = feeds.start(feeds.follower(port, own))
            await asyncio.sleep(chance.random() * 0.1)
            await cancelled(task)
            done = await handled(own)
            assert done == list(range(1, len(done) + 1)), f"seed {seed}"
        follower = feeds.follower(port, own)
        async with running(feeds, follower):
            await until(lambda: pruned_to(log, 141))
            await follower.check()
    assert await handled(own) == list(range(1, 141)), f"seed {seed}"


async def test_two_that_prune_at_once_delete_nothing_twice(log: Log, clock: ManualClock) -> None:
    await log.append(50)
    clock.advance(2 * HOUR)
    deleted = await asyncio.gather(*(prune(log) for _ in range(4)))
    assert sum(deleted) == 50
    assert await first_seq(log) == 51


async def test_settings_start_the_pruning_and_without_consumers_nothing_goes(
    log: Log, authority: DevelopmentAuthority, clock: ManualClock
) -> None:
    await log.append(PRUNED_MAX + 1)
    clock.advance(timedelta(days=90, seconds=1))
    before = asyncio.all_tasks()
    async with AsyncExitStack() as stack:
        prune_in_background(log.outbox, pruning(authority), stack)
        assert asyncio.all_tasks() == before
        prune_in_background(log.outbox, pruning(authority, feed_consumers=[]), stack)
        await until(lambda: pruned_to(log, PRUNED_MAX + 2))
    assert asyncio.all_tasks() == before


def pruning(authority: DevelopmentAuthority, **changes: Any) -> FeedSettings:
    identity = authority.identity("player")
    return FeedSettings(
        tls_certificate=identity.certificate,
        tls_key=identity.key,
        tls_authority=identity.authority,
        feed_prune_every=timedelta(milliseconds=5),
        **changes,
    )


async def pruned_to(log: Log, seq: int) -> bool:
    return await first_seq(log) == seq
