"""The tables of an outbox and of the cursors of followers, and what migrations need of them.

A service calls `outbox_tables(METADATA)` in its tables.py and `create_outbox(op)` in a migration.
These functions are history once a migration calls them: a later change of the tables is a new
function beside them, for a new migration.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    insert,
)

from services.kit.clock import EPOCH
from services.kit.columns import UtcMicros, integer_check
from services.kit.ids import new_id

HEAD_ID = 1

# What is in the log is history: the database itself refuses to rewrite it. Deleting stays
# possible, so that a log can be pruned behind its slowest follower.
_APPEND_ONLY = {
    "sqlite": [
        """
        CREATE TRIGGER outbox_event_unchanged BEFORE UPDATE ON outbox_event
        BEGIN SELECT RAISE(ABORT, 'outbox_event is append-only'); END
        """,
    ],
    "postgresql": [
        """
        CREATE FUNCTION outbox_event_unchanged() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'outbox_event is append-only'; END $$
        """,
        """
        CREATE TRIGGER outbox_event_unchanged BEFORE UPDATE ON outbox_event
        FOR EACH ROW EXECUTE FUNCTION outbox_event_unchanged()
        """,
    ],
}


@dataclass(frozen=True, slots=True)
class OutboxTables:
    """The tables of an outbox."""

    event: Table
    head: Table
    consumer: Table


def outbox_tables(metadata: MetaData) -> OutboxTables:
    """Declares the outbox among a service's tables."""
    return OutboxTables(
        event=Table(
            "outbox_event",
            metadata,
            Column("seq", BigInteger, primary_key=True, autoincrement=False),
            Column("create_time", UtcMicros, nullable=False),
            Column("trace_id", Text, nullable=False),
            # The name of the payload in croupier.event.v1.Event, for whoever reads the table.
            Column("kind", Text, nullable=False),
            # A serialized Event that has nothing but the payload.
            Column("payload", LargeBinary, nullable=False),
            CheckConstraint("seq > 0", name="outbox_event_seq_positive"),
        ),
        head=Table(
            "outbox_head",
            metadata,
            Column("id", Integer, primary_key=True, autoincrement=False),
            Column("last_seq", BigInteger, nullable=False),
            # Of the newest event. Replicas have clocks of their own; the log's time never goes
            # back all the same.
            Column("last_create_time", UtcMicros, nullable=False),
            Column("incarnation", Text, nullable=False),
            # One row, whose lock is what puts the appending transactions in order.
            CheckConstraint(f"id = {HEAD_ID}", name="outbox_head_one_row"),
            CheckConstraint("last_seq >= 0", name="outbox_head_last_seq_not_negative"),
            integer_check("last_seq"),
        ),
        consumer=Table(
            "outbox_consumer",
            metadata,
            # The service that follows, by its certificate.
            Column("name", Text, primary_key=True),
            # It will not ask again for this event or an older one.
            Column("seq", BigInteger, nullable=False),
            # When it said so.
            Column("acknowledge_time", UtcMicros, nullable=False),
            CheckConstraint("seq >= 0", name="outbox_consumer_seq_not_negative"),
            integer_check("seq"),
        ),
    )


def create_outbox(op: Any) -> None:
    """Makes the log in a migration; `op` is Alembic's. `create_outbox_consumers` belongs to it.

    The log begins with an incarnation of its own. Whoever restores it from a backup gives it
    another one by `Outbox.begin_incarnation`.
    """
    metadata = MetaData()
    tables = outbox_tables(metadata)
    connection = op.get_bind()
    metadata.create_all(connection, tables=[tables.event, tables.head], checkfirst=False)
    connection.execute(
        insert(tables.head).values(
            id=HEAD_ID, last_seq=0, last_create_time=EPOCH, incarnation=new_id()
        )
    )
    for statement in _APPEND_ONLY[connection.dialect.name]:
        connection.exec_driver_sql(statement)


def create_outbox_consumers(op: Any) -> None:
    """Makes the table of those who follow the log in a migration; `op` is Alembic's."""
    metadata = MetaData()
    tables = outbox_tables(metadata)
    metadata.create_all(op.get_bind(), tables=[tables.consumer], checkfirst=False)


def cursor_table(metadata: MetaData) -> Table:
    """Declares, among a service's tables, how far it has followed the feeds of others."""
    return Table(
        "feed_cursor",
        metadata,
        # The service that is followed.
        Column("source", Text, primary_key=True),
        Column("shard", Integer, primary_key=True, autoincrement=False),
        # The last event that was handled; 0 for none.
        Column("seq", BigInteger, nullable=False),
        # Empty until the source has told it.
        Column("incarnation", Text, nullable=False),
        # `create_time` of the last event that was handled; null for none.
        Column("event_time", UtcMicros, nullable=True),
        CheckConstraint("seq >= 0", name="feed_cursor_seq_not_negative"),
        integer_check("seq"),
    )


def create_cursors(op: Any) -> None:
    """Makes the table of cursors in a migration; `op` is Alembic's."""
    metadata = MetaData()
    cursor_table(metadata)
    metadata.create_all(op.get_bind(), checkfirst=False)
