"""Versions of policies say who set them, why, and by which transfer."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("policy", sa.Column("seq", _BIG, nullable=True))
    for name in ("actor", "reason"):
        column = sa.Column(name, sa.Text(), nullable=False, server_default=sa.text("''"))
        op.add_column("policy", column)
    # The default is the same row in every ledger, so that the audit knows all of it.
    with _unguarded():
        op.execute("UPDATE policy SET create_time = 0 WHERE policy_id = 1")


@contextmanager
def _unguarded() -> Iterator[None]:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER policy_refuses_update")
        yield
        op.execute(
            "CREATE TRIGGER policy_refuses_update BEFORE UPDATE ON policy"
            " BEGIN SELECT RAISE(ABORT, 'policy is append-only'); END"
        )
    else:
        op.execute("ALTER TABLE policy DISABLE TRIGGER policy_append_only")
        yield
        op.execute("ALTER TABLE policy ENABLE TRIGGER policy_append_only")
