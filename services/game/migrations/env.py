"""Alembic's entry into the Game service's migrations."""

from services.game.tables import METADATA
from services.kit import migrations

migrations.run(METADATA)
