"""API keys of providers."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.security.domain.api_keys import ApiKey, ApiKeyId
from services.security.tables import API_KEY


@dataclass(frozen=True, slots=True)
class StoredApiKey:
    """A key's record, and what its secret is compared with."""

    api_key: ApiKey
    secret_digest: bytes


async def add(
    connection: AsyncConnection, api_key: ApiKey, *, secret_digest: bytes, operator_id: str
) -> None:
    """Stores a new key."""
    await connection.execute(
        insert(API_KEY).values(
            api_key_id=api_key.api_key_id,
            provider_id=api_key.provider_id,
            display_name=api_key.display_name,
            secret_digest=secret_digest,
            create_time=api_key.create_time,
            expire_time=api_key.expire_time,
            create_operator_id=operator_id,
        )
    )


async def find(
    connection: AsyncConnection, api_key_id: ApiKeyId, *, lock: bool = False
) -> StoredApiKey | None:
    """Finds a key by its id; with `lock`, keeps others from changing it."""
    query = select(
        API_KEY.c.api_key_id,
        API_KEY.c.provider_id,
        API_KEY.c.display_name,
        API_KEY.c.create_time,
        API_KEY.c.expire_time,
        API_KEY.c.revoke_time,
        API_KEY.c.secret_digest,
    ).where(API_KEY.c.api_key_id == api_key_id)
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    return None if row is None else StoredApiKey(ApiKey(*row[:-1]), row[-1])


async def revoke(
    connection: AsyncConnection, api_key_id: ApiKeyId, *, revoke_time: datetime, operator_id: str
) -> None:
    """Revokes a key."""
    await connection.execute(
        update(API_KEY)
        .where(API_KEY.c.api_key_id == api_key_id)
        .values(revoke_time=revoke_time, revoke_operator_id=operator_id)
    )
