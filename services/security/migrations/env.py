"""Alembic's entry into Security's migrations."""

from services.kit import migrations
from services.security.tables import METADATA

migrations.run(METADATA)
