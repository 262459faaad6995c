"""A writer's own connection: the small interface that hides the two engines."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from sqlalchemy.engine import URL, make_url

from services.wallet.store.statements import SetStatement

Row = Sequence[Any]


class LeaseTakenError(Exception):
    """Another process writes this shard."""


class DeposedError(Exception):
    """Another writer has begun a new reign. This one has committed nothing since, and stops."""


class RaceLostError(Exception):
    """The transaction lost a race. It was rolled back and may be planned again."""


class RowExistsError(RaceLostError):
    """A row that the transaction adds is there already.

    If it lost a race, planning again finds the row. If not, no other try will do.
    """


class ConnectionLostError(Exception):
    """The connection failed before COMMIT was sent: nothing was committed."""


class CommitUnknownError(Exception):
    """The connection failed after COMMIT was sent: it may have been committed."""


class UnsafeSettingsError(Exception):
    """The database is set up to lose what it has acknowledged."""


class StatementTiming(NamedTuple):
    """When a statement of a batch ran, in nanoseconds since the Unix epoch."""

    name: str
    sql: str
    start_ns: int
    end_ns: int
    rows: int


@dataclass(slots=True)
class Recorder:
    """Notes the timings of a batch that somebody traces."""

    timings: list[StatementTiming]


class Session(Protocol):
    """One connection that belongs to one writer.

    All methods raise `ConnectionLostError` when the connection fails; `commit` raises
    `CommitUnknownError`. Both leave a session that must be opened again.
    """

    recorder: Recorder | None

    async def open(self, *, shard: int) -> None:
        """Connects and takes the lease of the shard.

        Raises:
            LeaseTakenError: Another process has it.
            UnsafeSettingsError: The database would lose acknowledged transfers.
        """

    async def close(self) -> None:
        """Gives the lease back and disconnects. Safe to repeat."""

    async def begin(self) -> None:
        """Begins a transaction that writes."""

    async def commit(self) -> None:
        """Makes the transaction durable.

        Raises:
            CommitUnknownError: Whether it is, is not known.
        """

    async def rollback(self) -> None:
        """Drops the transaction, if there is one."""

    async def select(self, statement: SetStatement, rows: Sequence[Row]) -> list[Any]:
        """Returns what a statement finds for the given rows; without rows, nothing."""

    async def execute(self, statement: SetStatement, rows: Sequence[Row]) -> int:
        """Runs a statement on the given rows and returns how many rows it changed."""

    async def lock_shard(self, shard: int) -> Any:
        """Begins a transaction, waits for the shard's row, and returns it."""


def open_session(database_url: str) -> Session:
    """Makes the session that the address asks for; it connects when opened."""
    # Here, since each engine's module needs the errors above.
    from services.wallet.store.postgresql import PostgresSession  # noqa: PLC0415
    from services.wallet.store.sqlite import SqliteSession  # noqa: PLC0415

    url: URL = make_url(database_url)
    if url.get_backend_name() == "sqlite":
        return SqliteSession(url)
    return PostgresSession(url)
