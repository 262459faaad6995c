"""Makes the table of payments."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    checks = [
        sa.CheckConstraint("amount > 0", name="amount_positive"),
        sa.CheckConstraint("state BETWEEN 1 AND 3", name="state_known"),
        sa.CheckConstraint("state <> 2 OR authorization_number <> ''", name="success_authorized"),
    ]
    if op.get_context().dialect.name == "sqlite":
        checks.append(sa.CheckConstraint("typeof(amount) = 'integer'", name="amount_integer"))
    op.create_table(
        "payment",
        sa.Column("payment_id", sa.Text, primary_key=True),
        sa.Column("player_id", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("psp", sa.Text, nullable=False),
        sa.Column("currency_code", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("return_url", sa.Text, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("hold_id", sa.Text, nullable=False),
        sa.Column("checkout_id", sa.Text, nullable=False),
        sa.Column("checkout_url", sa.Text, nullable=False),
        sa.Column("authorization_number", sa.Text, nullable=False),
        sa.Column("failure", sa.Text, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("update_time", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("player_id", "request_id"),
        *checks,
    )
    op.create_index(
        "ix_payment_pending",
        "payment",
        ["create_time"],
        sqlite_where=sa.text("state = 1"),
        postgresql_where=sa.text("state = 1"),
    )
