"""Who moves money: the first part of every key.

Providers go by their ids, which have no colon, so the names below can never be a provider's, and
neither can that of the wallet's own transfers (`WALLET_SOURCE` in `domain/values.py`).
"""

TENANT = "default"
"""The one operator that this installation serves."""

BACK_OFFICE = "service:back-office"
"""Operators, by their own hand."""

PLAYER_SERVICE = "service:player"
"""The Player service: wallets, restrictions, and limits that players choose."""


def psp_source(psp: str) -> str:
    """Names a payment provider."""
    return f"psp:{psp}"
