"""What QueryGameActivity answers, through the front door."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from croupier.wallet.v1 import wallet_pb2
from sqlalchemy import insert, select

from services.analytics.tables import ACTIVITY, METADATA
from services.kit import migrations
from services.kit.database import Database
from tests.analytics.house import DAY, GAME, HOUR, MINUTE, PROVIDER, House, request, row
from tests.analytics.ledger import CLOSE_ROUND, CLOSED, DEPOSIT, ROLLBACK, Row
from tests.kit.postgres import shared_server
from tests.kit.refusals import told

NOON = datetime(2027, 1, 15, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
A_MINUTE = timedelta(minutes=1)
AN_HOUR = timedelta(hours=1)
A_DAY = timedelta(days=1)


async def test_bets_and_wins_of_cash_and_bonus_are_added_up(house: House) -> None:
    house.ledger.bet(100)
    house.ledger.bet(70, bonus=-30, round_id="s")
    house.ledger.win(20, bonus=45, round_id="s", time=NOON + SECOND)
    (activity,) = await house.activities(NOON, NOON + A_MINUTE)
    assert row(activity) == Row(200, 65, 2, 1, 0, 2, 1)
    assert activity.ggr_minor_units == 135
    assert activity.currency_code == "EUR"
    assert activity.bucket_time.ToDatetime(UTC) == NOON
    assert (activity.provider_id, activity.game_id) == ("", "")


async def test_what_the_ledger_refused_or_booked_elsewhere_is_ignored(house: House) -> None:
    ledger = house.ledger
    ledger.bet(10)
    for outcome in wallet_pb2.Outcome.values():
        if outcome not in range(wallet_pb2.OUTCOME_APPLIED, wallet_pb2.OUTCOME_APPLIED_LOCKED + 1):
            ledger.bet(0, outcome=outcome, round_id=f"refused {outcome}", who=2)
    for kind in wallet_pb2.TransferKind.values():
        if kind not in (wallet_pb2.TRANSFER_KIND_BET, wallet_pb2.TRANSFER_KIND_WIN):
            ledger.record(kind, 1_000, who=3)
    ledger.record(ROLLBACK, 50, original_kind=DEPOSIT)
    ledger.win(7, outcome=wallet_pb2.OUTCOME_APPLIED_LATE, time=NOON + SECOND)
    (activity,) = await house.activities(NOON, NOON + A_MINUTE)
    assert row(activity) == Row(10, 7, 1, 1, 0, 1, 1)


async def test_rollbacks_are_deducted_where_they_happen(house: House) -> None:
    house.ledger.bet(100)
    house.ledger.win(40)
    house.ledger.bet_rollback(100, time=NOON + A_MINUTE)
    house.ledger.win_rollback(25, bonus=-15, time=NOON + 2 * A_MINUTE)
    first, second, third = await house.activities(NOON, NOON + AN_HOUR, granularity=MINUTE)
    assert row(first) == Row(100, 40, 1, 1, 0, 1, 1)
    assert row(second) == Row(-100, 0, 0, 0, 1, 0, 0)
    assert row(third) == Row(0, -40, 0, 0, 1, 0, 0)
    (whole,) = await house.activities(NOON, NOON + AN_HOUR)
    assert row(whole) == Row(0, 0, 1, 1, 2, 1, 1)


async def test_clamped_rollback_counts_what_was_really_taken(house: House) -> None:
    house.ledger.win(40)
    house.ledger.win_rollback(10, outcome=wallet_pb2.OUTCOME_APPLIED_CLAMPED, time=NOON + SECOND)
    (activity,) = await house.activities(NOON, NOON + A_MINUTE)
    assert row(activity) == Row(0, 30, 0, 1, 1, 0, 0)


async def test_free_bets_count_and_lost_rounds_are_no_wins(house: House) -> None:
    house.ledger.bet(0)
    house.ledger.win(0, round_state=CLOSED)
    house.ledger.win(0, game="lost only", time=NOON + SECOND)
    (activity,) = await house.activities(NOON, NOON + A_MINUTE, dimensions=[GAME])
    assert row(activity) == Row(0, 0, 1, 0, 0, 1, 1)


async def test_round_is_counted_at_its_first_bet(house: House) -> None:
    ledger = house.ledger
    ledger.bet(1)
    ledger.bet(1, who=2)
    ledger.bet(1, provider="other")
    ledger.bet(1, time=NOON + AN_HOUR)
    ledger.bet(1, who=2, round_id="s", time=NOON + AN_HOUR)
    await house.catch_up()
    ledger.bet(1, time=NOON + 2 * AN_HOUR)
    ledger.record(CLOSE_ROUND, round_state=CLOSED, time=NOON + 2 * AN_HOUR + SECOND)
    found = await house.activities(NOON, NOON + 3 * AN_HOUR, granularity=HOUR)
    assert [each.round_count for each in found] == [3, 1, 0]


async def test_players_are_counted_once_however_the_interval_is_cut(house: House) -> None:
    for hours in range(50):
        house.ledger.bet(1, who=hours % 7, round_id=f"r{hours}", time=NOON + hours * AN_HOUR)
    late, early = NOON + timedelta(minutes=1), NOON - timedelta(minutes=1)
    days = await house.activities(NOON, NOON + 2 * A_DAY, granularity=DAY)
    assert [each.active_player_count for each in days] == [7, 7, 7]
    for start, end, bets, players in [
        (NOON, NOON + A_MINUTE, 1, 1),
        (NOON, NOON + 3 * AN_HOUR, 3, 3),
        (early, NOON + 3 * AN_HOUR, 3, 3),
        (late, NOON + 3 * AN_HOUR, 2, 2),
        (late, NOON + 49 * AN_HOUR + A_MINUTE, 49, 7),
        (NOON - A_DAY, NOON + 3 * A_DAY, 50, 7),
    ]:
        (whole,) = await house.activities(start, end)
        assert (whole.bet_count, whole.active_player_count) == (bets, players), (start, end)


async def test_figures_are_grouped_and_filtered_as_asked(house: House) -> None:
    ledger = house.ledger
    ledger.bet(1, provider="b", game="x", round_id="1")
    ledger.bet(2, provider="a", game="y", round_id="2")
    ledger.bet(4, provider="a", game="x", round_id="3")
    ledger.bet(8, provider="a", game="x", round_id="4", currency="BTC")
    ledger.bet(16, provider="a", game="x", round_id="5", time=NOON + A_DAY)

    async def told(**asked: Any) -> list[tuple[Any, ...]]:
        return [
            (each.currency_code, each.provider_id, each.game_id, each.bets_minor_units)
            for each in await house.activities(NOON, NOON + A_DAY + A_MINUTE, **asked)
        ]

    assert await told() == [("BTC", "", "", 8), ("EUR", "", "", 23)]
    assert await told(dimensions=[GAME]) == [
        ("BTC", "", "x", 8),
        ("EUR", "", "x", 21),
        ("EUR", "", "y", 2),
    ]
    assert await told(dimensions=[PROVIDER], currency_code="EUR") == [
        ("EUR", "a", "", 22),
        ("EUR", "b", "", 1),
    ]
    assert await told(dimensions=[GAME, PROVIDER], granularity=DAY) == [
        ("BTC", "a", "x", 8),
        ("EUR", "a", "x", 4),
        ("EUR", "a", "y", 2),
        ("EUR", "b", "x", 1),
        ("EUR", "a", "x", 16),
    ]
    assert await told(game_id="y") == [("EUR", "", "", 2)]
    assert await told(provider_id="b", game_id="x") == [("EUR", "", "", 1)]
    assert await told(game_id="nothing") == []


async def test_interval_is_rounded_to_whole_buckets(house: House) -> None:
    house.ledger.bet(1, time=NOON + timedelta(minutes=59, seconds=59))
    house.ledger.bet(2, round_id="s", time=NOON + AN_HOUR)
    for granularity, expected in [(MINUTE, [2]), (HOUR, [1, 2]), (DAY, [3])]:
        found = await house.activities(
            NOON + AN_HOUR - timedelta(microseconds=1) + SECOND,
            NOON + AN_HOUR + 2 * SECOND,
            granularity=granularity,
        )
        assert [each.bets_minor_units for each in found] == (
            expected if granularity != HOUR else [2]
        )
    (whole,) = await house.activities(
        NOON + timedelta(minutes=59, seconds=30), NOON + AN_HOUR + SECOND
    )
    assert whole.bets_minor_units == 3
    assert whole.bucket_time.ToDatetime(UTC) == NOON + timedelta(minutes=59)


async def test_interval_that_is_empty_or_too_long_is_refused(house: House) -> None:
    invalid = grpc.StatusCode.INVALID_ARGUMENT, "INTERVAL_INVALID"
    for start, end, granularity, buckets in [
        (NOON, NOON, DAY, 0),
        (NOON, NOON - A_DAY, MINUTE, 0),
        (NOON, NOON + 10_001 * A_MINUTE, MINUTE, 10_001),
        (NOON + SECOND, NOON + SECOND + 10_000 * A_MINUTE, MINUTE, 10_001),
    ]:
        found = await told(house.ask(request(start, end, granularity=granularity)))
        assert found == (*invalid, {"buckets": str(buckets), "buckets_max": "10000"})
    for granularity, length in [(MINUTE, 10_000 * A_MINUTE), (HOUR, 10_000 * AN_HOUR)]:
        answer = await house.ask(request(NOON, NOON + length, granularity=granularity))
        assert list(answer.activities) == []


async def test_answer_of_too_many_groups_is_refused(house: House) -> None:
    house.ledger.bet(1)
    await house.catch_up()
    database = Database(house.database_url, schema="analytics")
    async with database.transaction() as connection:
        (counted,) = (
            await connection.execute(select(ACTIVITY).where(ACTIVITY.c.span == "minute"))
        ).mappings()
        await connection.execute(
            insert(ACTIVITY), [{**counted, "game_id": f"g{number}"} for number in range(9_999)]
        )
    await database.close()
    asked = request(NOON, NOON + A_MINUTE, dimensions=[GAME])
    assert len((await house.ask(asked)).activities) == 10_000
    house.ledger.bet(1, game="one more", time=NOON + 2 * SECOND)
    await house.catch_up()
    code, reason, metadata = await told(house.ask(asked))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INTERVAL_INVALID")
    assert metadata == {"buckets": "10001", "buckets_max": "10000"}


async def test_times_that_no_calendar_needs_are_refused(house: House) -> None:
    asked = request(NOON, NOON)
    asked.end_time.seconds = 10**17
    code, reason, metadata = await told(house.ask(asked))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert metadata["fields"] == "end_time"


async def test_follow_time_is_that_of_the_last_event(house: House) -> None:
    answer = await house.ask(request(NOON, NOON + A_DAY))
    assert not answer.HasField("follow_time")
    house.ledger.bet(1)
    # Also an event that is not counted tells how far the ledger was followed.
    house.ledger.record(DEPOSIT, 5, time=NOON + SECOND)
    await house.catch_up()
    answer = await house.ask(request(NOON, NOON + A_DAY))
    assert answer.follow_time.ToDatetime(UTC) == NOON + SECOND


async def test_only_admins_and_analysts_see_figures(house: House) -> None:
    asked = request(NOON, NOON + A_DAY)
    tokens = house.tokens
    unauthenticated, denied = (
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
    )
    for metadata, code, reason in [
        ((("x-request-id", "none"),), unauthenticated, "CREDENTIAL_MISSING"),
        (tokens.player("0198c0de-0000-7000-8000-000000000001"), denied, "CALLER_NOT_ALLOWED"),
        (tokens.operator(), denied, "CALLER_NOT_ALLOWED"),
        (tokens.operator("support", "cashier"), denied, "CALLER_NOT_ALLOWED"),
    ]:  # fmt: skip
        found = await told(house.ask(asked, metadata))
        assert found[:2] == (code, reason)
    for role in ("admin", "analyst"):
        await house.ask(asked, tokens.operator(role))


async def test_migrations_make_the_tables_that_the_code_declares(house: House) -> None:
    database = Database(house.database_url, schema="analytics")
    assert await migrations.differences(database, METADATA) == []
    await database.close()


async def test_only_the_embedded_database_is_brought_up_to_date_at_start(
    closed_house: House, engine_name: str, tmp_path: Path
) -> None:
    if engine_name == "sqlite":
        closed_house.database_url = f"sqlite+aiosqlite:///{tmp_path}/new/analytics.db"
        await closed_house.open_analytics(closed_house.stack)
        assert list((await closed_house.ask(request(NOON, NOON + A_DAY))).activities) == []
    else:
        closed_house.database_url = shared_server().create_database("analytics_empty")
        with pytest.raises(migrations.NotMigratedError):
            await closed_house.open_analytics(closed_house.stack)
