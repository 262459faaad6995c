"""Second factors of sessions, password resets, and the record of what operators did."""

import sqlalchemy as sa
from alembic import op

from services.kit.columns import Digest, UtcMicros

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_OVER = sa.text("games_end_time IS NOT NULL")


def upgrade() -> None:
    op.add_column("login_session", sa.Column("second_factor_time", UtcMicros(), nullable=True))
    op.create_index(
        "login_session_over",
        "login_session",
        ["end_time"],
        unique=False,
        sqlite_where=_OVER,
        postgresql_where=_OVER,
    )
    op.create_table(
        "password_reset",
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("token_digest", Digest(), nullable=False),
        sa.Column("create_time", UtcMicros(), nullable=False),
        sa.Column("expire_time", UtcMicros(), nullable=False),
        sa.CheckConstraint(
            "length(token_digest) = 32", name=op.f("password_reset_token_digest_length")
        ),
        sa.ForeignKeyConstraint(
            ["subject_id"],
            ["credential.subject_id"],
            name=op.f("password_reset_subject_id_fkey"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("subject_id", name=op.f("password_reset_pkey")),
        sa.UniqueConstraint("token_digest", name=op.f("password_reset_token_digest_key")),
    )
    op.create_table(
        "operator_action",
        sa.Column("operator_action_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("create_time", UtcMicros(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('unlock', 'password_reset')", name=op.f("operator_action_kind_known")
        ),
        sa.ForeignKeyConstraint(
            ["subject_id"],
            ["credential.subject_id"],
            name=op.f("operator_action_subject_id_fkey"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("operator_action_id", name=op.f("operator_action_pkey")),
        sa.UniqueConstraint("request_id", name=op.f("operator_action_request_id_key")),
    )
    op.create_index(
        op.f("operator_action_subject_id_index"), "operator_action", ["subject_id"], unique=False
    )
    _forbid_changes("operator_action")


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
