"""The settings of the Game service."""

from datetime import timedelta

from pydantic import Field

from services.kit.feed import FeedSettings
from services.kit.settings import Timeout


class Settings(FeedSettings):
    """What differs between installations of the Game service."""

    database_url: str
    """The store: `sqlite+aiosqlite:///…` or `postgresql+asyncpg://…`."""
    migrate: bool = False
    """Brings the database up to date at start. On for SQLite in any case."""
    security_address: str
    """Where the Security service is, for the keys of access tokens and for API keys."""
    security_timeout: Timeout = timedelta(seconds=2)
    """How long Security may take to verify an API key."""
    player_address: str
    """Where the Player service is."""
    player_timeout: Timeout = timedelta(seconds=2)
    """How long Player may take to tell whether somebody may play."""
    wallet_address: str
    """Where the Wallet service is."""
    wallet_timeout: Timeout = timedelta(seconds=5)
    """How long Wallet may take to move money."""
    provider_timeout: Timeout = timedelta(seconds=3)
    """How long a provider may take to open a game."""
    wallet_shards: int = Field(1, ge=1, le=1024)
    """How many shards the Wallet's ledger has, all of which are followed."""
    session_life: timedelta = Field(
        timedelta(hours=8), ge=timedelta(seconds=1), le=timedelta(days=30)
    )
    """How long a game session admits bets."""
    sessions_cached_max: int = Field(10_000, ge=0, le=10_000_000)
    """How many sessions bets find in memory. With more than one replica it must be 0."""
