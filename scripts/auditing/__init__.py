"""Audits of the ledger: `scripts/ledger`."""
