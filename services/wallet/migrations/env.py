"""Alembic's entry into the wallet's migrations."""

from services.kit import migrations
from services.wallet.tables import METADATA

migrations.run(METADATA)
