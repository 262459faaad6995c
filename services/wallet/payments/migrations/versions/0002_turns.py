"""Pending payments take turns: when the PSP is asked about each next, and how often it was."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # By default a payment is due at once: those of before, and those that older code inserts.
    for name, kind in (("asks", sa.Integer), ("ask_time", sa.BigInteger)):
        op.add_column("payment", sa.Column(name, kind, nullable=False, server_default="0"))
    # Those that were pending first are asked about first.
    op.execute("UPDATE payment SET ask_time = create_time WHERE state = 1")
    op.drop_index("ix_payment_pending", "payment")
    op.create_index(
        "ix_payment_due",
        "payment",
        ["psp", "ask_time"],
        sqlite_where=sa.text("state = 1"),
        postgresql_where=sa.text("state = 1"),
    )
