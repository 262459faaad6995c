"""What other services have not confirmed yet."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, delete, insert, select, union, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.player.domain import (
    RESTRICTIONS,
    Change,
    LimitKind,
    LimitName,
    LimitPeriod,
    LimitSetting,
    Origin,
    Restrictions,
    Subject,
)
from services.player.store.players import joined, split
from services.player.tables import PLAYER, SESSION_ENDING, WALLET_CHANGE

_CHANGES = WALLET_CHANGE.c
_SEPARATOR = " "


async def add_change(connection: AsyncConnection, change: Change, *, now: datetime) -> None:
    """Adds a change that the wallet must be told."""
    content = change.content
    told: dict[str, object] = (
        {"max_minor_units": content.max_minor_units, "start_time": content.start_time}
        if isinstance(content, LimitSetting)
        else {"restrictions": joined(content)}
    )
    await connection.execute(
        insert(WALLET_CHANGE).values(
            player_id=change.player_id,
            number=change.number,
            change_id=change.change_id,
            subject=_rendered(change.subject),
            create_time=now,
            superseded=False,
            actor_id=change.origin.actor_id,
            reason=change.origin.reason,
            **told,
        )
    )


async def list_subjects(connection: AsyncConnection, player_id: str) -> Sequence[Subject]:
    """Lists what the unsettled changes of a player are about; restrictions come first."""
    rows = await connection.execute(
        select(_CHANGES.subject)
        .where(_CHANGES.player_id == player_id, _CHANGES.settle_time.is_(None))
        .distinct()
        .order_by(_CHANGES.subject)
    )
    return [_subject(text) for text in rows.scalars()]


async def list_changes(
    connection: AsyncConnection, player_id: str, subject: Subject
) -> Sequence[Change]:
    """Lists the changes of a subject that are not settled, by number."""
    rows = await connection.execute(
        select(WALLET_CHANGE)
        .where(
            _CHANGES.player_id == player_id,
            _CHANGES.subject == _rendered(subject),
            _CHANGES.settle_time.is_(None),
        )
        .order_by(_CHANGES.number)
    )
    return [
        Change(
            change_id=row.change_id,
            player_id=row.player_id,
            number=row.number,
            content=_content(row, subject),
            attempted=row.attempt_time is not None,
            origin=Origin(row.actor_id or "", row.reason or ""),
        )
        for row in rows
    ]


async def mark_attempted(connection: AsyncConnection, change: Change, *, now: datetime) -> None:
    """Notes that a change may have reached the wallet from now on."""
    await connection.execute(
        update(WALLET_CHANGE)
        .where(_CHANGES.change_id == change.change_id, _CHANGES.attempt_time.is_(None))
        .values(attempt_time=now)
    )


async def settle_change(
    connection: AsyncConnection, change: Change, *, superseded: bool, now: datetime
) -> None:
    """Notes that the wallet has confirmed a change, or that a newer one took its place."""
    await connection.execute(
        update(WALLET_CHANGE)
        .where(_CHANGES.change_id == change.change_id, _CHANGES.settle_time.is_(None))
        .values(settle_time=now, superseded=superseded)
    )


async def add_session_ending(
    connection: AsyncConnection, player_id: str, *, block_id: str, now: datetime
) -> None:
    """Adds that Security must end the login sessions of a player who was blocked."""
    await connection.execute(
        insert(SESSION_ENDING).values(block_id=block_id, player_id=player_id, create_time=now)
    )


async def list_session_endings(connection: AsyncConnection, player_id: str) -> Sequence[str]:
    """Lists the blocks after which the login sessions are not known to have ended."""
    rows = await connection.execute(
        select(SESSION_ENDING.c.block_id).where(SESSION_ENDING.c.player_id == player_id)
    )
    return list(rows.scalars())


async def remove_session_endings(connection: AsyncConnection, block_ids: Sequence[str]) -> None:
    """Notes that login sessions have ended since these blocks."""
    await connection.execute(delete(SESSION_ENDING).where(SESSION_ENDING.c.block_id.in_(block_ids)))


async def page_due(
    connection: AsyncConnection,
    *,
    after_player_id: str,
    now: datetime,
    older_than: datetime,
    limit: int,
) -> Sequence[str]:
    """Lists players for whom something is left to do, by id.

    Args:
        connection: A transaction.
        after_player_id: The last one of the page before; empty for the first page.
        now: Exclusions that ended before it are due.
        older_than: Unconfirmed work is due only once it is older: a call may be at it now.
        limit: How many at most.
    """
    players, endings = PLAYER.c, SESSION_ENDING.c
    due = union(
        select(players.player_id).where(
            players.wallet_open_time.is_(None), players.credential_create_time <= older_than
        ),
        select(players.player_id).where(players.exclusion_end_time <= now),
        select(_CHANGES.player_id).where(
            and_(_CHANGES.settle_time.is_(None), _CHANGES.create_time <= older_than)
        ),
        select(endings.player_id).where(endings.create_time <= older_than),
    ).subquery()
    rows = await connection.execute(
        select(due.c.player_id)
        .where(due.c.player_id > after_player_id)
        .order_by(due.c.player_id)
        .limit(limit)
    )
    return list(rows.scalars())


def _rendered(subject: Subject) -> str:
    if not isinstance(subject, LimitName):
        return ""
    return _SEPARATOR.join((subject.currency_code, subject.kind, subject.period))


def _subject(text: str) -> Subject:
    if not text:
        return RESTRICTIONS
    currency_code, kind, period = text.split(_SEPARATOR)
    return LimitName(currency_code=currency_code, kind=LimitKind(kind), period=LimitPeriod(period))


def _content(row: Row[Any], subject: Subject) -> Restrictions | LimitSetting:
    if not isinstance(subject, LimitName):
        return split(row.restrictions)
    return LimitSetting(
        name=subject, max_minor_units=row.max_minor_units, start_time=row.start_time
    )
