"""Rounds."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import RowMapping, bindparam, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.game.domain import PlayerId, Round, RoundId, RoundKey
from services.game.tables import ROUND

_NAME = ("provider_id", "player_id", "provider_round_id")
_CHANGES = (
    "staked_minor_units",
    "won_minor_units",
    "bet_count",
    "reversed_bet_count",
    "closed",
    "end_time",
)
# SQLAlchemy keeps the plain names of columns for itself.
_UPDATE = (
    update(ROUND)
    .where(ROUND.c.round_id == bindparam("of_round_id"))
    .values({name: bindparam(f"new_{name}") for name in _CHANGES})
)


async def find_rounds(
    connection: AsyncConnection, keys: Collection[RoundKey]
) -> dict[RoundKey, Round]:
    """Returns those of the rounds that exist."""
    rows = await connection.execute(
        select(ROUND).where(
            tuple_(*(ROUND.c[name] for name in _NAME)).in_(
                [(key.provider_id, key.player_id, key.provider_round_id) for key in keys]
            )
        )
    )
    rounds = [_round(row) for row in rows.mappings()]
    return {each.key: each for each in rounds}


async def insert_rounds(connection: AsyncConnection, rounds: Sequence[Round]) -> None:
    """Adds rounds."""
    await connection.execute(insert(ROUND), [_row(each) for each in rounds])


async def update_rounds(connection: AsyncConnection, rounds: Sequence[Round]) -> None:
    """Stores what has changed in rounds."""
    await connection.execute(
        _UPDATE,
        [
            {
                "of_round_id": each.round_id,
                **{f"new_{name}": getattr(each, name) for name in _CHANGES},
            }
            for each in rounds
        ],
    )


async def page_rounds(
    connection: AsyncConnection,
    player_id: PlayerId,
    *,
    before: tuple[int, RoundId] | None,
    limit: int,
) -> list[Round]:
    """Returns a player's rounds, newest first, those older than `before`, at most `limit`."""
    place = tuple_(ROUND.c.start_seq, ROUND.c.round_id)
    query = (
        select(ROUND)
        .where(ROUND.c.player_id == player_id)
        .order_by(ROUND.c.start_seq.desc(), ROUND.c.round_id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(place < tuple_(*before))
    rows = await connection.execute(query)
    return [_round(row) for row in rows.mappings()]


def _round(row: RowMapping) -> Round:
    columns = dict(row)
    return Round(key=RoundKey(*(columns.pop(name) for name in _NAME)), **columns)


def _row(round_: Round) -> dict[str, Any]:
    row = asdict(round_)
    key: dict[str, str] = row.pop("key")
    return {**key, **row}
