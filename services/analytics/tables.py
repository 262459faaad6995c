"""The tables of Analytics. All of them can be made anew by following the ledger from the start."""

from sqlalchemy import BigInteger, CheckConstraint, Column, MetaData, Table, Text

from services.kit.columns import UtcMicros, integer_check
from services.kit.feed import cursor_table

METADATA = MetaData()

FEED_CURSOR = cursor_table(METADATA)


def _group_columns(table: str) -> list[Column[object] | CheckConstraint]:
    # Intervals are read by span and time; what else is asked for is filtered among those rows.
    return [
        Column("span", Text, primary_key=True),
        Column("bucket_time", UtcMicros, primary_key=True, autoincrement=False),
        Column("currency_code", Text, primary_key=True),
        Column("provider_id", Text, primary_key=True),
        Column("game_id", Text, primary_key=True),
        CheckConstraint("span IN ('minute', 'hour', 'day')", name=f"{table}_span_known"),
    ]


# Each movement is counted three times: in its minute, its hour and its day.
ACTIVITY = Table(
    "activity",
    METADATA,
    *_group_columns("activity"),
    Column("bets_minor_units", BigInteger, nullable=False),
    Column("wins_minor_units", BigInteger, nullable=False),
    Column("bet_count", BigInteger, nullable=False),
    Column("win_count", BigInteger, nullable=False),
    Column("rollback_count", BigInteger, nullable=False),
    Column("round_count", BigInteger, nullable=False),
    integer_check("bets_minor_units"),
    integer_check("wins_minor_units"),
    CheckConstraint(
        "bet_count >= 0 AND win_count >= 0 AND rollback_count >= 0 AND round_count >= 0",
        name="activity_counts_not_negative",
    ),
    # The key is nearly the whole row: no second copy of it.
    sqlite_with_rowid=False,
)

# Who placed a bet: different players cannot be added up, only counted.
PRESENCE = Table(
    "presence",
    METADATA,
    *_group_columns("presence"),
    Column("player_id", Text, primary_key=True),
    sqlite_with_rowid=False,
)

# Rounds that have been counted and may take further bets. Once the ledger has closed a round it
# refuses bets of it, so that the row has served its purpose.
OPEN_ROUND = Table(
    "open_round",
    METADATA,
    Column("provider_id", Text, primary_key=True),
    Column("player_id", Text, primary_key=True),
    Column("round_id", Text, primary_key=True),
    sqlite_with_rowid=False,
)
