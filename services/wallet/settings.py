"""The settings of the Wallet service."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from services.kit.settings import Every, ServerSettings, Timeout


class Settings(ServerSettings):
    """What differs between installations of the Wallet."""

    database_url: str
    """The ledger: `sqlite+aiosqlite:///…` or `postgresql+asyncpg://…`."""
    payments_database_url: str
    """The store of payments: another SQLite file, or the same PostgreSQL database."""
    migrate: bool = False
    """Brings the databases up to date at start. On for SQLite in any case."""
    security_address: str
    """Where the Security service is, for the keys of access tokens."""
    clock_ahead_max: timedelta = Field(
        timedelta(hours=1), ge=timedelta(seconds=1), le=timedelta(days=1)
    )
    """How far this machine's clock may run ahead of the time that has passed since the start. The
    ledger takes nothing by one that is further ahead."""
    reconcile_every: Every = timedelta(minutes=1)
    """How often PSPs are asked about payments that stay pending."""
    psp_timeout: Timeout = timedelta(seconds=4)
    """How long a call to a PSP may take."""
    psp_sandbox_url: str
    """Base URL of the sandbox PSP."""
    psp_sandbox_authority: Path
    """Certificates that the sandbox PSP's own must descend from, PEM."""
    psp_sandbox_api_key_file: Path
    """File with the key that proves us to the sandbox PSP."""
    psp_sandbox_webhook_secret_file: Path
    """File with the secret by which the sandbox PSP signs its webhooks."""
