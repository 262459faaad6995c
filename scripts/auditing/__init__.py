"""What operators do with the ledger from a shell: `scripts/ledger`."""
