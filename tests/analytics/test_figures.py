"""Whatever the traffic and however it is cut into batches, the figures are those of the ledger."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.analytics.clients import facts_of
from services.analytics.domain import ActivityQuery, Span
from services.analytics.service import AnalyticsService
from services.analytics.tables import ACTIVITY, OPEN_ROUND, PRESENCE
from services.kit.database import Database
from tests.analytics.ledger import CLOSED, OPEN, Ledger, Row, recomputed
from tests.kit.clock import ManualClock

BEGIN = datetime(2027, 1, 15, 22, 30, tzinfo=UTC)

SIDES = {
    "provider": st.sampled_from(["acme", "bolt"]),
    "game": st.sampled_from(["book", "wheel"]),
    "currency": st.sampled_from(["EUR", "BTC"]),
    "who": st.integers(0, 3),
    "round_id": st.sampled_from("abcdef"),
    "closes": st.booleans(),
    "minutes": st.sampled_from([0, 0, 0, 1, 17, 60, 700]),
}
MOVES = st.fixed_dictionaries(
    {
        "move": st.sampled_from(["bet", "bet", "win", "bet_rollback", "win_rollback"]),
        "amount": st.integers(0, 10**15),
        **SIDES,
    }
)
OFFSETS = st.integers(0, 3 * 24 * 60).map(lambda minutes: BEGIN + timedelta(minutes=minutes))
QUERIES = st.builds(
    lambda start, length, **rest: ActivityQuery(
        start=start, end=start + timedelta(seconds=length), **rest
    ),
    OFFSETS,
    st.integers(1, 3 * 86_400),
    span=st.sampled_from([None, *Span]),
    by_game=st.booleans(),
    by_provider=st.booleans(),
    game_id=st.sampled_from(["", "", "book"]),
    provider_id=st.sampled_from(["", "", "bolt"]),
    currency_code=st.sampled_from(["", "EUR"]),
)


@pytest.fixture
async def database(database_url: Callable[[str], str]) -> AsyncIterator[Database]:
    opened = Database(database_url("services.analytics"), schema="analytics")
    yield opened
    await opened.close()


def write(moves: list[dict[str, Any]]) -> Ledger:
    """Writes a ledger that closes rounds as the real one does: no bet afterwards."""
    ledger = Ledger(ManualClock())
    time = BEGIN
    closed = set()
    for each in moves:
        side = dict(each)
        time += timedelta(minutes=side.pop("minutes"), seconds=7)
        move, amount, closes = side.pop("move"), side.pop("amount"), side.pop("closes")
        round_key = side["provider"], side["who"], side["round_id"]
        if move == "bet" and round_key in closed:
            move = "win"
        if closes:
            closed.add(round_key)
        state = CLOSED if round_key in closed else OPEN
        getattr(ledger, move)(amount, time=time, round_state=state, **side)
    return ledger


def placed(query: ActivityQuery) -> Callable[[Any], Any]:
    """Says in which group of an answer a transfer belongs."""
    length = {None: 60, Span.MINUTE: 60, Span.HOUR: 3600, Span.DAY: 86_400}[query.span]
    start = int(query.start.timestamp()) // length * length
    end = -(-query.end.timestamp() // length) * length

    def place(transfer: Any) -> Any:
        seconds = transfer.result.create_time.seconds
        currency, provider = transfer.result.currency_code, transfer.result.source
        if (
            not start <= seconds < end
            or query.currency_code not in ("", currency)
            or query.provider_id not in ("", provider)
            or query.game_id not in ("", transfer.game_id)
        ):
            return None
        bucket = start if query.span is None else seconds // length * length
        return (
            datetime.fromtimestamp(bucket, UTC),
            currency,
            provider if query.by_provider else "",
            transfer.game_id if query.by_game else "",
        )

    return place


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    moves=st.lists(MOVES, min_size=1, max_size=60),
    batch=st.integers(1, 60),
    queries=st.lists(QUERIES, min_size=1, max_size=6),
)
async def test_figures_are_those_of_a_naive_recomputation(
    database: Database, moves: list[dict[str, Any]], batch: int, queries: list[ActivityQuery]
) -> None:
    ledger = write(moves)
    service = AnalyticsService(database)
    async with database.transaction() as connection:
        for table in (ACTIVITY, PRESENCE, OPEN_ROUND):
            await connection.execute(table.delete())
    for begin in range(0, len(ledger.events), batch):
        async with database.transaction() as connection:
            await service.record(connection, facts_of(ledger.events[begin : begin + batch]))
    for query in queries:
        report = await service.query_game_activity(query)
        found = {
            tuple(each.group): Row(
                each.figures.bets_minor_units,
                each.figures.wins_minor_units,
                each.figures.bet_count,
                each.figures.win_count,
                each.figures.rollback_count,
                each.figures.round_count,
                each.active_player_count,
            )
            for each in report.activities
        }
        assert found == recomputed(ledger.events, place=placed(query))
        assert list(found) == sorted(found)
