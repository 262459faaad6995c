"""Every SQL statement of Analytics."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    distinct,
    func,
    or_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from services.analytics.domain import (
    ActivityQuery,
    AnswerGroup,
    Figures,
    Group,
    Plan,
    Presence,
    RoundKey,
    Segment,
)
from services.analytics.tables import ACTIVITY, FEED_CURSOR, OPEN_ROUND, PRESENCE
from services.kit.database import upsert

_FIGURES = [each.name for each in fields(Figures)]


async def begin_rounds(
    connection: AsyncConnection, rounds: Collection[RoundKey]
) -> Sequence[RoundKey]:
    """Remembers rounds, and returns those that it had not known."""
    if not rounds:
        return []
    statement = (
        upsert(connection, OPEN_ROUND)
        .on_conflict_do_nothing()
        .returning(*OPEN_ROUND.primary_key.columns)
    )
    begun = await connection.execute(statement, [each._asdict() for each in rounds])
    return [RoundKey(*row) for row in begun]


async def end_rounds(connection: AsyncConnection, rounds: Collection[RoundKey]) -> None:
    """Forgets rounds that take no more bets."""
    if not rounds:
        return
    key = OPEN_ROUND.primary_key.columns
    await connection.execute(
        delete(OPEN_ROUND).where(*(column == bindparam(column.name) for column in key)),
        [each._asdict() for each in rounds],
    )


async def add_figures(connection: AsyncConnection, figures: Mapping[Group, Figures]) -> None:
    """Adds figures to those of their groups."""
    if not figures:
        return
    statement = upsert(connection, ACTIVITY)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=ACTIVITY.primary_key.columns,
            set_={name: ACTIVITY.c[name] + statement.excluded[name] for name in _FIGURES},
        ),
        [
            {**group._asdict(), **{name: getattr(each, name) for name in _FIGURES}}
            for group, each in figures.items()
        ],
    )


async def add_presences(connection: AsyncConnection, presences: Iterable[Presence]) -> None:
    """Notes who placed bets; who is noted already stays so."""
    rows = [{**group._asdict(), "player_id": player_id} for group, player_id in presences]
    if rows:
        await connection.execute(upsert(connection, PRESENCE).on_conflict_do_nothing(), rows)


async def read_figures(
    connection: AsyncConnection, query: ActivityQuery, plan: Plan, *, limit: int
) -> dict[AnswerGroup, Figures]:
    """Reads the figures of each group of an answer, at most `limit`, in no order."""
    names = _dimensions(query)
    sums = [func.sum(ACTIVITY.c[name]) for name in _FIGURES]
    rows = await connection.execute(_grouped(ACTIVITY, query, plan, names, *sums).limit(limit))
    return {
        _group(names, row, plan): Figures(*(int(each) for each in row[len(names) :]))
        for row in rows
    }


async def count_players(
    connection: AsyncConnection, query: ActivityQuery, plan: Plan
) -> dict[AnswerGroup, int]:
    """Counts the different players of each group of an answer."""
    names = _dimensions(query)
    count = func.count(distinct(PRESENCE.c.player_id))
    rows = await connection.execute(_grouped(PRESENCE, query, plan, names, count))
    return {_group(names, row, plan): row[-1] for row in rows}


async def find_follow_time(connection: AsyncConnection, source: str) -> datetime | None:
    """Tells up to when the events of a source are counted, in all its shards."""
    time: datetime | None = await connection.scalar(
        select(func.min(FEED_CURSOR.c.event_time)).where(FEED_CURSOR.c.source == source)
    )
    return time


def _dimensions(query: ActivityQuery) -> list[str]:
    wanted = {
        "bucket_time": query.span is not None,
        "currency_code": True,
        "provider_id": query.by_provider,
        "game_id": query.by_game,
    }
    return [name for name, grouped in wanted.items() if grouped]


def _grouped(
    table: Table,
    query: ActivityQuery,
    plan: Plan,
    names: Sequence[str],
    *aggregates: ColumnElement[int],
) -> Select[Any]:
    dimensions = [table.c[name] for name in names]
    filters = {
        "currency_code": query.currency_code,
        "provider_id": query.provider_id,
        "game_id": query.game_id,
    }
    return (
        select(*dimensions, *aggregates)
        .where(
            or_(*(_within(table, segment) for segment in plan.segments)),
            *(table.c[name] == value for name, value in filters.items() if value),
        )
        .group_by(*dimensions)
    )


def _within(table: Table, segment: Segment) -> ColumnElement[bool]:
    return and_(
        table.c.span == segment.span.value,
        table.c.bucket_time >= segment.start,
        table.c.bucket_time < segment.end,
    )


def _group(names: Sequence[str], row: Sequence[Any], plan: Plan) -> AnswerGroup:
    named = dict(zip(names, row, strict=False))
    return AnswerGroup(
        bucket_time=named.get("bucket_time", plan.start),
        currency_code=named["currency_code"],
        provider_id=named.get("provider_id", ""),
        game_id=named.get("game_id", ""),
    )
