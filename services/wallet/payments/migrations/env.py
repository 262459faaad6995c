"""Runs the migrations of payments."""

from services.kit import migrations
from services.wallet.payments.tables import METADATA

migrations.run(METADATA)
