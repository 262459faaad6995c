"""A seeded simulation of the ledger: `scripts/simulate`."""
