"""The versions of policies. They are only ever added to."""

import dataclasses

from sqlalchemy import func, insert, select

from services.kit.database import Database
from services.wallet.domain.policy import Policy
from services.wallet.domain.values import Micros
from services.wallet.store import decode
from services.wallet.tables import POLICY


async def add_policy(database: Database, policy: Policy, now: Micros) -> Policy:
    """Adds a policy as the newest version for its tenant and source, and returns it numbered.

    A ledger reads its policies when it starts.
    """
    async with database.transaction() as connection:
        newest = await connection.scalar(select(func.max(POLICY.c.policy_id)))
        version = await connection.scalar(
            select(func.max(POLICY.c.version)).where(
                POLICY.c.tenant == policy.tenant, POLICY.c.source == policy.source
            )
        )
        added = dataclasses.replace(policy, policy_id=(newest or 0) + 1, version=(version or 0) + 1)
        await connection.execute(
            insert(POLICY).values(
                policy_id=added.policy_id,
                tenant=added.tenant,
                source=added.source,
                version=added.version,
                switches=decode.switches_of(added),
                create_time=now,
            )
        )
    return added
