"""Every SQL statement of the Game service, by noun; returns domain values."""

from sqlalchemy.ext.asyncio import AsyncConnection as Connection

from services.game.store.catalogue import CatalogueStore
from services.game.store.rounds import RoundStore
from services.game.store.sessions import SessionStore

__all__ = ["CatalogueStore", "Connection", "RoundStore", "SessionStore"]
