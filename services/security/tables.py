"""The tables of Security. Each defends itself, on both engines.

No column holds a secret in the clear: passwords are Argon2id hashes, tokens and API keys are
SHA-256 digests of 256 random bits, and what must be read again is sealed (see `sealing.py`).
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from services.kit.columns import NAMES, Digest, UtcMicros
from services.kit.feed import outbox_tables

METADATA = MetaData(naming_convention=NAMES)

OUTBOX = outbox_tables(METADATA)

CREDENTIAL = Table(
    "credential",
    METADATA,
    # The player or operator, as in the `sub` of access tokens.
    Column("subject_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    # Normalised, so that the constraint below compares as a login does.
    Column("email", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("create_time", UtcMicros, nullable=False),
    Column("last_login_time", UtcMicros, nullable=True),
    # Until when the last lock holds or held; null if there never was one.
    Column("unlock_time", UtcMicros, nullable=True),
    UniqueConstraint("email"),
    CheckConstraint("kind IN ('player', 'operator')", name="kind_known"),
)

# There are few operators and many players.
Index(
    "credential_operator",
    CREDENTIAL.c.subject_id,
    sqlite_where=text("kind = 'operator'"),
    postgresql_where=text("kind = 'operator'"),
)

OPERATOR_ROLE = Table(
    "operator_role",
    METADATA,
    Column(
        "subject_id",
        Text,
        ForeignKey("credential.subject_id", ondelete="RESTRICT"),
        primary_key=True,
    ),
    Column("role", Text, primary_key=True),
)

# The failures that still count towards a lock; at most three for each credential.
LOGIN_FAILURE = Table(
    "login_failure",
    METADATA,
    Column(
        "subject_id",
        Text,
        ForeignKey("credential.subject_id", ondelete="RESTRICT"),
        primary_key=True,
    ),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("create_time", UtcMicros, nullable=False),
    CheckConstraint("number BETWEEN 1 AND 3", name="number_range"),
)

TOTP_FACTOR = Table(
    "totp_factor",
    METADATA,
    Column(
        "subject_id",
        Text,
        ForeignKey("credential.subject_id", ondelete="RESTRICT"),
        primary_key=True,
    ),
    Column("secret_sealed", LargeBinary, nullable=False),
    Column("create_time", UtcMicros, nullable=False),
    # Null while the player has not shown that the authenticator works.
    Column("confirm_time", UtcMicros, nullable=True),
    # The time step of the last code that was accepted: no code is good twice.
    Column("last_step", BigInteger, nullable=False),
)

LOGIN_SESSION = Table(
    "login_session",
    METADATA,
    Column("login_session_id", Text, primary_key=True),
    Column(
        "subject_id",
        Text,
        ForeignKey("credential.subject_id", ondelete="RESTRICT"),
        nullable=False,
    ),
    Column("client_address", Text, nullable=False),
    Column("create_time", UtcMicros, nullable=False),
    # When it ends unless it is refreshed before.
    Column("expire_time", UtcMicros, nullable=False),
    # When it ends however often it is refreshed.
    Column("life_end_time", UtcMicros, nullable=False),
    # When the last access token of the session expires.
    Column("token_expire_time", UtcMicros, nullable=False),
    Column("end_time", UtcMicros, nullable=True),
    # When Game had ended the session's game sessions.
    Column("games_end_time", UtcMicros, nullable=True),
    # When the session proved a second factor, at its login or by enrolling it.
    Column("second_factor_time", UtcMicros, nullable=True),
    CheckConstraint("expire_time <= life_end_time", name="expires_within_life"),
    CheckConstraint("games_end_time IS NULL OR end_time IS NOT NULL", name="games_end_after"),
)

Index(
    "login_session_open",
    LOGIN_SESSION.c.subject_id,
    sqlite_where=text("end_time IS NULL"),
    postgresql_where=text("end_time IS NULL"),
)
Index(
    "login_session_expiring",
    LOGIN_SESSION.c.expire_time,
    sqlite_where=text("end_time IS NULL"),
    postgresql_where=text("end_time IS NULL"),
)
# What is still to be told to Game; nearly always empty.
Index(
    "login_session_games_open",
    LOGIN_SESSION.c.end_time,
    sqlite_where=text("end_time IS NOT NULL AND games_end_time IS NULL"),
    postgresql_where=text("end_time IS NOT NULL AND games_end_time IS NULL"),
)

# What is over; read oldest first, to be forgotten in the end.
Index(
    "login_session_over",
    LOGIN_SESSION.c.end_time,
    sqlite_where=text("games_end_time IS NOT NULL"),
    postgresql_where=text("games_end_time IS NOT NULL"),
)

# The tokens of open sessions, used ones too, so that a second use is recognised. They change only
# under the lock of their session.
REFRESH_TOKEN = Table(
    "refresh_token",
    METADATA,
    Column("token_digest", Digest, primary_key=True),
    Column(
        "login_session_id",
        Text,
        ForeignKey("login_session.login_session_id", ondelete="RESTRICT"),
        nullable=False,
        index=True,
    ),
    Column("create_time", UtcMicros, nullable=False),
    Column("use_time", UtcMicros, nullable=True),
    CheckConstraint("length(token_digest) = 32", name="token_digest_length"),
)

SIGNING_KEY = Table(
    "signing_key",
    METADATA,
    Column("signing_key_id", Text, primary_key=True),
    # 1, 2, 3, … Unique, so that of two replicas that make the next key at once one fails.
    Column("number", Integer, nullable=False),
    # The point of the public key, base64url as in a JSON Web Key.
    Column("x", Text, nullable=False),
    Column("y", Text, nullable=False),
    Column("private_key_sealed", LargeBinary, nullable=False),
    Column("create_time", UtcMicros, nullable=False),
    # When it begins to sign.
    Column("activate_time", UtcMicros, nullable=False),
    # When the last token that it signed has expired; null while it has no successor.
    Column("expire_time", UtcMicros, nullable=True),
    UniqueConstraint("number"),
)

API_KEY = Table(
    "api_key",
    METADATA,
    Column("api_key_id", Text, primary_key=True),
    Column("provider_id", Text, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("secret_digest", Digest, nullable=False),
    Column("create_time", UtcMicros, nullable=False),
    Column("expire_time", UtcMicros, nullable=False),
    # Who made and who revoked it.
    Column("create_operator_id", Text, nullable=False),
    Column("revoke_time", UtcMicros, nullable=True),
    Column("revoke_operator_id", Text, nullable=True),
    CheckConstraint("length(secret_digest) = 32", name="secret_digest_length"),
    CheckConstraint(
        "(revoke_time IS NULL) = (revoke_operator_id IS NULL)", name="revoked_by_somebody"
    ),
)

# How somebody who has lost the password may set a new one; the latest of each subject.
PASSWORD_RESET = Table(
    "password_reset",
    METADATA,
    Column(
        "subject_id",
        Text,
        ForeignKey("credential.subject_id", ondelete="RESTRICT"),
        primary_key=True,
    ),
    Column("token_digest", Digest, nullable=False),
    Column("create_time", UtcMicros, nullable=False),
    Column("expire_time", UtcMicros, nullable=False),
    UniqueConstraint("token_digest"),
    CheckConstraint("length(token_digest) = 32", name="token_digest_length"),
)

# What operators did to other people's credentials, and why. Triggers keep it as it is, for ever.
OPERATOR_ACTION = Table(
    "operator_action",
    METADATA,
    Column("operator_action_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    # Null where a repeat is a new action.
    Column("request_id", Text, nullable=True),
    Column("operator_id", Text, nullable=False),
    Column(
        "subject_id",
        Text,
        ForeignKey("credential.subject_id", ondelete="RESTRICT"),
        nullable=False,
        index=True,
    ),
    Column("reason", Text, nullable=False),
    Column("create_time", UtcMicros, nullable=False),
    UniqueConstraint("request_id"),
    CheckConstraint("kind IN ('unlock', 'password_reset')", name="kind_known"),
)
