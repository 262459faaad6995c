"""The tables of Player. Each defends itself, on both engines.

Not declared here, but in the migration: the triggers that keep history as it was written.
"""

from sqlalchemy import (
    BigInteger,
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

from services.kit.columns import NAMES, UtcMicros, integer_check
from services.kit.feed import outbox_tables

METADATA = MetaData(naming_convention=NAMES)

OUTBOX = outbox_tables(METADATA)

LIMIT_KIND_KNOWN = "kind IN ('LIMIT_KIND_DEPOSIT', 'LIMIT_KIND_WAGER', 'LIMIT_KIND_LOSS')"
LIMIT_PERIOD_KNOWN = "period IN ('LIMIT_PERIOD_DAY', 'LIMIT_PERIOD_WEEK', 'LIMIT_PERIOD_MONTH')"

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
    # What the wallet was told last of restrictions; empty before that. And the number of the newest
    # row of wallet_change; 0 without one.
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

# What the wallet must be told, and whether it has confirmed it.
WALLET_CHANGE = Table(
    "wallet_change",
    METADATA,
    Column("player_id", Text, ForeignKey("player.player_id", ondelete="RESTRICT"), nullable=False),
    # 1, 2, 3, … for each player: for each subject, the order in which the wallet must end up.
    Column("number", Integer, nullable=False),
    # The id under which the wallet knows the change: a repeat has no effect there.
    Column("change_id", Text, nullable=False),
    # Empty for restrictions; for a limit its currency, kind and period, separated by spaces.
    Column("subject", Text, nullable=False),
    # All that are in force from here on, sorted and separated by commas.
    Column("restrictions", Text),
    # What is set of a limit: NULL is no maximum, and no start is at once.
    Column("max_minor_units", BigInteger),
    Column("start_time", UtcMicros),
    Column("create_time", UtcMicros, nullable=False),
    # Who wanted it and why, as far as it is known; NULL: an older version did not keep it.
    Column("actor_id", Text),
    Column("reason", Text),
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
    CheckConstraint("(subject = '') = (restrictions IS NOT NULL)", name="restrictions_are_told"),
    CheckConstraint(
        "subject <> '' OR (max_minor_units IS NULL AND start_time IS NULL)",
        name="maximum_is_of_limit",
    ),
    integer_check("number"),
    integer_check("max_minor_units", optional=True),
)
Index(
    "wallet_change_outstanding_index",
    WALLET_CHANGE.c.player_id,
    sqlite_where=text("settle_time IS NULL"),
    postgresql_where=text("settle_time IS NULL"),
)

# The limits that players chose, as their last wishes left them.
PLAYER_LIMIT = Table(
    "player_limit",
    METADATA,
    Column("player_id", Text, ForeignKey("player.player_id", ondelete="RESTRICT"), nullable=False),
    Column("currency_code", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("period", Text, nullable=False),
    # NULL: no maximum.
    Column("max_minor_units", BigInteger),
    # What takes its place by itself, from when on; no time: nothing does.
    Column("next_max_minor_units", BigInteger),
    Column("next_time", UtcMicros),
    PrimaryKeyConstraint("player_id", "currency_code", "kind", "period"),
    CheckConstraint(LIMIT_KIND_KNOWN, name="kind_known"),
    CheckConstraint(LIMIT_PERIOD_KNOWN, name="period_known"),
    CheckConstraint("max_minor_units >= 0", name="max_minor_units_not_negative"),
    # Only what is looser waits, and nothing is looser than no maximum.
    CheckConstraint(
        "next_time IS NULL OR (max_minor_units IS NOT NULL AND "
        "(next_max_minor_units IS NULL OR next_max_minor_units > max_minor_units))",
        name="next_is_looser",
    ),
    CheckConstraint("next_max_minor_units IS NULL OR next_time IS NOT NULL", name="next_has_time"),
    integer_check("max_minor_units", optional=True),
    integer_check("next_max_minor_units", optional=True),
)

# History of wishes, only appended to: who asked when for what, and what it was before (GLI-19
# 2.8.5i). A wish that changed nothing is one too: its request id is used.
LIMIT_REQUEST = Table(
    "limit_request",
    METADATA,
    Column("player_id", Text, ForeignKey("player.player_id", ondelete="RESTRICT"), nullable=False),
    Column("request_id", Text, nullable=False),
    Column("requester_id", Text, nullable=False),
    Column("currency_code", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("period", Text, nullable=False),
    # In force at the time of the wish; NULL: no maximum.
    Column("old_max_minor_units", BigInteger),
    Column("new_max_minor_units", BigInteger),
    Column("request_time", UtcMicros, nullable=False),
    # From when on the new one counts, if no other wish comes before.
    Column("start_time", UtcMicros, nullable=False),
    PrimaryKeyConstraint("player_id", "request_id"),
    CheckConstraint(LIMIT_KIND_KNOWN, name="kind_known"),
    CheckConstraint(LIMIT_PERIOD_KNOWN, name="period_known"),
    CheckConstraint("start_time >= request_time", name="starts_after_request"),
    integer_check("old_max_minor_units", optional=True),
    integer_check("new_max_minor_units", optional=True),
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
