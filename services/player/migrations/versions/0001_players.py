"""Players, their history, and what other services have yet to confirm."""

import sqlalchemy as sa
from alembic import op

from services.kit.columns import UtcMicros, integer_check
from services.kit.feed import create_outbox

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Rows of these tables tell what was done, and are never changed or removed.
_HISTORY = ("exclusion", "block", "identity_check")


def upgrade() -> None:
    create_outbox(op)
    _create_player()
    _create_history()
    _create_outstanding()
    for table in _HISTORY:
        _forbid_changes(table)


def _player_id() -> sa.Column[str]:
    return sa.Column(
        "player_id",
        sa.Text,
        nullable=False,
    )


def _of_player(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["player_id"], ["player.player_id"], name=f"{table}_player_id_fkey", ondelete="RESTRICT"
    )


def _create_player() -> None:
    op.create_table(
        "player",
        sa.Column("player_id", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("given_name", sa.Text, nullable=False),
        sa.Column("family_name", sa.Text, nullable=False),
        sa.Column("date_of_birth", sa.Date, nullable=False),
        sa.Column("country_code", sa.Text, nullable=False),
        sa.Column("postal_address", sa.Text, nullable=False),
        sa.Column("currency_code", sa.Text, nullable=False),
        sa.Column("email_digest", sa.LargeBinary, nullable=False),
        sa.Column("person_digest", sa.LargeBinary, nullable=False),
        sa.Column("terms_accept_time", UtcMicros, nullable=False),
        sa.Column("create_time", UtcMicros, nullable=False),
        sa.Column("credential_create_time", UtcMicros),
        sa.Column("wallet_open_time", UtcMicros),
        sa.Column("identity_state", sa.Text, nullable=False),
        sa.Column("blocked", sa.Boolean, nullable=False),
        sa.Column("exclusion_start_time", UtcMicros),
        sa.Column("exclusion_end_time", UtcMicros),
        sa.Column("restrictions", sa.Text, nullable=False),
        sa.Column("change_number", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("player_id", name="player_pkey"),
        sa.UniqueConstraint("request_id", name="player_request_id_key"),
        sa.UniqueConstraint("email_digest", name="player_email_digest_key"),
        sa.UniqueConstraint("person_digest", name="player_person_digest_key"),
        sa.CheckConstraint(
            "identity_state IN ('IDENTITY_STATE_PENDING', 'IDENTITY_STATE_VERIFIED', "
            "'IDENTITY_STATE_REFUSED')",
            name="player_identity_state_known",
        ),
        sa.CheckConstraint(
            "exclusion_end_time IS NULL OR exclusion_start_time < exclusion_end_time",
            name="player_exclusion_ends_after_start",
        ),
        sa.CheckConstraint(
            "exclusion_end_time IS NULL OR exclusion_start_time IS NOT NULL",
            name="player_exclusion_has_start",
        ),
        sa.CheckConstraint("change_number >= 0", name="player_change_number_not_negative"),
        integer_check("change_number"),
    )
    _partial_index("player_wallet_missing_index", "player", "player_id", "wallet_open_time IS NULL")
    _partial_index(
        "player_exclusion_end_index",
        "player",
        "exclusion_end_time",
        "exclusion_end_time IS NOT NULL",
    )


def _create_history() -> None:
    op.create_table(
        "exclusion",
        sa.Column("exclusion_id", sa.Text, nullable=False),
        _player_id(),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("requester_id", sa.Text, nullable=False),
        sa.Column("request_time", UtcMicros, nullable=False),
        sa.Column("start_time", UtcMicros, nullable=False),
        sa.Column("end_time", UtcMicros),
        sa.PrimaryKeyConstraint("exclusion_id", name="exclusion_pkey"),
        _of_player("exclusion"),
        sa.CheckConstraint("kind IN ('SELF')", name="exclusion_kind_known"),
        sa.CheckConstraint(
            "end_time IS NULL OR start_time < end_time", name="exclusion_ends_after_start"
        ),
    )
    op.create_table(
        "block",
        sa.Column("block_id", sa.Text, nullable=False),
        _player_id(),
        sa.Column("blocked", sa.Boolean, nullable=False),
        sa.Column("operator_id", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("create_time", UtcMicros, nullable=False),
        sa.PrimaryKeyConstraint("block_id", name="block_pkey"),
        _of_player("block"),
        sa.CheckConstraint("operator_id <> ''", name="block_operator_known"),
    )
    op.create_table(
        "identity_check",
        sa.Column("check_id", sa.Text, nullable=False),
        _player_id(),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("verified", sa.Boolean, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("create_time", UtcMicros, nullable=False),
        sa.PrimaryKeyConstraint("check_id", name="identity_check_pkey"),
        _of_player("identity_check"),
        sa.CheckConstraint("verified = (cause = '')", name="identity_check_refusal_has_cause"),
    )
    for table in _HISTORY:
        op.create_index(f"{table}_player_id_index", table, ["player_id"])


def _create_outstanding() -> None:
    op.create_table(
        "restriction_change",
        _player_id(),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("change_id", sa.Text, nullable=False),
        sa.Column("restrictions", sa.Text, nullable=False),
        sa.Column("create_time", UtcMicros, nullable=False),
        sa.Column("attempt_time", UtcMicros),
        sa.Column("settle_time", UtcMicros),
        sa.Column("superseded", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("player_id", "number", name="restriction_change_pkey"),
        _of_player("restriction_change"),
        sa.UniqueConstraint("change_id", name="restriction_change_change_id_key"),
        sa.CheckConstraint("number > 0", name="restriction_change_number_positive"),
        sa.CheckConstraint(
            "NOT superseded OR (attempt_time IS NULL AND settle_time IS NOT NULL)",
            name="restriction_change_superseded_was_never_sent",
        ),
        integer_check("number"),
    )
    _partial_index(
        "restriction_change_outstanding_index",
        "restriction_change",
        "player_id",
        "settle_time IS NULL",
    )
    op.create_table(
        "session_ending",
        sa.Column("block_id", sa.Text, nullable=False),
        _player_id(),
        sa.Column("create_time", UtcMicros, nullable=False),
        sa.PrimaryKeyConstraint("block_id", name="session_ending_pkey"),
        sa.ForeignKeyConstraint(
            ["block_id"],
            ["block.block_id"],
            name="session_ending_block_id_fkey",
            ondelete="RESTRICT",
        ),
        _of_player("session_ending"),
    )
    op.create_index("session_ending_player_id_index", "session_ending", ["player_id"])


def _partial_index(name: str, table: str, column: str, where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, [column], sqlite_where=condition, postgresql_where=condition)


def _forbid_changes(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_unchanged() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_unchanged()"
    )
