"""The Game service: catalogue, launches, game sessions, rounds and the provider's wallet calls."""
