"""Each event has its effect once, whatever dies."""

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from croupier.event.v1.event_pb2 import Event
from grpc_health.v1 import health_pb2, health_pb2_grpc
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.analytics.clients import LedgerFeed, facts_of
from services.analytics.service import AnalyticsService
from services.analytics.tables import FEED_CURSOR
from services.kit.database import Database
from services.kit.feed import Follower
from tests.analytics.house import DAY, GAME, HOUR, PROVIDER, House, row
from tests.analytics.ledger import CLOSED, OPEN, Row, recomputed
from tests.kit.feeds import crash
from tests.kit.waiting import until

NOON = datetime(2027, 1, 15, 12, 0, tzinfo=UTC)
REPOSITORY = Path(__file__).parents[2]


def play(house: House, count: int, *, seed: int) -> None:
    """Writes a day of traffic into the ledger."""
    chance = random.Random(seed)  # noqa: S311 (chance, not secrecy)
    for number in range(count):
        side = {
            "who": chance.randrange(40),
            "provider": chance.choice(["acme", "bolt"]),
            "game": chance.choice(["book", "wheel", "dice"]),
            "round_id": f"{seed}-{number // 4}",
            "round_state": CLOSED if number % 4 == 3 else OPEN,
            "time": NOON + timedelta(seconds=86_400 * number / count),
        }
        move = chance.choice(
            [house.ledger.bet, house.ledger.bet, house.ledger.win, house.ledger.bet_rollback]
        )
        # A closed round takes no more bets.
        if side["round_state"] == CLOSED and move == house.ledger.bet:
            move = house.ledger.win
        move(chance.randrange(1, 500), **side)


async def figures(house: House) -> dict[tuple[str, str, int], Row]:
    found = await house.activities(
        NOON, NOON + timedelta(days=1), granularity=HOUR, dimensions=[GAME, PROVIDER]
    )
    return {
        (each.provider_id, each.game_id, each.bucket_time.seconds // 3600): row(each)
        for each in found
    }


def expected(events: Sequence[Event]) -> dict[tuple[str, str, int], Row]:
    return recomputed(
        events,
        place=lambda transfer: (
            transfer.result.source,
            transfer.game_id,
            transfer.result.create_time.seconds // 3600,
        ),
    )


async def counted_seq(database: Database) -> int:
    async with database.snapshot() as connection:
        return await connection.scalar(select(func.max(FEED_CURSOR.c.seq))) or 0


async def test_task_that_dies_in_mid_batch_leaves_nothing_half_done(closed_house: House) -> None:
    house = closed_house
    play(house, 3_000, seed=1)
    database = Database(house.database_url, schema="analytics")
    service = AnalyticsService(database)
    ledger = LedgerFeed(
        house.settings().wallet_address, identity=house.authority.identity("analytics")
    )
    for _ in range(5):
        batches = 0

        async def record_and_die(connection: AsyncConnection, events: Sequence[Event]) -> None:
            nonlocal batches
            await service.record(connection, facts_of(events))
            batches += 1
            if batches == 2:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                await asyncio.sleep(0)

        follower = Follower(ledger.peer, database, FEED_CURSOR, record_and_die, clock=house.clock)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(follower.run())
    assert await counted_seq(database) == 2_500
    await ledger.close()
    await database.close()
    await house.open_analytics(house.stack)
    assert await figures(house) == expected(house.ledger.events)


async def test_process_that_is_killed_again_and_again_counts_each_event_once(
    closed_house: House, tmp_path: Path
) -> None:
    house = closed_house
    play(house, 12_000, seed=2)
    database = Database(house.database_url, schema="analytics")
    settings = house.settings()
    environment = {
        **os.environ,
        "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY}/generated",
        "CROUPIER_TLS_CERTIFICATE": str(settings.tls_certificate),
        "CROUPIER_TLS_KEY": str(settings.tls_key),
        "CROUPIER_TLS_AUTHORITY": str(settings.tls_authority),
        "CROUPIER_DATABASE_URL": settings.database_url,
        "CROUPIER_WALLET_ADDRESS": settings.wallet_address,
        "CROUPIER_SECURITY_ADDRESS": settings.security_address,
    }
    seed = random.randrange(2**32)  # noqa: S311 (chance, not secrecy)
    chance = random.Random(seed)  # noqa: S311 (as above)
    kills_in_mid_course = 0
    for turn in range(4):
        before = await counted_seq(database)
        with (tmp_path / f"log{turn}").open("wb") as log:
            process = subprocess.Popen(  # noqa: ASYNC220 (returns at once; our program)
                [sys.executable, "-m", "services.analytics"],
                env=environment,
                cwd=REPOSITORY,
                stderr=log,
            )
            try:

                async def has_begun(before: int = before) -> bool:
                    return await counted_seq(database) > before

                await until(has_begun, seconds=60)
                await asyncio.sleep(chance.random() * 0.2)
            finally:
                process.kill()
                process.wait()
        kills_in_mid_course += await counted_seq(database) < len(house.ledger.events)
    assert kills_in_mid_course, f"seed {seed}: too little was left to do"
    await database.close()
    await house.open_analytics(house.stack)
    assert await figures(house) == expected(house.ledger.events), f"seed {seed}"


async def test_ledger_that_crashes_and_comes_back_is_followed_on(closed_house: House) -> None:
    house = closed_house
    play(house, 2_000, seed=3)
    await house.open_analytics(house.stack)
    for seed in range(3):
        await crash(house.ledger_server)
        await house.open_ledger()
        play(house, 100, seed=seed)
    # The newest event is recognized by its time.
    house.ledger.bet(1, time=NOON + timedelta(days=1, seconds=-1), round_id="the last")
    assert await figures(house) == expected(house.ledger.events)


async def test_two_processes_that_follow_count_each_event_once(closed_house: House) -> None:
    house = closed_house
    await house.open_analytics(house.stack)
    await house.open_analytics(house.stack)
    for begin in range(0, 3_000, 100):
        play(house, 100, seed=begin)
        await asyncio.sleep(0)
    house.ledger.bet(1, time=NOON + timedelta(days=1, seconds=-1), round_id="the last")
    assert await figures(house) == expected(house.ledger.events)


async def test_restored_ledger_makes_analytics_unhealthy(closed_house: House) -> None:
    house = closed_house
    house.ledger.bet(1)
    async with AsyncExitStack() as stack:
        await house.open_analytics(stack)
        await house.catch_up()
    house.ledger.incarnation = "second"
    await house.open_analytics(house.stack)
    health = health_pb2_grpc.HealthStub(house.channel)

    async def is_not_serving() -> bool:
        answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=5)
        return bool(answer.status == health_pb2.HealthCheckResponse.NOT_SERVING)

    await until(is_not_serving)


async def test_absent_ledger_leaves_what_was_counted(closed_house: House) -> None:
    house = closed_house
    house.ledger.bet(5)
    await house.open_analytics(house.stack)
    await house.catch_up()
    await crash(house.ledger_server)
    (activity,) = await house.activities(NOON, NOON + timedelta(days=1), granularity=DAY)
    assert activity.bets_minor_units == 5
    health = health_pb2_grpc.HealthStub(house.channel)
    answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
