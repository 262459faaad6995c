"""The Game service's tables. Each defends itself, on both engines."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from services.kit.columns import NAMES, Digest, UtcMicros, integer_check
from services.kit.feed import cursor_table, outbox_tables

METADATA = MetaData(naming_convention=NAMES)

PROVIDER = Table(
    "provider",
    METADATA,
    Column("provider_id", Text, primary_key=True),
    Column("display_name", Text, nullable=False),
    Column("launch_address", Text, nullable=False),
    Column("create_time", UtcMicros, nullable=False),
)

GAME = Table(
    "game",
    METADATA,
    Column("game_id", Text, primary_key=True),
    Column(
        "provider_id",
        Text,
        ForeignKey("provider.provider_id", ondelete="RESTRICT"),
        nullable=False,
    ),
    Column("display_name", Text, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("wager_weight_bp", Integer, nullable=False),
    Column("create_time", UtcMicros, nullable=False),
    CheckConstraint("wager_weight_bp BETWEEN 0 AND 10000", name="wager_weight_bp_range"),
    # Players see the games by name.
    Index("game_display_name_index", "display_name", "game_id"),
)

GAME_CURRENCY = Table(
    "game_currency",
    METADATA,
    Column("game_id", Text, ForeignKey("game.game_id", ondelete="RESTRICT"), primary_key=True),
    Column("currency_code", Text, primary_key=True),
)

# A login session that has launched a game or has ended. Launches and logouts lock its row, so that
# no launch slips past a logout: a row that does not exist cannot be locked.
LOGIN_SESSION = Table(
    "login_session",
    METADATA,
    Column("login_session_id", Text, primary_key=True),
    Column("ended", Boolean, nullable=False),
    # Until when the row may matter: past the last moment of its last access token.
    Column("keep_time", UtcMicros, nullable=False),
    Index("login_session_keep_time_index", "keep_time"),
)

GAME_SESSION = Table(
    "game_session",
    METADATA,
    Column("game_session_id", Text, primary_key=True),
    # SHA-256 of the token, which nobody can turn back into one.
    Column("token_hash", Digest, nullable=False),
    Column("player_id", Text, nullable=False),
    Column("game_id", Text, ForeignKey("game.game_id", ondelete="RESTRICT"), nullable=False),
    Column(
        "provider_id",
        Text,
        ForeignKey("provider.provider_id", ondelete="RESTRICT"),
        nullable=False,
    ),
    Column("currency_code", Text, nullable=False),
    Column("login_session_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("create_time", UtcMicros, nullable=False),
    Column("expire_time", UtcMicros, nullable=False),
    Column("end_time", UtcMicros),
    UniqueConstraint("token_hash"),
    CheckConstraint("length(token_hash) = 32", name="token_hash_length"),
    CheckConstraint("state IN ('open', 'ended')", name="state_known"),
    CheckConstraint("(state = 'ended') = (end_time IS NOT NULL)", name="end_time_of_ended"),
    # A launch takes the place of the one before it, also when two meet.
    Index(
        "game_session_open_index",
        "player_id",
        "game_id",
        unique=True,
        sqlite_where=text("state = 'open'"),
        postgresql_where=text("state = 'open'"),
    ),
    Index(
        "game_session_open_login_index",
        "login_session_id",
        sqlite_where=text("state = 'open'"),
        postgresql_where=text("state = 'open'"),
    ),
)

# Derived from the ledger's feed, in one transaction with the feed's cursor. No foreign keys: the
# ledger has judged these transfers, and a check here could only stop the derivation.
ROUND = Table(
    "round",
    METADATA,
    Column("round_id", Text, primary_key=True),
    Column("provider_id", Text, nullable=False),
    Column("player_id", Text, nullable=False),
    Column("provider_round_id", Text, nullable=False),
    Column("game_id", Text, nullable=False),
    Column("currency_code", Text, nullable=False),
    Column("staked_minor_units", BigInteger, nullable=False),
    Column("won_minor_units", BigInteger, nullable=False),
    Column("bet_count", Integer, nullable=False),
    Column("reversed_bet_count", Integer, nullable=False),
    Column("closed", Boolean, nullable=False),
    # `seq` of its first transfer: what lists sort by. A player's transfers are in one shard.
    Column("start_seq", BigInteger, nullable=False),
    Column("start_time", UtcMicros, nullable=False),
    Column("end_time", UtcMicros),
    # Players of a live table share one id of the provider, so the player is part of the name.
    UniqueConstraint("provider_id", "player_id", "provider_round_id"),
    integer_check("staked_minor_units"),
    integer_check("won_minor_units"),
    CheckConstraint("bet_count >= 0 AND reversed_bet_count >= 0", name="counts_not_negative"),
    Index("round_player_index", "player_id", "start_seq"),
)

OUTBOX = outbox_tables(METADATA)
FEED_CURSOR = cursor_table(METADATA)
