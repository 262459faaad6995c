"""Measures: `scripts/bench mesh` and its like. Every row is compared with a baseline of its run."""
