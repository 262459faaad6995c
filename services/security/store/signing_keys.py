"""Signing keys: never more than a handful."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.security.domain.signing_keys import SigningKey
from services.security.tables import SIGNING_KEY


async def list_all(connection: AsyncConnection) -> Sequence[SigningKey]:
    """Lists the keys, oldest first."""
    query = select(
        SIGNING_KEY.c.signing_key_id,
        SIGNING_KEY.c.number,
        SIGNING_KEY.c.x,
        SIGNING_KEY.c.y,
        SIGNING_KEY.c.private_key_sealed,
        SIGNING_KEY.c.activate_time,
        SIGNING_KEY.c.expire_time,
    ).order_by(SIGNING_KEY.c.number)
    return [SigningKey(*row) for row in await connection.execute(query)]


async def add(connection: AsyncConnection, key: SigningKey, *, create_time: datetime) -> None:
    """Stores a new key; fails if another has its number."""
    await connection.execute(
        insert(SIGNING_KEY).values(
            signing_key_id=key.signing_key_id,
            number=key.number,
            x=key.x,
            y=key.y,
            private_key_sealed=key.private_key_sealed,
            create_time=create_time,
            activate_time=key.activate_time,
        )
    )


async def retire(connection: AsyncConnection, *, before_number: int, expire_time: datetime) -> None:
    """Says until when the keys before this one are needed."""
    await connection.execute(
        update(SIGNING_KEY)
        .where(SIGNING_KEY.c.number < before_number, SIGNING_KEY.c.expire_time.is_(None))
        .values(expire_time=expire_time)
    )


async def delete_expired(connection: AsyncConnection, now: datetime) -> None:
    """Deletes keys that nobody needs any more."""
    await connection.execute(delete(SIGNING_KEY).where(SIGNING_KEY.c.expire_time <= now))
