from uuid import uuid4

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from services.kit import migrations
from services.kit.clock import EPOCH
from services.security.tables import CREDENTIAL, LOGIN_SESSION, METADATA
from tests.kit.postgres import shared_server
from tests.security.doubles import Security


async def test_migrations_make_the_tables_that_the_code_declares(idle: Security) -> None:
    assert await migrations.differences(idle.database, METADATA) == []


async def test_two_credentials_never_share_an_address(idle: Security) -> None:
    row = {"kind": "player", "email": "a@b.example", "password_hash": "x", "create_time": EPOCH}
    async with idle.database.transaction() as connection:
        await connection.execute(insert(CREDENTIAL).values(subject_id="1", **row))
    with pytest.raises(IntegrityError):
        async with idle.database.transaction() as connection:
            await connection.execute(insert(CREDENTIAL).values(subject_id="2", **row))


async def test_session_belongs_to_a_credential(idle: Security) -> None:
    times = dict.fromkeys(
        ("create_time", "expire_time", "life_end_time", "token_expire_time"), EPOCH
    )
    with pytest.raises(IntegrityError):
        async with idle.database.transaction() as connection:
            await connection.execute(
                insert(LOGIN_SESSION).values(
                    login_session_id="1", subject_id="nobody", client_address="", **times
                )
            )


@pytest.mark.postgresql
@pytest.mark.parametrize("engine_name", ["postgresql"])
async def test_server_does_not_start_on_an_outdated_postgresql(idle: Security) -> None:
    # An embedded database is migrated at start in any case.
    idle.database_url = shared_server().create_database(f"empty_{uuid4().hex}")
    with pytest.raises(migrations.NotMigratedError):
        await idle.start()
    await idle.start(migrate=True)
