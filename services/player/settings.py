"""The settings of the Player service."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from services.kit.feed import FeedSettings
from services.kit.settings import Every, Timeout
from services.player.domain import COUNTRIES
from services.player.identity import PROVIDERS

# The jurisdictions that the Financial Action Task Force calls on its members to act against: money
# from there is refused everywhere.
_COUNTRIES_BLOCKED = frozenset({"IR", "KP", "MM"})

Countries = Annotated[frozenset[str], NoDecode]


class Settings(FeedSettings):
    """What differs between installations of Player."""

    database_url: str
    """The store of players: `sqlite+aiosqlite:///…` or `postgresql+asyncpg://…`."""
    migrate: bool = False
    """Brings the database up to date at start. On for SQLite in any case."""
    security_address: str
    """Where the Security service is."""
    security_timeout: Timeout = timedelta(seconds=5)
    """How long Security may take to create a credential or to end login sessions."""
    wallet_address: str
    """Where the Wallet service is."""
    wallet_timeout: Timeout = timedelta(seconds=5)
    """How long Wallet may take to take over what Player tells it."""
    identity_provider: str = Field(default="", validate_default=True)
    """Who checks identities; there is no default. `sandbox` confirms nearly everybody."""
    identity_timeout: Timeout = timedelta(seconds=5)
    """How long an identity check may take."""
    countries_allowed: Countries = frozenset()
    """Countries from which players are taken, separated by commas. Empty: all not blocked."""
    countries_blocked: Countries = _COUNTRIES_BLOCKED
    """Countries from which no players are taken, separated by commas."""
    registration_hold: timedelta = Field(
        timedelta(minutes=15), ge=timedelta(seconds=1), le=timedelta(days=7)
    )
    """How long a registration that stopped half-way keeps others from its person and address."""
    upkeep_every: Every = timedelta(seconds=5)
    """How often unfinished work is looked for: changes that the wallet has not confirmed yet,
    exclusions that have ended."""

    @field_validator("identity_provider")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in PROVIDERS:
            known = ", ".join(sorted(PROVIDERS))
            raise ValueError(
                "CROUPIER_IDENTITY_PROVIDER must name who checks the identity of players, one of: "
                f"{known} (sandbox asks nobody, and is for development only)"
            )
        return name

    @field_validator("countries_allowed", "countries_blocked", mode="before")
    @classmethod
    def _split(cls, listed: object) -> object:
        if not isinstance(listed, str):
            return listed
        return frozenset(code.strip() for code in listed.split(",") if code.strip())

    @field_validator("countries_allowed", "countries_blocked")
    @classmethod
    def _are_countries(cls, codes: frozenset[str]) -> frozenset[str]:
        unknown = codes - COUNTRIES
        if unknown:
            raise ValueError(f"not ISO 3166-1 alpha-2: {', '.join(sorted(unknown))}")
        return codes
