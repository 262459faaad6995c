"""The catalogue, game sessions, rounds, the log of events and the cursors of followed feeds."""

import sqlalchemy as sa
from alembic import op

from services.kit.feed import create_cursors, create_outbox

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_OPEN = sa.text("state = 'open'")


def upgrade() -> None:
    _create_catalogue()
    _create_sessions()
    _create_rounds()
    create_outbox(op)
    create_cursors(op)


def _create_catalogue() -> None:
    op.create_table(
        "provider",
        sa.Column("provider_id", sa.Text, nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("launch_address", sa.Text, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("provider_id", name=op.f("provider_pkey")),
    )
    op.create_table(
        "game",
        sa.Column("game_id", sa.Text, nullable=False),
        sa.Column("provider_id", sa.Text, nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("wager_weight_bp", sa.Integer, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("game_id", name=op.f("game_pkey")),
        sa.ForeignKeyConstraint(
            ["provider_id"],
            ["provider.provider_id"],
            ondelete="RESTRICT",
            name=op.f("game_provider_id_fkey"),
        ),
        sa.CheckConstraint(
            "wager_weight_bp BETWEEN 0 AND 10000", name=op.f("game_wager_weight_bp_range")
        ),
    )
    op.create_index(op.f("game_display_name_index"), "game", ["display_name", "game_id"])
    op.create_table(
        "game_currency",
        sa.Column("game_id", sa.Text, nullable=False),
        sa.Column("currency_code", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("game_id", "currency_code", name=op.f("game_currency_pkey")),
        sa.ForeignKeyConstraint(
            ["game_id"],
            ["game.game_id"],
            ondelete="RESTRICT",
            name=op.f("game_currency_game_id_fkey"),
        ),
    )


def _create_sessions() -> None:
    op.create_table(
        "login_session",
        sa.Column("login_session_id", sa.Text, nullable=False),
        sa.Column("ended", sa.Boolean, nullable=False),
        sa.Column("keep_time", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("login_session_id", name=op.f("login_session_pkey")),
    )
    op.create_index(op.f("login_session_keep_time_index"), "login_session", ["keep_time"])
    op.create_table(
        "game_session",
        sa.Column("game_session_id", sa.Text, nullable=False),
        sa.Column("token_hash", sa.LargeBinary, nullable=False),
        sa.Column("player_id", sa.Text, nullable=False),
        sa.Column("game_id", sa.Text, nullable=False),
        sa.Column("provider_id", sa.Text, nullable=False),
        sa.Column("currency_code", sa.Text, nullable=False),
        sa.Column("login_session_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("expire_time", sa.BigInteger, nullable=False),
        sa.Column("end_time", sa.BigInteger),
        sa.PrimaryKeyConstraint("game_session_id", name=op.f("game_session_pkey")),
        sa.UniqueConstraint("token_hash", name=op.f("game_session_token_hash_key")),
        sa.ForeignKeyConstraint(
            ["game_id"],
            ["game.game_id"],
            ondelete="RESTRICT",
            name=op.f("game_session_game_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["provider_id"],
            ["provider.provider_id"],
            ondelete="RESTRICT",
            name=op.f("game_session_provider_id_fkey"),
        ),
        sa.CheckConstraint("length(token_hash) = 32", name=op.f("game_session_token_hash_length")),
        sa.CheckConstraint("state IN ('open', 'ended')", name=op.f("game_session_state_known")),
        sa.CheckConstraint(
            "(state = 'ended') = (end_time IS NOT NULL)",
            name=op.f("game_session_end_time_of_ended"),
        ),
    )
    op.create_index(
        op.f("game_session_open_index"),
        "game_session",
        ["player_id", "game_id"],
        unique=True,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.create_index(
        op.f("game_session_open_login_index"),
        "game_session",
        ["login_session_id"],
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )


def _create_rounds() -> None:
    op.create_table(
        "round",
        sa.Column("round_id", sa.Text, nullable=False),
        sa.Column("provider_id", sa.Text, nullable=False),
        sa.Column("player_id", sa.Text, nullable=False),
        sa.Column("provider_round_id", sa.Text, nullable=False),
        sa.Column("game_id", sa.Text, nullable=False),
        sa.Column("currency_code", sa.Text, nullable=False),
        sa.Column("staked_minor_units", sa.BigInteger, nullable=False),
        sa.Column("won_minor_units", sa.BigInteger, nullable=False),
        sa.Column("bet_count", sa.Integer, nullable=False),
        sa.Column("reversed_bet_count", sa.Integer, nullable=False),
        sa.Column("closed", sa.Boolean, nullable=False),
        sa.Column("start_seq", sa.BigInteger, nullable=False),
        sa.Column("start_time", sa.BigInteger, nullable=False),
        sa.Column("end_time", sa.BigInteger),
        sa.PrimaryKeyConstraint("round_id", name=op.f("round_pkey")),
        sa.UniqueConstraint(
            "provider_id",
            "player_id",
            "provider_round_id",
            name=op.f("round_provider_id_player_id_provider_round_id_key"),
        ),
        sa.CheckConstraint(
            "bet_count >= 0 AND reversed_bet_count >= 0", name=op.f("round_counts_not_negative")
        ),
        *(
            sa.CheckConstraint(
                f"typeof({column}) = 'integer'", name=op.f(f"round_{column}_integer")
            ).ddl_if(dialect="sqlite")
            for column in ("staked_minor_units", "won_minor_units")
        ),
    )
    op.create_index(op.f("round_player_index"), "round", ["player_id", "start_seq"])
