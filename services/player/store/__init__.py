"""Every SQL statement of Player, by what it is about."""

from sqlalchemy.ext.asyncio import AsyncConnection

Transaction = AsyncConnection
"""What `Database.transaction` gives, for the layers above, which know no SQL."""

__all__ = ["Transaction"]
