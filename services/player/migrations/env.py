"""Alembic's entry into Player's migrations."""

from services.kit import migrations
from services.player.tables import METADATA

migrations.run(METADATA)
