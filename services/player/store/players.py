"""Players: the rows themselves."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.player.domain import (
    Application,
    Exclusion,
    IdentityState,
    Player,
    Restriction,
    Restrictions,
)
from services.player.errors import PlayerNotFoundError
from services.player.tables import PLAYER

_COLUMNS = PLAYER.c
_SEPARATOR = ","


async def get(connection: AsyncConnection, player_id: str) -> Player:
    """Reads a player.

    Raises:
        PlayerNotFoundError: There is none.
    """
    rows = await connection.execute(select(PLAYER).where(_COLUMNS.player_id == player_id))
    return _found(rows.one_or_none(), player_id)


async def lock(connection: AsyncConnection, player_id: str) -> Player:
    """Reads a player, whom nobody else changes until the transaction ends.

    Raises:
        PlayerNotFoundError: There is none.
    """
    rows = await connection.execute(
        select(PLAYER).where(_COLUMNS.player_id == player_id).with_for_update()
    )
    return _found(rows.one_or_none(), player_id)


async def find_by_request(
    connection: AsyncConnection, request_id: str
) -> tuple[Player, str] | None:
    """Finds whom a request registered, and the hash of its content."""
    rows = await connection.execute(select(PLAYER).where(_COLUMNS.request_id == request_id))
    row = rows.one_or_none()
    return None if row is None else (_player(row), row.content_hash)


async def lock_claimants(connection: AsyncConnection, application: Application) -> Sequence[Player]:
    """Locks those who are the same person as an applicant or have the same address: at most two."""
    rows = await connection.execute(
        select(PLAYER)
        .where(
            or_(
                _COLUMNS.email_digest == application.email_digest,
                _COLUMNS.person_digest == application.person_digest,
            )
        )
        .order_by(_COLUMNS.player_id)
        .with_for_update()
    )
    return [_player(row) for row in rows]


async def add(
    connection: AsyncConnection,
    application: Application,
    *,
    player_id: str,
    content_hash: str,
    now: datetime,
) -> Player:
    """Adds a player whose registration has begun."""
    await connection.execute(
        insert(PLAYER).values(
            player_id=player_id,
            request_id=application.request_id,
            content_hash=content_hash,
            email=application.email,
            given_name=application.given_name,
            family_name=application.family_name,
            date_of_birth=application.date_of_birth,
            country_code=application.country_code,
            postal_address=application.postal_address,
            currency_code=application.currency_code,
            email_digest=application.email_digest,
            person_digest=application.person_digest,
            terms_accept_time=now,
            create_time=now,
            identity_state=IdentityState.PENDING,
            blocked=False,
            restrictions="",
            change_number=0,
        )
    )
    return await get(connection, player_id)


async def save(connection: AsyncConnection, player: Player) -> None:
    """Writes what can change of a player, whom the caller has locked."""
    exclusion = player.exclusion
    await connection.execute(
        update(PLAYER)
        .where(_COLUMNS.player_id == player.player_id)
        .values(
            credential_create_time=player.credential_create_time,
            wallet_open_time=player.wallet_open_time,
            identity_state=player.identity_state,
            blocked=player.blocked,
            exclusion_start_time=None if exclusion is None else exclusion.start_time,
            exclusion_end_time=None if exclusion is None else exclusion.end_time,
            restrictions=joined(player.restrictions),
            change_number=player.change_number,
        )
    )


async def remove(connection: AsyncConnection, player_id: str) -> None:
    """Removes a player of whom nothing but the begin of a registration is known."""
    await connection.execute(_unfinished(delete(PLAYER), _COLUMNS.player_id == player_id))


async def remove_by_request(connection: AsyncConnection, request_id: str) -> None:
    """Removes the begin of a registration by the request that made it, if it is no more yet."""
    await connection.execute(_unfinished(delete(PLAYER), _COLUMNS.request_id == request_id))


def joined(restrictions: Restrictions) -> str:
    """Renders restrictions as a column holds them."""
    return _SEPARATOR.join(sorted(restrictions))


def split(text: str) -> Restrictions:
    """Reads restrictions from a column."""
    return frozenset(Restriction(name) for name in text.split(_SEPARATOR) if name)


def _unfinished(statement: Any, which: ColumnElement[bool]) -> Any:
    return statement.where(
        which, _COLUMNS.credential_create_time.is_(None), _COLUMNS.change_number == 0
    )


def _found(row: Row[Any] | None, player_id: str) -> Player:
    if row is None:
        raise PlayerNotFoundError(player_id=player_id)
    return _player(row)


def _player(row: Row[Any]) -> Player:
    exclusion = None
    if row.exclusion_start_time is not None:
        exclusion = Exclusion(start_time=row.exclusion_start_time, end_time=row.exclusion_end_time)
    return Player(
        player_id=row.player_id,
        request_id=row.request_id,
        email=row.email,
        email_digest=row.email_digest,
        given_name=row.given_name,
        family_name=row.family_name,
        date_of_birth=row.date_of_birth,
        country_code=row.country_code,
        postal_address=row.postal_address,
        currency_code=row.currency_code,
        create_time=row.create_time,
        credential_create_time=row.credential_create_time,
        wallet_open_time=row.wallet_open_time,
        identity_state=IdentityState(row.identity_state),
        blocked=row.blocked,
        exclusion=exclusion,
        restrictions=split(row.restrictions),
        change_number=row.change_number,
    )
