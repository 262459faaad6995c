"""What Analytics does, one method a use case."""

from collections.abc import Iterable

from services.analytics import store
from services.analytics.domain import (
    BUCKETS_MAX,
    Activity,
    ActivityQuery,
    Fact,
    Report,
    plan,
    tally,
)
from services.analytics.errors import IntervalInvalidError
from services.kit.database import Database, Transaction

_LEDGER = "wallet"


class AnalyticsService:
    """Adds up what the ledger tells, and answers from the sums."""

    def __init__(self, database: Database) -> None:
        """Takes the database that the follower of the ledger commits to."""
        self._database = database

    async def record(self, connection: Transaction, facts: Iterable[Fact]) -> None:
        """Counts facts, in the transaction that moves the cursor behind them."""
        summed = tally(facts)
        summed.count_rounds(await store.begin_rounds(connection, summed.first_bets.keys()))
        await store.add_figures(connection, summed.figures_of_all_spans())
        await store.add_presences(connection, summed.presences_of_all_spans())
        await store.end_rounds(connection, summed.ended_rounds)

    async def query_game_activity(self, query: ActivityQuery) -> Report:
        """Reports what happened in games, as of one moment.

        Raises:
            IntervalInvalidError: The interval is empty, or the answer would be too large.
        """
        planned = plan(query)
        async with self._database.snapshot() as connection:
            figures = await store.read_figures(connection, query, planned, limit=BUCKETS_MAX + 1)
            if len(figures) > BUCKETS_MAX:
                raise IntervalInvalidError(buckets=len(figures), buckets_max=BUCKETS_MAX)
            players = await store.count_players(connection, query, planned)
            follow_time = await store.find_follow_time(connection, _LEDGER)
        return Report(
            [
                Activity(group, figures[group], active_player_count=players.get(group, 0))
                for group in sorted(figures)
            ],
            follow_time,
        )
