"""Who wanted a change of what the wallet enforces, and why."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("actor_id", "reason"):
        op.add_column("wallet_change", sa.Column(name, sa.Text))
