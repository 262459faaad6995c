"""The versions of policies, as operators read them. The writer adds them with all else."""

from sqlalchemy import or_, select

from services.kit.database import Database
from services.wallet.domain.policy import DEFAULT_VERSION
from services.wallet.domain.rows import PolicyVersion
from services.wallet.store import decode
from services.wallet.tables import POLICY

_DEFAULT = (POLICY.c.tenant == DEFAULT_VERSION.tenant) & (POLICY.c.source == DEFAULT_VERSION.source)


class PolicyVersions:
    """Reads versions as committed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get_newest(self, tenant: str, source: str) -> PolicyVersion:
        """Returns the version that judges a source: of its own, or of the default."""
        own = (POLICY.c.tenant == tenant) & (POLICY.c.source == source)
        wanted = (
            select(POLICY)
            .where(or_(own, _DEFAULT))
            # The default has no name, and so it is the last.
            .order_by(POLICY.c.source.desc(), POLICY.c.version.desc())
            .limit(1)
        )
        async with self._database.snapshot() as connection:
            return decode.policy_version_of((await connection.execute(wanted)).one())

    async def page_versions(
        self, tenant: str, source: str, *, before_id: int | None, limit: int
    ) -> list[PolicyVersion]:
        """Returns versions, newest first, below an id; of all sources if none is named."""
        wanted = (
            select(POLICY)
            .where(or_(POLICY.c.tenant == tenant, _DEFAULT))
            .order_by(POLICY.c.policy_id.desc())
            .limit(limit)
        )
        if source:
            wanted = wanted.where(POLICY.c.source == source)
        if before_id is not None:
            wanted = wanted.where(POLICY.c.policy_id < before_id)
        async with self._database.snapshot() as connection:
            return [decode.policy_version_of(row) for row in await connection.execute(wanted)]
