"""The ledger: accounts, transfers, entries and what sums up from them."""

import json
import time
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from alembic import op

from services.kit.money import CURRENCIES

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_SMALL = sa.SmallInteger().with_variant(sa.Integer(), "sqlite")

_APPEND_ONLY = ("transfer", "entry", "batch", "policy")
_OFTEN_UPDATED = ("shard", "account", "round", "hold", "bonus", "limit_counter", "player")


def upgrade() -> None:
    _create_tables()
    if op.get_bind().dialect.name == "sqlite":
        _guard_history_on_sqlite()
    else:
        _guard_history_on_postgresql()
        _leave_room_for_updates()
    _insert_first_rows()


def _partial_index(name: str, table: str, columns: list[str], *, where: str, unique: bool) -> None:
    condition = sa.text(where)
    op.create_index(
        op.f(name),
        table,
        columns,
        unique=unique,
        sqlite_where=condition,
        postgresql_where=condition,
    )


def _create_tables() -> None:
    op.create_table(
        "batch",
        sa.Column("shard", _BIG, nullable=False),
        sa.Column("batch_no", _BIG, nullable=False),
        sa.Column("epoch", _BIG, nullable=False),
        sa.Column("first_seq", _BIG, nullable=False),
        sa.Column("last_seq", _BIG, nullable=False),
        sa.Column("create_time", _BIG, nullable=False),
        sa.Column("prev_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("shard", "batch_no", name=op.f("batch_pkey")),
        sa.CheckConstraint("last_seq >= first_seq", name=op.f("batch_seq_order")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "currency",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("exponent", _SMALL, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("currency_pkey")),
        sa.CheckConstraint("exponent BETWEEN 0 AND 9", name=op.f("currency_exponent_range")),
        sa.CheckConstraint(
            "kind IN ('fiat', 'crypto', 'stablecoin')", name=op.f("currency_kind_known")
        ),
        sqlite_strict=True,
    )
    op.create_table(
        "entry",
        sa.Column("shard", _BIG, nullable=False),
        sa.Column("seq", _BIG, nullable=False),
        sa.Column("leg", _SMALL, nullable=False),
        sa.Column("account_id", _BIG, nullable=False),
        sa.Column("account_version", _BIG, nullable=False),
        sa.Column("debit_posted", _BIG, nullable=False),
        sa.Column("credit_posted", _BIG, nullable=False),
        sa.Column("debit_pending", _BIG, nullable=False),
        sa.Column("credit_pending", _BIG, nullable=False),
        sa.Column("balance_after", _BIG, nullable=False),
        sa.PrimaryKeyConstraint("shard", "seq", "leg", name=op.f("entry_pkey")),
        sa.CheckConstraint("account_version > 0", name=op.f("entry_account_version_positive")),
        sa.UniqueConstraint(
            "account_id", "account_version", name=op.f("entry_account_id_account_version_key")
        ),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "player",
        sa.Column("player_id", sa.LargeBinary(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("shard", _BIG, nullable=False),
        sa.Column("restrictions", _BIG, nullable=False),
        sa.Column("version", _BIG, nullable=False),
        sa.PrimaryKeyConstraint("player_id", name=op.f("player_pkey")),
        sa.CheckConstraint("length(player_id) = 16", name=op.f("player_player_id_length")),
        sqlite_strict=True,
    )
    op.create_table(
        "policy",
        sa.Column("policy_id", _BIG, nullable=False, autoincrement=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("version", _BIG, nullable=False),
        sa.Column("switches", sa.Text(), nullable=False),
        sa.Column("create_time", _BIG, nullable=False),
        sa.PrimaryKeyConstraint("policy_id", name=op.f("policy_pkey")),
        sa.UniqueConstraint(
            "tenant", "source", "version", name=op.f("policy_tenant_source_version_key")
        ),
        sqlite_strict=True,
    )
    op.create_table(
        "shard",
        sa.Column("shard", _BIG, nullable=False, autoincrement=False),
        sa.Column("epoch", _BIG, nullable=False),
        sa.Column("incarnation", sa.Text(), nullable=False),
        sa.Column("last_seq", _BIG, nullable=False),
        sa.Column("last_batch", _BIG, nullable=False),
        sa.Column("head_hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("shard", name=op.f("shard_pkey")),
        sqlite_strict=True,
    )
    op.create_table(
        "transfer",
        sa.Column("shard", _BIG, nullable=False),
        sa.Column("seq", _BIG, nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("kind", _SMALL, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("player_id", sa.LargeBinary(), nullable=False),
        sa.Column("currency_code", sa.Text(), nullable=True),
        sa.Column("amount", _BIG, nullable=False),
        sa.Column("bonus_amount", _BIG, nullable=False),
        sa.Column("outcome", _SMALL, nullable=False),
        sa.Column("flags", _SMALL, nullable=False),
        sa.Column("group_no", _BIG, nullable=True),
        sa.Column("original_seq", _BIG, nullable=True),
        sa.Column("reversal_no", _BIG, nullable=True),
        sa.Column("hold_id", sa.LargeBinary(), nullable=True),
        sa.Column("round_id", _BIG, nullable=True),
        sa.Column("round_state", _SMALL, nullable=True),
        sa.Column("bonus_id", sa.LargeBinary(), nullable=True),
        sa.Column("wager_delta", _BIG, nullable=False),
        sa.Column("policy_id", _BIG, nullable=False),
        sa.Column("cash_after", _BIG, nullable=True),
        sa.Column("bonus_after", _BIG, nullable=True),
        sa.Column("locked_after", _BIG, nullable=True),
        sa.Column("game_id", sa.Text(), nullable=False),
        sa.Column("effective_time", _BIG, nullable=True),
        sa.Column("create_time", _BIG, nullable=False),
        sa.Column("trace_id", sa.LargeBinary(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("shard", "seq", name=op.f("transfer_pkey")),
        sa.CheckConstraint("amount >= 0 OR kind = 14", name=op.f("transfer_amount_not_negative")),
        sa.CheckConstraint("length(fingerprint) = 16", name=op.f("transfer_fingerprint_length")),
        sa.CheckConstraint("length(key) BETWEEN 2 AND 130", name=op.f("transfer_key_length")),
        sa.CheckConstraint("seq > 0", name=op.f("transfer_seq_positive")),
        sa.CheckConstraint(
            "trace_id IS NULL OR length(trace_id) = 16", name=op.f("transfer_trace_id_length")
        ),
        sa.UniqueConstraint("tenant", "source", "key", name=op.f("transfer_tenant_source_key_key")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    _partial_index(
        "transfer_reversal_index",
        "transfer",
        ["shard", "original_seq", "reversal_no"],
        where="reversal_no IS NOT NULL",
        unique=True,
    )
    op.create_table(
        "account",
        sa.Column("account_id", _BIG, nullable=False, autoincrement=False),
        sa.Column("shard", _BIG, nullable=False),
        sa.Column("player_id", sa.LargeBinary(), nullable=True),
        sa.Column("house_kind", _SMALL, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("currency_code", sa.Text(), nullable=False),
        sa.Column("bucket", _SMALL, nullable=False),
        sa.Column("debits_posted", _BIG, nullable=False),
        sa.Column("credits_posted", _BIG, nullable=False),
        sa.Column("debits_pending", _BIG, nullable=False),
        sa.Column("credits_pending", _BIG, nullable=False),
        sa.Column("floor", _BIG, nullable=False),
        sa.Column("version", _BIG, nullable=False),
        sa.PrimaryKeyConstraint("account_id", name=op.f("account_pkey")),
        sa.CheckConstraint(
            "debits_posted >= 0 AND credits_posted >= 0"
            " AND debits_pending >= 0 AND credits_pending >= 0",
            name=op.f("account_counters_not_negative"),
        ),
        sa.CheckConstraint("floor <= 0", name=op.f("account_floor_not_positive")),
        sa.CheckConstraint(
            "player_id IS NULL OR credits_posted - debits_posted - debits_pending >= floor",
            name=op.f("account_not_below_floor"),
        ),
        sa.CheckConstraint(
            "(player_id IS NOT NULL AND house_kind = 0 AND bucket > 0 AND source = '')"
            " OR (player_id IS NULL AND house_kind > 0 AND bucket = 0)",
            name=op.f("account_player_or_house"),
        ),
        sa.ForeignKeyConstraint(
            ["currency_code"],
            ["currency.code"],
            name=op.f("account_currency_code_fkey"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["player_id"],
            ["player.player_id"],
            name=op.f("account_player_id_fkey"),
            ondelete="RESTRICT",
        ),
        sqlite_strict=True,
    )
    _partial_index(
        "account_house_index",
        "account",
        ["shard", "house_kind", "source", "currency_code"],
        where="player_id IS NULL",
        unique=True,
    )
    _partial_index(
        "account_player_id_currency_code_bucket_index",
        "account",
        ["player_id", "currency_code", "bucket"],
        where="player_id IS NOT NULL",
        unique=True,
    )
    op.create_table(
        "bonus",
        sa.Column("bonus_id", sa.LargeBinary(), nullable=False),
        sa.Column("shard", _BIG, nullable=False),
        sa.Column("player_id", sa.LargeBinary(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("currency_code", sa.Text(), nullable=False),
        sa.Column("granted", _BIG, nullable=False),
        sa.Column("wager_required", _BIG, nullable=False),
        sa.Column("wager_done", _BIG, nullable=False),
        sa.Column("max_bet", _BIG, nullable=True),
        sa.Column("spend_order", _SMALL, nullable=True),
        sa.Column("state", _SMALL, nullable=False),
        sa.Column("expire_time", _BIG, nullable=False),
        sa.Column("rules_version", _BIG, nullable=False),
        sa.Column("version", _BIG, nullable=False),
        sa.PrimaryKeyConstraint("bonus_id", name=op.f("bonus_pkey")),
        sa.CheckConstraint("state BETWEEN 0 AND 4", name=op.f("bonus_state_known")),
        sa.ForeignKeyConstraint(
            ["currency_code"],
            ["currency.code"],
            name=op.f("bonus_currency_code_fkey"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["player_id"],
            ["player.player_id"],
            name=op.f("bonus_player_id_fkey"),
            ondelete="RESTRICT",
        ),
        sqlite_strict=True,
    )
    _partial_index(
        "bonus_active_index",
        "bonus",
        ["player_id", "currency_code"],
        where="state = 1",
        unique=True,
    )
    _partial_index(
        "bonus_due_index", "bonus", ["shard", "expire_time"], where="state <= 1", unique=False
    )
    _partial_index(
        "bonus_live_player_index", "bonus", ["player_id"], where="state <= 1", unique=False
    )
    op.create_table(
        "limit_counter",
        sa.Column("player_id", sa.LargeBinary(), nullable=False),
        sa.Column("scope", _SMALL, nullable=False),
        sa.Column("kind", _SMALL, nullable=False),
        sa.Column("currency_code", sa.Text(), nullable=False),
        sa.Column("period", _SMALL, nullable=False),
        sa.Column("max_amount", _BIG, nullable=True),
        sa.Column("used", _BIG, nullable=False),
        sa.Column("window_start", _BIG, nullable=False),
        sa.Column("window_end", _BIG, nullable=False),
        sa.Column("next_max", _BIG, nullable=True),
        sa.Column("next_time", _BIG, nullable=True),
        sa.Column("version", _BIG, nullable=False),
        sa.PrimaryKeyConstraint(
            "player_id", "scope", "kind", "currency_code", "period", name=op.f("limit_counter_pkey")
        ),
        sa.ForeignKeyConstraint(
            ["currency_code"],
            ["currency.code"],
            name=op.f("limit_counter_currency_code_fkey"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["player_id"],
            ["player.player_id"],
            name=op.f("limit_counter_player_id_fkey"),
            ondelete="RESTRICT",
        ),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "round",
        sa.Column("round_id", _BIG, nullable=False, autoincrement=False),
        sa.Column("shard", _BIG, nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("player_id", sa.LargeBinary(), nullable=False),
        sa.Column("round_key", sa.Text(), nullable=False),
        sa.Column("currency_code", sa.Text(), nullable=False),
        sa.Column("state", _SMALL, nullable=False),
        sa.Column("staked_cash", _BIG, nullable=False),
        sa.Column("staked_bonus", _BIG, nullable=False),
        sa.Column("won_cash", _BIG, nullable=False),
        sa.Column("won_bonus", _BIG, nullable=False),
        sa.Column("wins", _BIG, nullable=False),
        sa.Column("bonus_id", sa.LargeBinary(), nullable=True),
        sa.Column("version", _BIG, nullable=False),
        sa.PrimaryKeyConstraint("round_id", name=op.f("round_pkey")),
        sa.CheckConstraint("state BETWEEN 1 AND 2", name=op.f("round_state_known")),
        sa.CheckConstraint(
            "staked_cash >= 0 AND staked_bonus >= 0 AND won_cash >= 0 AND won_bonus >= 0",
            name=op.f("round_sums_not_negative"),
        ),
        sa.UniqueConstraint(
            "tenant",
            "source",
            "player_id",
            "round_key",
            name=op.f("round_tenant_source_player_id_round_key_key"),
        ),
        sqlite_strict=True,
    )
    op.create_table(
        "hold",
        sa.Column("hold_id", sa.LargeBinary(), nullable=False),
        sa.Column("shard", _BIG, nullable=False),
        sa.Column("player_id", sa.LargeBinary(), nullable=False),
        sa.Column("account_id", _BIG, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("currency_code", sa.Text(), nullable=False),
        sa.Column("direction", _SMALL, nullable=False),
        sa.Column("amount", _BIG, nullable=False),
        sa.Column("posted_amount", _BIG, nullable=False),
        sa.Column("state", _SMALL, nullable=False),
        sa.Column("expire_time", _BIG, nullable=True),
        sa.Column("create_time", _BIG, nullable=False),
        sa.Column("version", _BIG, nullable=False),
        sa.PrimaryKeyConstraint("hold_id", name=op.f("hold_pkey")),
        sa.CheckConstraint(
            "posted_amount BETWEEN 0 AND amount", name=op.f("hold_posted_amount_range")
        ),
        sa.CheckConstraint("state = 1 OR posted_amount = 0", name=op.f("hold_posted_when_posted")),
        sa.CheckConstraint("state BETWEEN 0 AND 3", name=op.f("hold_state_known")),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.account_id"],
            name=op.f("hold_account_id_fkey"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["currency_code"],
            ["currency.code"],
            name=op.f("hold_currency_code_fkey"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["player_id"],
            ["player.player_id"],
            name=op.f("hold_player_id_fkey"),
            ondelete="RESTRICT",
        ),
        sqlite_strict=True,
    )
    _partial_index(
        "hold_due_index",
        "hold",
        ["shard", "expire_time"],
        where="state = 0 AND expire_time IS NOT NULL",
        unique=False,
    )
    _partial_index(
        "hold_pending_player_index", "hold", ["player_id"], where="state = 0", unique=False
    )


def _guard_history_on_sqlite() -> None:
    for table in _APPEND_ONLY:
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_refuses_{change.lower()} BEFORE {change} ON {table}"
                f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
    op.execute(
        "CREATE TRIGGER currency_keeps_exponent BEFORE UPDATE OF code, exponent ON currency"
        " WHEN EXISTS (SELECT 1 FROM account WHERE currency_code = OLD.code)"
        " BEGIN SELECT RAISE(ABORT, 'the currency is in use'); END"
    )


def _guard_history_on_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for table in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_refuses_truncate BEFORE TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    op.execute(
        "CREATE FUNCTION keep_exponent() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN"
        " IF EXISTS (SELECT 1 FROM account WHERE currency_code = OLD.code) THEN"
        " RAISE EXCEPTION 'the currency is in use';"
        " END IF;"
        " RETURN NEW; END $$"
    )
    op.execute(
        "CREATE TRIGGER currency_keeps_exponent BEFORE UPDATE OF code, exponent ON currency"
        " FOR EACH ROW EXECUTE FUNCTION keep_exponent()"
    )


def _leave_room_for_updates() -> None:
    # With room in the page an update touches no index, since none is on a counter.
    for table in _OFTEN_UPDATED:
        op.execute(
            f"ALTER TABLE {table} SET (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.02)"
        )


def _insert_first_rows() -> None:
    op.bulk_insert(
        sa.table("currency", sa.column("code"), sa.column("exponent"), sa.column("kind")),
        [
            {"code": each.code, "exponent": each.exponent, "kind": each.kind.value}
            for each in CURRENCIES.values()
        ],
    )
    op.bulk_insert(
        sa.table(
            "policy",
            *map(sa.column, ("policy_id", "tenant", "source", "version", "switches")),
            sa.column("create_time"),
        ),
        [_default_policy()],
    )
    op.bulk_insert(
        sa.table(
            "shard",
            *map(sa.column, ("shard", "epoch", "incarnation", "last_seq", "last_batch")),
            sa.column("head_hash", sa.LargeBinary()),
        ),
        [
            {
                "shard": 0,
                "epoch": 0,
                "incarnation": str(uuid4()),
                "last_seq": 0,
                "last_batch": 0,
                "head_hash": bytes(32),
            }
        ],
    )


def _default_policy() -> dict[str, Any]:
    return {
        "policy_id": 1,
        "tenant": "",
        "source": "",
        "version": 1,
        "switches": json.dumps({}),
        "create_time": time.time_ns() // 1000,
    }
