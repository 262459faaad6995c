"""What was done to players, by whom and why. Rows are only added."""

from datetime import datetime

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit.ids import new_id
from services.player.domain import Exclusion
from services.player.tables import BLOCK, EXCLUSION, IDENTITY_CHECK

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
