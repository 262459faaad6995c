"""Runs a whole mesh on one machine, for development: `scripts/up`."""
