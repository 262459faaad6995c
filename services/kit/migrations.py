"""Runs a service's Alembic migrations from code, without an alembic.ini.

A service keeps its scripts in `services/<name>/migrations/versions/`, and an `env.py` beside them:

    from services.kit import migrations
    from services.wallet.tables import METADATA

    migrations.run(METADATA)

An upgrade is one transaction on both engines, so a failed one leaves the database as it was. On
PostgreSQL it makes the schema that bears the service's name and keeps `alembic_version` in it.
"""

import asyncio
import importlib.util
import threading
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from alembic import command, context
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit import telemetry
from services.kit.database import Database

_LOCK_WAIT_MS = 60_000
# An arbitrary number that the migrations of all services lock, so that replicas which start
# together upgrade one after the other.
_ADVISORY_LOCK = 7_266_551_044

# Alembic keeps the environment that runs in a module global.
_one_at_a_time = threading.Lock()


class BrokenReferenceError(RuntimeError):
    """A migration left rows that point at rows which do not exist. It was rolled back."""


class NotMigratedError(Exception):
    """A database is not at the version of this code; the service does not start."""

    def __init__(self, service_package: str, *, found: str | None, wanted: str | None) -> None:
        """Names the service, both revisions and what to do."""
        super().__init__(
            f"the database of {service_package} is at revision {found}, and this code needs"
            f" {wanted}: run the version that fits, or migrate it with CROUPIER_MIGRATE=true"
        )


async def open_database(
    url: str, service_package: str, stack: AsyncExitStack, *, migrate: bool
) -> Database:
    """Opens a service's database at the version of its code; the stack closes it.

    Args:
        url: As for `Database`.
        service_package: Such as `services.wallet`. Its last part names the schema.
        stack: Takes the service apart.
        migrate: Whether the settings say to bring the database up to date.

    Raises:
        NotMigratedError: It is at another version, and nobody said to migrate it.
    """
    database = Database(url, schema=_schema_of(service_package))
    stack.push_async_callback(database.close)
    await bring_up_to_date(database, service_package, migrate=migrate)
    telemetry.instrument(database.engine.sync_engine)
    return database


async def bring_up_to_date(database: Database, service_package: str, *, migrate: bool) -> None:
    """Migrates a database if it is the embedded one or if the settings say so, else checks it.

    A database in production is migrated when its operators mean to, and not because one replica of
    a newer version has started beside others.

    Raises:
        NotMigratedError: It is at another version, and nobody said to migrate it.
    """
    if database.is_sqlite or migrate:
        await upgrade(database.url.render_as_string(hide_password=False), service_package)
        return
    wanted = _head_of(service_package)
    found = await _revision_of(database)
    if found != wanted:
        raise NotMigratedError(service_package, found=found, wanted=wanted)


async def upgrade(
    database_url: str, service_package: str, revision: str = "head", *, schema: str = ""
) -> None:
    """Brings a database to a revision. Does nothing if it is there already.

    Args:
        database_url: As for `Database`.
        service_package: Such as `services.wallet`. Its last part names the schema.
        revision: A revision of that service, or `head`.
        schema: Another schema than the service's own, for a copy that is made beside it.

    Raises:
        BrokenReferenceError: The migrations violate a foreign key. SQLite checks at the end only.
    """
    config = _config(service_package)
    # In a thread with a loop of its own: an upgrade blocks, and must not be interleaved with that
    # of another service, which a lock can only assure where no other task of the loop waits on it.
    await asyncio.to_thread(
        _upgrade_alone, database_url, schema or _schema_of(service_package), config, revision
    )


async def is_current(database: Database, service_package: str) -> bool:
    """Tells whether a database is at the version of the code."""
    return await _revision_of(database) == _head_of(service_package)


async def differences(database: Database, metadata: MetaData) -> list[Any]:
    """Lists where a migrated database differs from the tables that the code declares."""

    def compare(connection: Connection) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with database.snapshot() as connection:
        return await connection.run_sync(compare)


def run(metadata: MetaData) -> None:
    """Runs the scripts that Alembic has selected. Each service's `env.py` calls it."""
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=metadata,
        # SQLite alters a table by copying it.
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


def _config(service_package: str) -> Config:
    spec = importlib.util.find_spec(service_package)
    if spec is None or not spec.submodule_search_locations:
        message = f"{service_package!r} is not a package"
        raise ModuleNotFoundError(message)
    config = Config()
    config.set_main_option(
        "script_location", str(Path(spec.submodule_search_locations[0]) / "migrations")
    )
    config.set_main_option("path_separator", "os")
    return config


def _head_of(service_package: str) -> str | None:
    return ScriptDirectory.from_config(_config(service_package)).get_current_head()


async def _revision_of(database: Database) -> str | None:
    def read(connection: Connection) -> str | None:
        return MigrationContext.configure(connection).get_current_revision()

    async with database.snapshot() as connection:
        return await connection.run_sync(read)


def _schema_of(service_package: str) -> str:
    return service_package.rpartition(".")[2]


def _upgrade_alone(database_url: str, schema: str, config: Config, revision: str) -> None:
    with _one_at_a_time:
        asyncio.run(_upgrade(database_url, schema, config, revision))


async def _upgrade(database_url: str, schema: str, config: Config, revision: str) -> None:
    def apply(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    database = Database(database_url, schema=schema)
    try:
        async with database.engine.connect() as connection:
            if database.is_sqlite:
                await _suspend_foreign_keys(connection)
            async with connection.begin():
                if not database.is_sqlite:
                    await _lock_schema(connection, schema)
                await connection.run_sync(apply)
                if database.is_sqlite:
                    await _check_foreign_keys(connection)
    finally:
        await database.close()


async def _suspend_foreign_keys(connection: AsyncConnection) -> None:
    # Copying a table drops the old one, which would count as deleting its rows. The pragma has no
    # effect inside a transaction, and `execute` would begin one, so it goes to the driver. The
    # connection is never used for anything else.
    raw = await connection.get_raw_connection()
    driver_connection: Any = raw.driver_connection
    await driver_connection.execute("PRAGMA foreign_keys=OFF")


async def _check_foreign_keys(connection: AsyncConnection) -> None:
    broken = (await connection.execute(text("PRAGMA foreign_key_check"))).all()
    if broken:
        message = f"{len(broken)} broken references, the first in table {broken[0][0]!r}"
        raise BrokenReferenceError(message)


async def _lock_schema(connection: AsyncConnection, schema: str) -> None:
    await connection.execute(text(f"SET LOCAL lock_timeout = {_LOCK_WAIT_MS}"))
    await connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
    await connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
