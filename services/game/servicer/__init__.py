"""gRPC in and out: one servicer for each service of the contract."""

from services.game.servicer.games import GameServicer
from services.game.servicer.providers import ProviderServicer

__all__ = ["GameServicer", "ProviderServicer"]
