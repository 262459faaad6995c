"""The settings of the Analytics service."""

from pydantic import Field

from services.kit.settings import ServerSettings


class Settings(ServerSettings):
    """What differs between installations of Analytics."""

    database_url: str
    """Where the figures are: `sqlite+aiosqlite:///…` or `postgresql+asyncpg://…`."""
    migrate: bool = False
    """Brings the database up to date at start. On for SQLite in any case."""
    security_address: str
    """Where the Security service is."""
    wallet_address: str
    """Where the Wallet service is."""
    wallet_shards: int = Field(default=1, ge=1, le=1024)
    """How many shards the ledger has."""
