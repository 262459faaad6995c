"""The wallet's tables. Each defends itself, on both engines.

Money and times are 64-bit integers, and every SQLite table is STRICT, so that it takes nothing
else. Arithmetic happens in Python and arrives as absolute values: SQLite would turn an overflowing
sum into a float. The columns of `transfer` and `entry` stand in the order of the named tuples
`Transfer` and `Entry`, which reach the database as they are; so those of `policy`.

Not declared here, but in the migrations: the triggers that refuse to change history, and the fill
factors of tables that are updated often.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.schema import SchemaItem

from services.kit.columns import NAMES

METADATA = MetaData(naming_convention=NAMES)

# STRICT takes INTEGER as a type, and neither BIGINT nor SMALLINT. It is 64 bits wide either way.
_BIG = BigInteger().with_variant(Integer(), "sqlite")
_SMALL = SmallInteger().with_variant(Integer(), "sqlite")


def _table(name: str, *items: SchemaItem, rowid: bool = True) -> Table:
    return Table(name, METADATA, *items, sqlite_strict=True, sqlite_with_rowid=rowid)


def _big(name: str, *arguments: Any, **options: Any) -> Column[int]:
    return Column(name, _BIG, *arguments, **{"nullable": False, **options})


def _small(name: str, **options: Any) -> Column[int]:
    return Column(name, _SMALL, **{"nullable": False, **options})


def _text(name: str, *arguments: Any, **options: Any) -> Column[str]:
    return Column(name, Text, *arguments, **{"nullable": False, **options})


def _bytes(name: str, *arguments: Any, **options: Any) -> Column[bytes]:
    return Column(name, LargeBinary, *arguments, **{"nullable": False, **options})


def _check(name: str, condition: str) -> CheckConstraint:
    return CheckConstraint(condition, name=name)


def _partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    return Index(
        name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where)
    )


CURRENCY = _table(
    "currency",
    _text("code", primary_key=True),
    # Immutable once an account uses it: old amounts keep their meaning.
    _small("exponent"),
    _text("kind"),
    _check("exponent_range", "exponent BETWEEN 0 AND 9"),
    _check("kind_known", "kind IN ('fiat', 'crypto', 'stablecoin')"),
)

# Only added to: each transfer names the version that judged it. The transfer that set a version
# says all of it, so the audit finds a row that differs; the first row is the same in every ledger.
POLICY = _table(
    "policy",
    _big("policy_id", primary_key=True, autoincrement=False),
    _text("tenant"),
    _text("source"),
    _big("version"),
    _text("switches"),
    _big("create_time"),
    # Null for the default, which no transfer has set.
    _big("seq", nullable=True),
    _text("actor", server_default=text("''")),
    _text("reason", server_default=text("''")),
    UniqueConstraint("tenant", "source", "version"),
)

# The first statement of every transaction: fence, counter and head of the chain in one row.
SHARD = _table(
    "shard",
    _big("shard", primary_key=True, autoincrement=False),
    _big("epoch"),
    _text("incarnation"),
    _big("last_seq"),
    _big("last_batch"),
    _bytes("head_hash"),
)

# A row must exist before money: what does not exist cannot be locked.
PLAYER = _table(
    "player",
    _bytes("player_id", primary_key=True),
    _text("tenant"),
    _big("shard"),
    _big("restrictions"),
    _big("version"),
    _check("player_id_length", "length(player_id) = 16"),
)

ACCOUNT = _table(
    "account",
    _big("account_id", primary_key=True, autoincrement=False),
    _big("shard"),
    _bytes("player_id", ForeignKey("player.player_id", ondelete="RESTRICT"), nullable=True),
    _small("house_kind"),
    _text("source"),
    _text("currency_code", ForeignKey("currency.code", ondelete="RESTRICT")),
    _small("bucket"),
    _big("debits_posted"),
    _big("credits_posted"),
    _big("debits_pending"),
    _big("credits_pending"),
    _big("floor"),
    _big("version"),
    _check(
        "counters_not_negative",
        "debits_posted >= 0 AND credits_posted >= 0"
        " AND debits_pending >= 0 AND credits_pending >= 0",
    ),
    # The house may owe; a player may not go below the floor, holds counted as spent.
    _check(
        "not_below_floor",
        "player_id IS NULL OR credits_posted - debits_posted - debits_pending >= floor",
    ),
    _check("floor_not_positive", "floor <= 0"),
    _check(
        "player_or_house",
        "(player_id IS NOT NULL AND house_kind = 0 AND bucket > 0 AND source = '')"
        " OR (player_id IS NULL AND house_kind > 0 AND bucket = 0)",
    ),
    _partial_index(
        "account_player_id_currency_code_bucket_index",
        "player_id",
        "currency_code",
        "bucket",
        where="player_id IS NOT NULL",
        unique=True,
    ),
    _partial_index(
        "account_house_index",
        "shard",
        "house_kind",
        "source",
        "currency_code",
        where="player_id IS NULL",
        unique=True,
    ),
)

# The log, the key table and the feed in one, so that they cannot drift apart.
TRANSFER = _table(
    "transfer",
    _big("shard"),
    _big("seq"),
    _text("tenant"),
    _text("source"),
    _bytes("key"),
    _small("kind"),
    _bytes("fingerprint"),
    # No foreign key: an operation of a player that nobody knows is stored too, as refused.
    _bytes("player_id"),
    _text("currency_code", nullable=True),
    _big("amount"),
    _big("bonus_amount"),
    _small("outcome"),
    _small("flags"),
    _big("group_no", nullable=True),
    _big("original_seq", nullable=True),
    _big("reversal_no", nullable=True),
    _bytes("hold_id", nullable=True),
    _big("round_id", nullable=True),
    _small("round_state", nullable=True),
    _bytes("bonus_id", nullable=True),
    _big("wager_delta"),
    _big("policy_id"),
    _big("cash_after", nullable=True),
    _big("bonus_after", nullable=True),
    _big("locked_after", nullable=True),
    _text("game_id"),
    _big("effective_time", nullable=True),
    _big("create_time"),
    _bytes("trace_id", nullable=True),
    _text("detail", nullable=True),
    PrimaryKeyConstraint("shard", "seq"),
    UniqueConstraint("tenant", "source", "key"),
    _check("seq_positive", "seq > 0"),
    _check("key_length", "length(key) BETWEEN 2 AND 130"),
    _check("fingerprint_length", "length(fingerprint) = 16"),
    # Only a correction has a sign.
    _check("amount_not_negative", "amount >= 0 OR kind = 14"),
    _check("trace_id_length", "trace_id IS NULL OR length(trace_id) = 16"),
    # No original is reversed twice under one number.
    _partial_index(
        "transfer_reversal_index",
        "shard",
        "original_seq",
        "reversal_no",
        where="reversal_no IS NOT NULL",
        unique=True,
    ),
    rowid=False,
)

ENTRY = _table(
    "entry",
    _big("shard"),
    _big("seq"),
    _small("leg"),
    _big("account_id"),
    _big("account_version"),
    _big("debit_posted"),
    _big("credit_posted"),
    _big("debit_pending"),
    _big("credit_pending"),
    _big("balance_after"),
    PrimaryKeyConstraint("shard", "seq", "leg"),
    # Dense: a second writer or a removed row shows.
    UniqueConstraint("account_id", "account_version"),
    _check("account_version_positive", "account_version > 0"),
    rowid=False,
)

HOLD = _table(
    "hold",
    _bytes("hold_id", primary_key=True),
    _big("shard"),
    _bytes("player_id", ForeignKey("player.player_id", ondelete="RESTRICT")),
    _big("account_id", ForeignKey("account.account_id", ondelete="RESTRICT")),
    _text("source"),
    _text("currency_code", ForeignKey("currency.code", ondelete="RESTRICT")),
    _small("direction"),
    _big("amount"),
    _big("posted_amount"),
    _small("state"),
    _big("expire_time", nullable=True),
    _big("create_time"),
    _big("version"),
    _check("posted_amount_range", "posted_amount BETWEEN 0 AND amount"),
    _check("posted_when_posted", "state = 1 OR posted_amount = 0"),
    _check("state_known", "state BETWEEN 0 AND 3"),
    _partial_index("hold_pending_player_index", "player_id", where="state = 0"),
    _partial_index(
        "hold_due_index", "shard", "expire_time", where="state = 0 AND expire_time IS NOT NULL"
    ),
)

# Live tables share one round id among players, so the player is part of the name.
ROUND = _table(
    "round",
    _big("round_id", primary_key=True, autoincrement=False),
    _big("shard"),
    _text("tenant"),
    _text("source"),
    # No foreign key: most bets open a round, and PostgreSQL would lock the player for each.
    _bytes("player_id"),
    _text("round_key"),
    _text("currency_code"),
    _small("state"),
    _big("staked_cash"),
    _big("staked_bonus"),
    _big("won_cash"),
    _big("won_bonus"),
    _big("wins"),
    _bytes("bonus_id", nullable=True),
    _big("version"),
    UniqueConstraint("tenant", "source", "player_id", "round_key"),
    _check("state_known", "state BETWEEN 1 AND 2"),
    _check(
        "sums_not_negative",
        "staked_cash >= 0 AND staked_bonus >= 0 AND won_cash >= 0 AND won_bonus >= 0",
    ),
)

BONUS = _table(
    "bonus",
    _bytes("bonus_id", primary_key=True),
    _big("shard"),
    _bytes("player_id", ForeignKey("player.player_id", ondelete="RESTRICT")),
    _text("source"),
    _text("currency_code", ForeignKey("currency.code", ondelete="RESTRICT")),
    _big("granted"),
    _big("wager_required"),
    _big("wager_done"),
    _big("max_bet", nullable=True),
    _small("spend_order", nullable=True),
    _small("state"),
    _big("expire_time"),
    _big("rules_version"),
    _big("version"),
    _check("state_known", "state BETWEEN 0 AND 4"),
    # One bonus counts at a time; others queue.
    _partial_index(
        "bonus_active_index", "player_id", "currency_code", where="state = 1", unique=True
    ),
    _partial_index("bonus_live_player_index", "player_id", where="state <= 1"),
    _partial_index("bonus_due_index", "shard", "expire_time", where="state <= 1"),
)

LIMIT_COUNTER = _table(
    "limit_counter",
    _bytes("player_id", ForeignKey("player.player_id", ondelete="RESTRICT")),
    _small("scope"),
    _small("kind"),
    _text("currency_code", ForeignKey("currency.code", ondelete="RESTRICT")),
    _small("period"),
    _big("max_amount", nullable=True),
    _big("used"),
    _big("window_seq"),
    _big("window_end"),
    _big("next_max", nullable=True),
    _big("next_time", nullable=True),
    _big("version"),
    PrimaryKeyConstraint("player_id", "scope", "kind", "currency_code", "period"),
    rowid=False,
)

# The audit chain.
BATCH = _table(
    "batch",
    _big("shard"),
    _big("batch_no"),
    _big("epoch"),
    _big("first_seq"),
    _big("last_seq"),
    _big("create_time"),
    _bytes("prev_hash"),
    _bytes("hash"),
    PrimaryKeyConstraint("shard", "batch_no"),
    _check("seq_order", "last_seq >= first_seq"),
    rowid=False,
)
