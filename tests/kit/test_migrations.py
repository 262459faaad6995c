import asyncio
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import BigInteger, Column, ForeignKey, MetaData, Table, Text, text
from sqlalchemy.exc import DBAPIError

from services.kit import migrations
from services.kit.database import Database
from tests.kit.postgres import shared_server

FIRST = """
    revision = "0001"
    down_revision = None
    branch_labels = None
    depends_on = None

    def upgrade():
        op.create_table(
            "parent",
            sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        )
        op.create_table(
            "child",
            sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("parent_id", sa.BigInteger, sa.ForeignKey("parent.id"), nullable=False),
        )
        op.execute("INSERT INTO parent (id) VALUES (1)")
        op.execute("INSERT INTO child (id, parent_id) VALUES (1, 1)")
"""
SECOND = """
    revision = "0002"
    down_revision = "0001"
    branch_labels = None
    depends_on = None

    def upgrade():
        with op.batch_alter_table("parent", recreate="auto") as batch:
            batch.add_column(sa.Column("name", sa.Text, nullable=False, server_default="none"))
            batch.create_check_constraint("parent_name_given", "name <> ''")
"""
FAILING = """
    revision = "0003"
    down_revision = "0002"
    branch_labels = None
    depends_on = None

    def upgrade():
        op.create_table("half", sa.Column("id", sa.BigInteger, primary_key=True))
        op.execute("INSERT INTO nowhere VALUES (1)")
"""
DANGLING = """
    revision = "0003"
    down_revision = "0002"
    branch_labels = None
    depends_on = None

    def upgrade():
        op.execute("DELETE FROM parent")
"""


class Service:
    """A package with migrations, made for one test."""

    def __init__(self, folder: Path) -> None:
        self.name = f"dummy_{uuid4().hex[:8]}"
        self.versions = folder / self.name / "migrations" / "versions"
        self.versions.mkdir(parents=True)
        (folder / self.name / "__init__.py").touch()
        (folder / self.name / "migrations" / "env.py").write_text(
            "from sqlalchemy import MetaData\n"
            "from services.kit import migrations\n"
            "migrations.run(MetaData())\n"
        )

    def add(self, name: str, source: str) -> None:
        imports = "import sqlalchemy as sa\nfrom alembic import op\n"
        (self.versions / f"{name}.py").write_text(imports + textwrap.dedent(source))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    sys.path.insert(0, str(tmp_path))
    made = Service(tmp_path)
    made.add("0001", FIRST)
    yield made
    sys.path.remove(str(tmp_path))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
async def database(
    request: pytest.FixtureRequest, tmp_path: Path, service: Service
) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path}/dummy.db"
    else:
        url = shared_server().create_database(f"migrations_{uuid4().hex}")
    opened = Database(url, schema=service.name)
    yield opened
    await opened.close()


def url_of(database: Database) -> str:
    return database.url.render_as_string(hide_password=False)


async def rows(database: Database, statement: str) -> list[tuple[object, ...]]:
    async with database.snapshot() as connection:
        return [tuple(row) for row in await connection.execute(text(statement))]


async def test_upgrade_makes_the_tables(database: Database, service: Service) -> None:
    await migrations.upgrade(url_of(database), service.name)
    assert await rows(database, "SELECT id, parent_id FROM child") == [(1, 1)]
    assert await rows(database, "SELECT version_num FROM alembic_version") == [("0001",)]


async def test_upgrade_twice_changes_nothing(database: Database, service: Service) -> None:
    await migrations.upgrade(url_of(database), service.name)
    await migrations.upgrade(url_of(database), service.name)
    assert await rows(database, "SELECT id FROM parent") == [(1,)]


async def test_upgrade_goes_no_further_than_asked(database: Database, service: Service) -> None:
    service.add("0002", SECOND)
    await migrations.upgrade(url_of(database), service.name, "0001")
    assert not await migrations.is_current(database, service.name)
    await migrations.upgrade(url_of(database), service.name)
    assert await migrations.is_current(database, service.name)


async def test_a_referenced_table_is_altered_without_losing_rows(
    database: Database, service: Service
) -> None:
    await migrations.upgrade(url_of(database), service.name)
    service.add("0002", SECOND)
    await migrations.upgrade(url_of(database), service.name)
    assert await rows(database, "SELECT id, name FROM parent") == [(1, "none")]
    assert await rows(database, "SELECT id, parent_id FROM child") == [(1, 1)]


async def test_a_failing_upgrade_leaves_the_database_as_it_was(
    database: Database, service: Service
) -> None:
    service.add("0002", SECOND)
    service.add("0003", FAILING)
    with pytest.raises(DBAPIError, match="nowhere"):
        await migrations.upgrade(url_of(database), service.name)
    assert not await migrations.is_current(database, service.name)
    with pytest.raises(DBAPIError, match="parent"):
        await rows(database, "SELECT id FROM parent")


async def test_a_migration_that_leaves_dangling_rows_is_refused(
    database: Database, service: Service
) -> None:
    service.add("0002", SECOND)
    await migrations.upgrade(url_of(database), service.name)
    service.add("0003", DANGLING)
    with pytest.raises((migrations.BrokenReferenceError, DBAPIError), match="child"):
        await migrations.upgrade(url_of(database), service.name)
    assert await rows(database, "SELECT id FROM parent") == [(1,)]


async def test_upgrades_that_start_together_both_succeed(
    database: Database, service: Service
) -> None:
    service.add("0002", SECOND)
    upgrades = (migrations.upgrade(url_of(database), service.name) for _ in range(4))
    await asyncio.gather(*upgrades)
    assert await rows(database, "SELECT id FROM parent") == [(1,)]


async def test_a_database_that_was_never_migrated_is_not_current(
    database: Database, service: Service
) -> None:
    assert not await migrations.is_current(database, service.name)


async def test_differences_between_code_and_database_are_listed(
    database: Database, service: Service
) -> None:
    await migrations.upgrade(url_of(database), service.name)
    declared = MetaData()
    Table("parent", declared, Column("id", BigInteger, primary_key=True, autoincrement=False))
    child = Table(
        "child",
        declared,
        Column("id", BigInteger, primary_key=True, autoincrement=False),
        Column("parent_id", BigInteger, ForeignKey("parent.id"), nullable=False),
    )
    assert await migrations.differences(database, declared) == []
    child.append_column(Column("name", Text))
    found = await migrations.differences(database, declared)
    assert [(difference[0], difference[2]) for difference in found] == [("add_column", "child")]


@pytest.mark.postgresql
async def test_tables_lie_in_a_schema_that_bears_the_name_of_the_service(service: Service) -> None:
    database = Database(
        shared_server().create_database(f"migrations_{uuid4().hex}"), schema=service.name
    )
    await migrations.upgrade(url_of(database), service.name)
    found = await rows(
        database,
        "SELECT DISTINCT table_schema FROM information_schema.tables"
        " WHERE table_name IN ('parent', 'child', 'alembic_version')",
    )
    assert found == [(service.name,)]
    await database.close()


async def test_a_service_that_is_no_package_is_named(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/dummy.db"
    with pytest.raises(ModuleNotFoundError, match="dummy_missing"):
        await migrations.upgrade(url, "dummy_missing")
