"""The tables of Player. Each defends itself, on both engines.

Not declared here, but in the migration: the triggers that keep history as it was written.
"""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from services.kit.columns import UtcMicros, integer_check
from services.kit.feed import outbox_tables

METADATA = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_index",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)

OUTBOX = outbox_tables(METADATA)

PLAYER = Table(
    "player",
    METADATA,
    Column("player_id", Text, primary_key=True),
    # Idempotency of registration: one id, one player, and a slow salted hash of what came with the
    # id, since a password is part of it.
    Column("request_id", Text, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("given_name", Text, nullable=False),
    Column("family_name", Text, nullable=False),
    Column("date_of_birth", Date, nullable=False),
    Column("country_code", Text, nullable=False),
    Column("postal_address", Text, nullable=False),
    Column("currency_code", Text, nullable=False),
    # One account a person and one an address (GLI-19 2.5.2d). Digests, because PostgreSQL quotes
    # the value of a duplicate in its error.
    Column("email_digest", LargeBinary, nullable=False),
    Column("person_digest", LargeBinary, nullable=False),
    Column("terms_accept_time", UtcMicros, nullable=False),
    Column("create_time", UtcMicros, nullable=False),
    # How far registration has come; both are set once it is complete.
    Column("credential_create_time", UtcMicros),
    Column("wallet_open_time", UtcMicros),
    Column("identity_state", Text, nullable=False),
    Column("blocked", Boolean, nullable=False),
    # The exclusion in force, or one whose end was not settled yet. A start without end: for ever.
    Column("exclusion_start_time", UtcMicros),
    Column("exclusion_end_time", UtcMicros),
    # What the newest row of restriction_change says, and its number; empty and 0 without one.
    Column("restrictions", Text, nullable=False),
    Column("change_number", Integer, nullable=False),
    UniqueConstraint("request_id"),
    UniqueConstraint("email_digest"),
    UniqueConstraint("person_digest"),
    CheckConstraint(
        "identity_state IN ('IDENTITY_STATE_PENDING', 'IDENTITY_STATE_VERIFIED', "
        "'IDENTITY_STATE_REFUSED')",
        name="identity_state_known",
    ),
    CheckConstraint(
        "exclusion_end_time IS NULL OR exclusion_start_time < exclusion_end_time",
        name="exclusion_ends_after_start",
    ),
    CheckConstraint(
        "exclusion_end_time IS NULL OR exclusion_start_time IS NOT NULL",
        name="exclusion_has_start",
    ),
    CheckConstraint("change_number >= 0", name="change_number_not_negative"),
    integer_check("change_number"),
)
# Both for the upkeep, which looks for what is due.
Index(
    "player_wallet_missing_index",
    PLAYER.c.player_id,
    sqlite_where=text("wallet_open_time IS NULL"),
    postgresql_where=text("wallet_open_time IS NULL"),
)
Index(
    "player_exclusion_end_index",
    PLAYER.c.exclusion_end_time,
    sqlite_where=text("exclusion_end_time IS NOT NULL"),
    postgresql_where=text("exclusion_end_time IS NOT NULL"),
)

RESTRICTION_CHANGE = Table(
    "restriction_change",
    METADATA,
    Column("player_id", Text, ForeignKey("player.player_id", ondelete="RESTRICT"), nullable=False),
    # 1, 2, 3, … for each player: the order in which the wallet must end up.
    Column("number", Integer, nullable=False),
    # The id under which the wallet knows the change: a repeat has no effect there.
    Column("change_id", Text, nullable=False),
    # All that are in force from here on, sorted and separated by commas.
    Column("restrictions", Text, nullable=False),
    Column("create_time", UtcMicros, nullable=False),
    # Before this it has certainly not reached the wallet.
    Column("attempt_time", UtcMicros),
    # When the wallet confirmed it, or when a newer one took its place before it was sent.
    Column("settle_time", UtcMicros),
    Column("superseded", Boolean, nullable=False),
    PrimaryKeyConstraint("player_id", "number"),
    UniqueConstraint("change_id"),
    CheckConstraint("number > 0", name="number_positive"),
    CheckConstraint(
        "NOT superseded OR (attempt_time IS NULL AND settle_time IS NOT NULL)",
        name="superseded_was_never_sent",
    ),
    integer_check("number"),
)
Index(
    "restriction_change_outstanding_index",
    RESTRICTION_CHANGE.c.player_id,
    sqlite_where=text("settle_time IS NULL"),
    postgresql_where=text("settle_time IS NULL"),
)

# History, only appended to: who asked when for what (GLI-19 2.8.5i).
EXCLUSION = Table(
    "exclusion",
    METADATA,
    Column("exclusion_id", Text, primary_key=True),
    Column("player_id", Text, ForeignKey("player.player_id", ondelete="RESTRICT"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("requester_id", Text, nullable=False),
    Column("request_time", UtcMicros, nullable=False),
    Column("start_time", UtcMicros, nullable=False),
    Column("end_time", UtcMicros),
    CheckConstraint("kind IN ('SELF')", name="kind_known"),
    CheckConstraint("end_time IS NULL OR start_time < end_time", name="ends_after_start"),
    Index(None, "player_id"),
)

# History of blocks and unblocks, only appended to (GLI-19 B.3.2).
BLOCK = Table(
    "block",
    METADATA,
    Column("block_id", Text, primary_key=True),
    Column("player_id", Text, ForeignKey("player.player_id", ondelete="RESTRICT"), nullable=False),
    Column("blocked", Boolean, nullable=False),
    Column("operator_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("create_time", UtcMicros, nullable=False),
    CheckConstraint("operator_id <> ''", name="operator_known"),
    Index(None, "player_id"),
)

# Blocks after which Security has not confirmed yet that the login sessions have ended.
SESSION_ENDING = Table(
    "session_ending",
    METADATA,
    Column("block_id", Text, ForeignKey("block.block_id", ondelete="RESTRICT"), primary_key=True),
    Column("player_id", Text, ForeignKey("player.player_id", ondelete="RESTRICT"), nullable=False),
    Column("create_time", UtcMicros, nullable=False),
    Index(None, "player_id"),
)

# History of identity checks, only appended to. The document's number is not kept.
IDENTITY_CHECK = Table(
    "identity_check",
    METADATA,
    Column("check_id", Text, primary_key=True),
    Column("player_id", Text, ForeignKey("player.player_id", ondelete="RESTRICT"), nullable=False),
    Column("provider", Text, nullable=False),
    Column("verified", Boolean, nullable=False),
    # Why it was refused; empty if it was not.
    Column("cause", Text, nullable=False),
    Column("create_time", UtcMicros, nullable=False),
    CheckConstraint("verified = (cause = '')", name="refusal_has_cause"),
    Index(None, "player_id"),
)
