"""Typed calls to other services and to providers, and the Wallet's events as steps of rounds."""

from services.game.clients.feed import steps_of
from services.game.clients.player import PlayerClient
from services.game.clients.providers import ProviderClient
from services.game.clients.security import KeyOwner, SecurityClient
from services.game.clients.wallet import WalletClient

__all__ = [
    "KeyOwner",
    "PlayerClient",
    "ProviderClient",
    "SecurityClient",
    "WalletClient",
    "steps_of",
]
