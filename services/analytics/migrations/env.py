"""Alembic's entry into Analytics' migrations."""

from services.analytics.tables import METADATA
from services.kit import migrations

migrations.run(METADATA)
