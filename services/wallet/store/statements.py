"""Set statements: each does its work for many rows at once.

A statement is written once, over a table of given rows. SQLite gets that table as VALUES of a
fixed size, PostgreSQL as arrays to unnest; so both send one statement for a whole batch.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Delete,
    Dialect,
    FromClause,
    Insert,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    column,
    exists,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.types import TypeEngine

from services.wallet import tables as t

Statement = Select[Any] | Insert | Update | Delete
_ROWS = "/*rows*/"
_TEMPLATE, _ARRAYS = 0, -1

Build = Callable[[FromClause], Statement]


@dataclass(frozen=True)
class SetStatement:
    """A statement over a table of given rows.

    Attributes:
        name: What it is for, as traces show it.
        given: Names and types of the columns of the given rows, in order.
        build: Writes the statement; it reads `given.c`.
    """

    name: str
    given: tuple[tuple[str, TypeEngine[Any]], ...]
    build: Build
    _compiled: dict[int, str] = field(default_factory=dict, compare=False)

    def for_values(self, dialect: Dialect, rows: int) -> str:
        """Compiles for so many rows of positional parameters, one after the other."""
        found = self._compiled.get(rows)
        if found is None:
            template = self._compiled.get(_TEMPLATE)
            if template is None:
                template = self._compiled[_TEMPLATE] = self._compile_template(dialect)
            row = f"({', '.join('?' * len(self.given))})"
            # SQLAlchemy compiles the statement once; sizes differ in the number of rows alone.
            found = self._compiled[rows] = template.replace(_ROWS, ", ".join([row] * rows))
        return found

    def _compile_template(self, dialect: Dialect) -> str:
        numbered = list(enumerate(self.given, start=1))
        # SQLite names the columns of VALUES itself, and takes no names for them.
        values = text(f"VALUES {_ROWS}").columns(
            *(column(f"column{index}", type_) for index, (_, type_) in numbered)
        )
        raw = values.subquery("raw")
        given = select(
            *(raw.c[f"column{index}"].label(name) for index, (name, _) in numbered)
        ).subquery("given")
        return str(self.build(given).compile(dialect=dialect))

    def for_arrays(self, dialect: Dialect) -> str:
        """Compiles for one array a column."""
        found = self._compiled.get(_ARRAYS)
        if found is None:
            arrays = (bindparam(f"given_{name}", type_=ARRAY(type_)) for name, type_ in self.given)
            given = (
                func.unnest(*arrays)
                .table_valued(*(column(name, type_) for name, type_ in self.given), name="given")
                .render_derived()
            )
            found = self._compiled[_ARRAYS] = str(self.build(given).compile(dialect=dialect))
        return found


def _typed(*columns: Column[Any]) -> tuple[tuple[str, TypeEngine[Any]], ...]:
    return tuple((each.name, each.type) for each in columns)


def _same(table: FromClause, given: FromClause, names: Iterable[str]) -> ColumnElement[bool]:
    return and_(*(table.c[name] == given.c[name] for name in names))


def _insert(table: Table) -> SetStatement:
    names = [each.name for each in table.columns]

    def build(given: FromClause) -> Statement:
        return insert(table).from_select(names, select(*(given.c[name] for name in names)))

    return SetStatement(f"insert_{table.name}", _typed(*table.columns), build)


def _update(table: Table, *changing: str) -> SetStatement:
    """Writes absolute values where the row is still as it was read."""
    keys = [each.name for each in table.primary_key]

    def build(given: FromClause) -> Statement:
        return (
            update(table)
            .values({name: given.c[name] for name in (*changing, "version")})
            .where(_same(table, given, keys), table.c.version == given.c.stored_version)
        )

    columns = [table.c[name] for name in (*keys, *changing, "version")]
    return SetStatement(
        f"update_{table.name}",
        (*_typed(*columns), ("stored_version", table.c.version.type)),
        build,
    )


def _select(name: str, table: Table, *keys: str, where: str | None = None) -> SetStatement:
    """Reads the rows of a table that the given columns name."""

    def build(given: FromClause) -> Statement:
        statement = select(table).where(_same(table, given, keys))
        return statement if where is None else statement.where(text(where))

    return SetStatement(name, _typed(*(table.c[key] for key in keys)), build)


def _transfers_by_key(given: FromClause) -> Statement:
    original = t.TRANSFER.alias("original")
    names = ("tenant", "source", "key")
    return select(t.TRANSFER, t.ROUND.c.round_key, original.c.key, original.c.kind).select_from(
        given.join(t.TRANSFER, _same(t.TRANSFER, given, names))
        .outerjoin(t.ROUND, t.ROUND.c.round_id == t.TRANSFER.c.round_id)
        .outerjoin(
            original,
            and_(
                original.c.shard == t.TRANSFER.c.shard,
                original.c.seq == t.TRANSFER.c.original_seq,
            ),
        )
    )


def _players(given: FromClause) -> Statement:
    player_id = t.PLAYER.c.player_id
    return select(
        t.PLAYER,
        exists().where(
            t.HOLD.c.player_id == player_id,
            text("hold.state = 0"),
            t.HOLD.c.expire_time.is_not(None),
        ),
        exists().where(t.BONUS.c.player_id == player_id, text("bonus.state <= 1")),
        exists().where(t.LIMIT_COUNTER.c.player_id == player_id),
    ).where(player_id == given.c.player_id)


def _sources(given: FromClause) -> Statement:
    """Reads which of the given sources have used a key."""
    used = exists().where(_same(t.TRANSFER, given, ("tenant", "source")))
    return select(given.c.tenant, given.c.source).where(used)


TRANSFERS_BY_KEY = SetStatement(
    "select_transfers",
    _typed(t.TRANSFER.c.tenant, t.TRANSFER.c.source, t.TRANSFER.c.key),
    _transfers_by_key,
)
ENTRIES_OF_TRANSFERS = _select("select_entries", t.ENTRY, "shard", "seq")
# Said so that SQLite takes the index of reversals: IS NOT NULL would not do, and read all history.
REVERSALS = _select(
    "select_reversals", t.TRANSFER, "shard", "original_seq", where="transfer.reversal_no > 0"
)
PLAYERS = SetStatement("select_players", _typed(t.PLAYER.c.player_id), _players)
ACCOUNTS_OF_PLAYERS = _select("select_accounts", t.ACCOUNT, "player_id")
HOUSE_ACCOUNTS = _select("select_house_accounts", t.ACCOUNT, "shard", where="player_id IS NULL")
ROUNDS_BY_NAME = _select("select_rounds", t.ROUND, "tenant", "source", "player_id", "round_key")
ROUNDS_BY_ID = _select("select_rounds_by_id", t.ROUND, "round_id")
HOLDS_BY_ID = _select("select_holds", t.HOLD, "hold_id")
HOLDS_OF_PLAYERS = _select(
    "select_pending_holds",
    t.HOLD,
    "player_id",
    where="hold.state = 0 AND hold.expire_time IS NOT NULL",
)
BONUSES_BY_ID = _select("select_bonuses", t.BONUS, "bonus_id")
BONUSES_OF_PLAYERS = _select("select_live_bonuses", t.BONUS, "player_id", where="bonus.state <= 1")
LIMITS_OF_PLAYERS = _select("select_limits", t.LIMIT_COUNTER, "player_id")
SOURCES = SetStatement("select_sources", _typed(t.TRANSFER.c.tenant, t.TRANSFER.c.source), _sources)
LAST_BATCH = _select("select_last_batch", t.BATCH, "shard", "batch_no")

INSERT_TRANSFERS = _insert(t.TRANSFER)
INSERT_ENTRIES = _insert(t.ENTRY)
INSERT_BATCH = _insert(t.BATCH)
INSERT_PLAYERS = _insert(t.PLAYER)
INSERT_ACCOUNTS = _insert(t.ACCOUNT)
INSERT_ROUNDS = _insert(t.ROUND)
INSERT_HOLDS = _insert(t.HOLD)
INSERT_BONUSES = _insert(t.BONUS)
INSERT_LIMITS = _insert(t.LIMIT_COUNTER)
INSERT_POLICIES = _insert(t.POLICY)

UPDATE_PLAYERS = _update(t.PLAYER, "restrictions")
UPDATE_ACCOUNTS = _update(
    t.ACCOUNT,
    "debits_posted",
    "credits_posted",
    "debits_pending",
    "credits_pending",
    "floor",
)
UPDATE_ROUNDS = _update(
    t.ROUND, "state", "staked_cash", "staked_bonus", "won_cash", "won_bonus", "wins", "bonus_id"
)
UPDATE_HOLDS = _update(t.HOLD, "posted_amount", "state")
UPDATE_BONUSES = _update(t.BONUS, "wager_done", "state")
UPDATE_LIMITS = _update(
    t.LIMIT_COUNTER,
    "max_amount",
    "used",
    "window_seq",
    "window_end",
    "next_max",
    "next_time",
)


def _fence(given: FromClause) -> Statement:
    # The batch before this one must be the last of this reign.
    return (
        update(t.SHARD)
        .values(last_batch=given.c.last_batch)
        .where(
            _same(t.SHARD, given, ("shard", "epoch")),
            t.SHARD.c.last_batch == given.c.stored_batch,
        )
    )


def _seal_shard(given: FromClause) -> Statement:
    return (
        update(t.SHARD)
        .values(last_seq=given.c.last_seq, head_hash=given.c.head_hash)
        .where(_same(t.SHARD, given, ("shard",)))
    )


def _begin_reign(given: FromClause) -> Statement:
    return (
        update(t.SHARD)
        .values(epoch=given.c.epoch)
        .where(
            t.SHARD.c.shard == given.c.shard,
            t.SHARD.c.epoch == given.c.stored_epoch,
        )
    )


_BIG = t.SHARD.c.epoch.type
FENCE = SetStatement(
    "fence_shard",
    (*_typed(t.SHARD.c.shard, t.SHARD.c.epoch, t.SHARD.c.last_batch), ("stored_batch", _BIG)),
    _fence,
)
SEAL_SHARD = SetStatement(
    "seal_shard",
    _typed(t.SHARD.c.shard, t.SHARD.c.last_seq, t.SHARD.c.head_hash),
    _seal_shard,
)
BEGIN_REIGN = SetStatement(
    "begin_reign",
    (*_typed(t.SHARD.c.shard, t.SHARD.c.epoch), ("stored_epoch", _BIG)),
    _begin_reign,
)
SHARD_STATE = _select("select_shard", t.SHARD, "shard")
POLICIES = SetStatement(
    "select_policies",
    _typed(t.POLICY.c.policy_id),
    lambda given: select(t.POLICY).where(t.POLICY.c.policy_id >= given.c.policy_id),
)
