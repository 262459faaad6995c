"""The settings of the Security service."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from services.kit.feed import FeedSettings
from services.kit.settings import Every, Timeout
from services.security.domain.credentials import SubjectKind
from services.security.domain.sessions import Lifetimes
from services.security.domain.signing_keys import RotationRules

_MINUTE = timedelta(minutes=1)
_YEAR = timedelta(days=366)


class Settings(FeedSettings):
    """What differs between installations of Security."""

    database_url: str
    """Where credentials, sessions and keys are: `sqlite+aiosqlite:///…` or
    `postgresql+asyncpg://…`."""
    migrate: bool = False
    """Brings the database up to date at start. On for SQLite in any case."""
    key_encryption_key_file: Path
    """The keys that seal secrets in the database: 32 bytes each in base64, one a line, newest
    first. Without it the secrets are lost; it does not belong into a backup of the database."""
    game_address: str
    """Where Game listens."""
    game_timeout: Timeout = timedelta(seconds=2)
    """How long Game may take to end game sessions."""

    access_token_life: timedelta = Field(timedelta(minutes=10), gt=timedelta(), le=60 * _MINUTE)
    """How long an access token is valid. It cannot be revoked, so this is kept short."""
    player_session_idle: timedelta = Field(timedelta(minutes=30), ge=_MINUTE, le=_YEAR)
    """After how long without a refresh a player must log in again (GLI-19 2.5.4)."""
    player_session_life: timedelta = Field(timedelta(hours=12), ge=_MINUTE, le=_YEAR)
    """After how long a player must log in again in any case."""
    operator_session_idle: timedelta = Field(timedelta(minutes=30), ge=_MINUTE, le=_YEAR)
    """After how long without a refresh an operator must log in again."""
    operator_session_life: timedelta = Field(timedelta(hours=12), ge=_MINUTE, le=_YEAR)
    """After how long an operator must log in again in any case."""
    login_sessions_max: int = Field(50, ge=1, le=10_000)
    """How many login sessions of one subject may be open; a further login ends the oldest. What
    ends all of them, such as another password, does so in one transaction."""
    login_session_retention: timedelta = Field(
        timedelta(days=1826), ge=timedelta(days=1), le=timedelta(days=36_525)
    )
    """How long the record of who logged in when and from where is kept after the login session
    has ended (GLI-19 2.8.5h). Not shorter than an access token can live."""

    password_reset_life: timedelta = Field(
        timedelta(minutes=30), gt=timedelta(), le=timedelta(days=1)
    )
    """How long the token of a password reset is good."""
    second_factor_roles: frozenset[str] = frozenset()
    """Roles of operators that only a login session with a second factor has, as a JSON list, such
    as `["admin", "cashier"]` for those that move money. Without one, an operator gets a session
    that lacks them, in which to enrol it."""

    signing_key_life: timedelta = Field(timedelta(days=30), ge=timedelta(hours=1), le=_YEAR)
    """For how long a key signs access tokens."""
    signing_key_lead: timedelta = Field(timedelta(minutes=10), ge=5 * _MINUTE, le=timedelta(days=7))
    """How long a key is published before it signs. Verifiers keep the key set for five minutes;
    twice that leaves room for a fetch that failed."""

    password_hash_memory_kib: int = Field(47_104, ge=8, le=4_194_304)
    """Argon2id memory. This and the next two are OWASP's first choice of equal strength."""
    password_hash_passes: int = Field(1, ge=1, le=100)
    """Argon2id passes over the memory."""
    password_hash_lanes: int = Field(1, ge=1, le=64)
    """Argon2id lanes."""
    password_hash_threads: int = Field(2, ge=1, le=256)
    """How many passwords are hashed at once; each takes the memory above."""
    password_hash_waiting_max: int = Field(64, ge=0, le=100_000)
    """How many passwords may wait to be hashed; a further login is refused as overload."""

    totp_issuer: str = "Croupier"
    """What authenticators show beside the address."""
    first_operator_email: str = ""
    """If there is no operator at all, one with this address and the role `admin` is created."""
    first_operator_password_file: Path | None = None
    """Where the first operator's password stands."""
    upkeep_every: Every = timedelta(seconds=15)
    """The pause between two looks for keys to rotate and sessions that expired."""

    @property
    def lifetimes(self) -> dict[SubjectKind, Lifetimes]:
        """How long login sessions live."""
        return {
            SubjectKind.PLAYER: Lifetimes(
                idle=self.player_session_idle, life=self.player_session_life
            ),
            SubjectKind.OPERATOR: Lifetimes(
                idle=self.operator_session_idle, life=self.operator_session_life
            ),
        }

    @property
    def rotation(self) -> RotationRules:
        """How signing keys follow each other."""
        return RotationRules(
            life=self.signing_key_life,
            lead=self.signing_key_lead,
            access_life=self.access_token_life,
        )
