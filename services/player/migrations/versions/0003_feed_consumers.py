"""How far those who follow the feed are, behind whom it is pruned."""

from alembic import op

from services.kit.feed import create_outbox_consumers

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_outbox_consumers(op)
