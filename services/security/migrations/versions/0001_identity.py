"""Credentials, login sessions, signing keys and API keys, and the log of events."""

import sqlalchemy as sa
from alembic import op

from services.kit.columns import Digest, UtcMicros
from services.kit.feed import create_outbox

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_outbox(op)
    op.create_table(
        "api_key",
        sa.Column("api_key_id", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("secret_digest", Digest(), nullable=False),
        sa.Column("create_time", UtcMicros(), nullable=False),
        sa.Column("expire_time", UtcMicros(), nullable=False),
        sa.Column("create_operator_id", sa.Text(), nullable=False),
        sa.Column("revoke_time", UtcMicros(), nullable=True),
        sa.Column("revoke_operator_id", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(revoke_time IS NULL) = (revoke_operator_id IS NULL)",
            name=op.f("api_key_revoked_by_somebody"),
        ),
        sa.CheckConstraint("length(secret_digest) = 32", name=op.f("api_key_secret_digest_length")),
        sa.PrimaryKeyConstraint("api_key_id", name=op.f("api_key_pkey")),
    )
    op.create_table(
        "credential",
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("create_time", UtcMicros(), nullable=False),
        sa.Column("last_login_time", UtcMicros(), nullable=True),
        sa.Column("unlock_time", UtcMicros(), nullable=True),
        sa.CheckConstraint("kind IN ('player', 'operator')", name=op.f("credential_kind_known")),
        sa.PrimaryKeyConstraint("subject_id", name=op.f("credential_pkey")),
        sa.UniqueConstraint("email", name=op.f("credential_email_key")),
    )
    op.create_index(
        "credential_operator",
        "credential",
        ["subject_id"],
        unique=False,
        sqlite_where=sa.text("kind = 'operator'"),
        postgresql_where=sa.text("kind = 'operator'"),
    )
    op.create_table(
        "signing_key",
        sa.Column("signing_key_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("x", sa.Text(), nullable=False),
        sa.Column("y", sa.Text(), nullable=False),
        sa.Column("private_key_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", UtcMicros(), nullable=False),
        sa.Column("activate_time", UtcMicros(), nullable=False),
        sa.Column("expire_time", UtcMicros(), nullable=True),
        sa.PrimaryKeyConstraint("signing_key_id", name=op.f("signing_key_pkey")),
        sa.UniqueConstraint("number", name=op.f("signing_key_number_key")),
    )
    op.create_table(
        "login_failure",
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("create_time", UtcMicros(), nullable=False),
        sa.CheckConstraint("number BETWEEN 1 AND 3", name=op.f("login_failure_number_range")),
        sa.ForeignKeyConstraint(
            ["subject_id"],
            ["credential.subject_id"],
            name=op.f("login_failure_subject_id_fkey"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("subject_id", "number", name=op.f("login_failure_pkey")),
    )
    op.create_table(
        "login_session",
        sa.Column("login_session_id", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("client_address", sa.Text(), nullable=False),
        sa.Column("create_time", UtcMicros(), nullable=False),
        sa.Column("expire_time", UtcMicros(), nullable=False),
        sa.Column("life_end_time", UtcMicros(), nullable=False),
        sa.Column("token_expire_time", UtcMicros(), nullable=False),
        sa.Column("end_time", UtcMicros(), nullable=True),
        sa.Column("games_end_time", UtcMicros(), nullable=True),
        sa.CheckConstraint(
            "expire_time <= life_end_time", name=op.f("login_session_expires_within_life")
        ),
        sa.CheckConstraint(
            "games_end_time IS NULL OR end_time IS NOT NULL",
            name=op.f("login_session_games_end_after"),
        ),
        sa.ForeignKeyConstraint(
            ["subject_id"],
            ["credential.subject_id"],
            name=op.f("login_session_subject_id_fkey"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("login_session_id", name=op.f("login_session_pkey")),
    )
    op.create_index(
        "login_session_expiring",
        "login_session",
        ["expire_time"],
        unique=False,
        sqlite_where=sa.text("end_time IS NULL"),
        postgresql_where=sa.text("end_time IS NULL"),
    )
    op.create_index(
        "login_session_games_open",
        "login_session",
        ["end_time"],
        unique=False,
        sqlite_where=sa.text("end_time IS NOT NULL AND games_end_time IS NULL"),
        postgresql_where=sa.text("end_time IS NOT NULL AND games_end_time IS NULL"),
    )
    op.create_index(
        "login_session_open",
        "login_session",
        ["subject_id"],
        unique=False,
        sqlite_where=sa.text("end_time IS NULL"),
        postgresql_where=sa.text("end_time IS NULL"),
    )
    op.create_table(
        "operator_role",
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["subject_id"],
            ["credential.subject_id"],
            name=op.f("operator_role_subject_id_fkey"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("subject_id", "role", name=op.f("operator_role_pkey")),
    )
    op.create_table(
        "totp_factor",
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("secret_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", UtcMicros(), nullable=False),
        sa.Column("confirm_time", UtcMicros(), nullable=True),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["subject_id"],
            ["credential.subject_id"],
            name=op.f("totp_factor_subject_id_fkey"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("subject_id", name=op.f("totp_factor_pkey")),
    )
    op.create_table(
        "refresh_token",
        sa.Column("token_digest", Digest(), nullable=False),
        sa.Column("login_session_id", sa.Text(), nullable=False),
        sa.Column("create_time", UtcMicros(), nullable=False),
        sa.Column("use_time", UtcMicros(), nullable=True),
        sa.CheckConstraint(
            "length(token_digest) = 32", name=op.f("refresh_token_token_digest_length")
        ),
        sa.ForeignKeyConstraint(
            ["login_session_id"],
            ["login_session.login_session_id"],
            name=op.f("refresh_token_login_session_id_fkey"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("token_digest", name=op.f("refresh_token_pkey")),
    )
    op.create_index(
        op.f("refresh_token_login_session_id_index"),
        "refresh_token",
        ["login_session_id"],
        unique=False,
    )
