"""Limits that players choose, and changes of them on their way to the wallet.

The changes of restrictions move into one table with those of limits.
"""

import sqlalchemy as sa
from alembic import op

from services.kit.columns import UtcMicros, integer_check

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KIND_KNOWN = "kind IN ('LIMIT_KIND_DEPOSIT', 'LIMIT_KIND_WAGER', 'LIMIT_KIND_LOSS')"
_PERIOD_KNOWN = "period IN ('LIMIT_PERIOD_DAY', 'LIMIT_PERIOD_WEEK', 'LIMIT_PERIOD_MONTH')"
_UNSETTLED = sa.text("settle_time IS NULL")


def upgrade() -> None:
    _create_wallet_change()
    op.execute(
        "INSERT INTO wallet_change (player_id, number, change_id, subject, restrictions, "
        "create_time, attempt_time, settle_time, superseded) "
        "SELECT player_id, number, change_id, '', restrictions, "
        "create_time, attempt_time, settle_time, superseded FROM restriction_change"
    )
    op.drop_table("restriction_change")
    _create_player_limit()
    _create_limit_request()
    _forbid_changes("limit_request")


def _player_id() -> sa.Column[str]:
    return sa.Column("player_id", sa.Text, nullable=False)


def _of_player(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["player_id"], ["player.player_id"], name=f"{table}_player_id_fkey", ondelete="RESTRICT"
    )


def _create_wallet_change() -> None:
    op.create_table(
        "wallet_change",
        _player_id(),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("change_id", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("restrictions", sa.Text),
        sa.Column("max_minor_units", sa.BigInteger),
        sa.Column("start_time", UtcMicros),
        sa.Column("create_time", UtcMicros, nullable=False),
        sa.Column("attempt_time", UtcMicros),
        sa.Column("settle_time", UtcMicros),
        sa.Column("superseded", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("player_id", "number", name="wallet_change_pkey"),
        _of_player("wallet_change"),
        sa.UniqueConstraint("change_id", name="wallet_change_change_id_key"),
        sa.CheckConstraint("number > 0", name="number_positive"),
        sa.CheckConstraint(
            "NOT superseded OR (attempt_time IS NULL AND settle_time IS NOT NULL)",
            name="superseded_was_never_sent",
        ),
        sa.CheckConstraint(
            "(subject = '') = (restrictions IS NOT NULL)",
            name="restrictions_are_told",
        ),
        sa.CheckConstraint(
            "subject <> '' OR (max_minor_units IS NULL AND start_time IS NULL)",
            name="maximum_is_of_limit",
        ),
        integer_check("number"),
        integer_check("max_minor_units", optional=True),
    )
    op.create_index(
        "wallet_change_outstanding_index",
        "wallet_change",
        ["player_id"],
        sqlite_where=_UNSETTLED,
        postgresql_where=_UNSETTLED,
    )


def _create_player_limit() -> None:
    op.create_table(
        "player_limit",
        _player_id(),
        sa.Column("currency_code", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("period", sa.Text, nullable=False),
        sa.Column("max_minor_units", sa.BigInteger),
        sa.Column("next_max_minor_units", sa.BigInteger),
        sa.Column("next_time", UtcMicros),
        sa.PrimaryKeyConstraint(
            "player_id", "currency_code", "kind", "period", name="player_limit_pkey"
        ),
        _of_player("player_limit"),
        sa.CheckConstraint(_KIND_KNOWN, name="kind_known"),
        sa.CheckConstraint(_PERIOD_KNOWN, name="period_known"),
        sa.CheckConstraint("max_minor_units >= 0", name="max_minor_units_not_negative"),
        sa.CheckConstraint(
            "next_time IS NULL OR (max_minor_units IS NOT NULL AND "
            "(next_max_minor_units IS NULL OR next_max_minor_units > max_minor_units))",
            name="next_is_looser",
        ),
        sa.CheckConstraint(
            "next_max_minor_units IS NULL OR next_time IS NOT NULL",
            name="next_has_time",
        ),
        integer_check("max_minor_units", optional=True),
        integer_check("next_max_minor_units", optional=True),
    )


def _create_limit_request() -> None:
    op.create_table(
        "limit_request",
        _player_id(),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("requester_id", sa.Text, nullable=False),
        sa.Column("currency_code", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("period", sa.Text, nullable=False),
        sa.Column("old_max_minor_units", sa.BigInteger),
        sa.Column("new_max_minor_units", sa.BigInteger),
        sa.Column("request_time", UtcMicros, nullable=False),
        sa.Column("start_time", UtcMicros, nullable=False),
        sa.PrimaryKeyConstraint("player_id", "request_id", name="limit_request_pkey"),
        _of_player("limit_request"),
        sa.CheckConstraint(_KIND_KNOWN, name="kind_known"),
        sa.CheckConstraint(_PERIOD_KNOWN, name="period_known"),
        sa.CheckConstraint("start_time >= request_time", name="starts_after_request"),
        integer_check("old_max_minor_units", optional=True),
        integer_check("new_max_minor_units", optional=True),
    )


def _forbid_changes(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_unchanged() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_unchanged()"
    )
