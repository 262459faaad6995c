"""Figures about games by minute, hour and day, and the cursor of the ledger's feed."""

import sqlalchemy as sa
from alembic import op

from services.kit.columns import UtcMicros, integer_check
from services.kit.feed import create_cursors

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_cursors(op)
    op.create_table(
        "activity",
        *_group_columns("activity"),
        sa.Column("bets_minor_units", sa.BigInteger, nullable=False),
        sa.Column("wins_minor_units", sa.BigInteger, nullable=False),
        sa.Column("bet_count", sa.BigInteger, nullable=False),
        sa.Column("win_count", sa.BigInteger, nullable=False),
        sa.Column("rollback_count", sa.BigInteger, nullable=False),
        sa.Column("round_count", sa.BigInteger, nullable=False),
        integer_check("bets_minor_units"),
        integer_check("wins_minor_units"),
        sa.CheckConstraint(
            "bet_count >= 0 AND win_count >= 0 AND rollback_count >= 0 AND round_count >= 0",
            name="activity_counts_not_negative",
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "presence",
        *_group_columns("presence"),
        sa.Column("player_id", sa.Text, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "open_round",
        sa.Column("provider_id", sa.Text, primary_key=True),
        sa.Column("player_id", sa.Text, primary_key=True),
        sa.Column("round_id", sa.Text, primary_key=True),
        sqlite_with_rowid=False,
    )


def _group_columns(table: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("span", sa.Text, primary_key=True),
        sa.Column("bucket_time", UtcMicros, primary_key=True, autoincrement=False),
        sa.Column("currency_code", sa.Text, primary_key=True),
        sa.Column("provider_id", sa.Text, primary_key=True),
        sa.Column("game_id", sa.Text, primary_key=True),
        sa.CheckConstraint("span IN ('minute', 'hour', 'day')", name=f"{table}_span_known"),
    ]
