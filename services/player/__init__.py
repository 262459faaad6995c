"""Owns players: who they are, whether they are identified, excluded or blocked."""
