"""Parties outside of Croupier, small but whole: a payment provider and a game provider.

They know Croupier only by what it publishes, so nothing here imports anything of `services`.
"""
