"""A game provider for development: one slot game, built on the generated stubs alone."""
