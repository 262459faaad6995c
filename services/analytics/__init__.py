"""The Analytics service: what happened, in figures."""
