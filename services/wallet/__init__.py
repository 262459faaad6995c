"""The wallet: every amount of money on the platform, in a double-entry ledger."""
