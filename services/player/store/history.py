"""What was done to players, by whom and why. Rows are only added."""

from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit.ids import new_id
from services.player.domain import Exclusion, Limit, LimitWish
from services.player.store.limits import name_of
from services.player.tables import BLOCK, EXCLUSION, IDENTITY_CHECK, LIMIT_REQUEST

_SELF = "SELF"


async def add_self_exclusion(
    connection: AsyncConnection, player_id: str, exclusion: Exclusion, *, now: datetime
) -> None:
    """Records that a player wished to be excluded, and from when until when that is."""
    await connection.execute(
        insert(EXCLUSION).values(
            exclusion_id=new_id(),
            player_id=player_id,
            kind=_SELF,
            requester_id=player_id,
            request_time=now,
            start_time=exclusion.start_time,
            end_time=exclusion.end_time,
        )
    )


async def add_block(
    connection: AsyncConnection,
    player_id: str,
    *,
    blocked: bool,
    operator_id: str,
    reason: str,
    now: datetime,
) -> str:
    """Records a block, or that it was lifted, and returns the record's id."""
    block_id = new_id()
    await connection.execute(
        insert(BLOCK).values(
            block_id=block_id,
            player_id=player_id,
            blocked=blocked,
            operator_id=operator_id,
            reason=reason,
            create_time=now,
        )
    )
    return block_id


async def add_identity_check(
    connection: AsyncConnection, player_id: str, *, provider: str, cause: str, now: datetime
) -> None:
    """Records a check of a player's identity; the cause is empty if it was confirmed."""
    await connection.execute(
        insert(IDENTITY_CHECK).values(
            check_id=new_id(),
            player_id=player_id,
            provider=provider,
            verified=not cause,
            cause=cause,
            create_time=now,
        )
    )


async def find_limit_wish(
    connection: AsyncConnection, player_id: str, request_id: str
) -> LimitWish | None:
    """Finds what a player asked for under a request id."""
    rows = await connection.execute(
        select(LIMIT_REQUEST).where(
            LIMIT_REQUEST.c.player_id == player_id, LIMIT_REQUEST.c.request_id == request_id
        )
    )
    row = rows.one_or_none()
    if row is None:
        return None
    return LimitWish(
        request_id=request_id, name=name_of(row), max_minor_units=row.new_max_minor_units
    )


async def add_limit_wish(
    connection: AsyncConnection, player_id: str, wish: LimitWish, *, was: Limit, now: datetime
) -> None:
    """Records that a player wished for a limit.

    Args:
        connection: A transaction.
        player_id: The player.
        wish: The wish.
        was: The limit at that time.
        now: That time.
    """
    pending = was.wished(wish.max_minor_units, now=now).pending
    await connection.execute(
        insert(LIMIT_REQUEST).values(
            player_id=player_id,
            request_id=wish.request_id,
            requester_id=player_id,
            currency_code=wish.name.currency_code,
            kind=wish.name.kind,
            period=wish.name.period,
            old_max_minor_units=was.max_minor_units,
            new_max_minor_units=wish.max_minor_units,
            request_time=now,
            start_time=now if pending is None else pending.start_time,
        )
    )
