"""The limits that players chose."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.player.domain import Limit, LimitKind, LimitName, LimitPeriod, PendingMaximum
from services.player.tables import PLAYER_LIMIT

_COLUMNS = PLAYER_LIMIT.c


async def find(connection: AsyncConnection, player_id: str, name: LimitName) -> Limit | None:
    """Finds a limit, as the player's last wish left it."""
    rows = await connection.execute(select(PLAYER_LIMIT).where(_is(player_id, name)))
    row = rows.one_or_none()
    return None if row is None else _limit(row)


async def list_of(connection: AsyncConnection, player_id: str) -> Sequence[Limit]:
    """Lists all limits that a player ever set, by currency."""
    rows = await connection.execute(
        select(PLAYER_LIMIT)
        .where(_COLUMNS.player_id == player_id)
        .order_by(_COLUMNS.currency_code, _COLUMNS.kind, _COLUMNS.period)
    )
    return [_limit(row) for row in rows]


async def add(connection: AsyncConnection, player_id: str, limit: Limit) -> None:
    """Adds a limit of a player whom the caller has locked."""
    await connection.execute(
        insert(PLAYER_LIMIT).values(
            player_id=player_id,
            currency_code=limit.name.currency_code,
            kind=limit.name.kind,
            period=limit.name.period,
            **_maxima(limit),
        )
    )


async def save(connection: AsyncConnection, player_id: str, limit: Limit) -> None:
    """Writes a limit of a player whom the caller has locked."""
    await connection.execute(
        update(PLAYER_LIMIT).where(_is(player_id, limit.name)).values(**_maxima(limit))
    )


def name_of(row: Row[Any]) -> LimitName:
    """Reads which limit a row is about."""
    return LimitName(
        currency_code=row.currency_code, kind=LimitKind(row.kind), period=LimitPeriod(row.period)
    )


def _is(player_id: str, name: LimitName) -> ColumnElement[bool]:
    return and_(
        _COLUMNS.player_id == player_id,
        _COLUMNS.currency_code == name.currency_code,
        _COLUMNS.kind == name.kind,
        _COLUMNS.period == name.period,
    )


def _maxima(limit: Limit) -> dict[str, object]:
    pending = limit.pending
    return {
        "max_minor_units": limit.max_minor_units,
        "next_max_minor_units": None if pending is None else pending.max_minor_units,
        "next_time": None if pending is None else pending.start_time,
    }


def _limit(row: Row[Any]) -> Limit:
    pending = None
    if row.next_time is not None:
        pending = PendingMaximum(max_minor_units=row.next_max_minor_units, start_time=row.next_time)
    return Limit(name=name_of(row), max_minor_units=row.max_minor_units, pending=pending)
