from collections.abc import Callable

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from services.analytics.domain import Span
from services.analytics.tables import PRESENCE
from services.kit.clock import EPOCH
from services.kit.database import Database

ROW = {
    "bucket_time": EPOCH,
    "currency_code": "EUR",
    "provider_id": "acme",
    "game_id": "plinko",
    "player_id": "p-1",
}


async def test_tables_take_the_spans_of_the_domain_and_no_other(
    database_url: Callable[[str], str],
) -> None:
    database = Database(database_url("services.analytics"), schema="analytics")
    async with database.transaction() as connection:
        for span in Span:
            await connection.execute(insert(PRESENCE).values(span=span, **ROW))
    with pytest.raises(IntegrityError, match="presence_span_known"):
        async with database.transaction() as connection:
            await connection.execute(insert(PRESENCE).values(span="week", **ROW))
    await database.close()
