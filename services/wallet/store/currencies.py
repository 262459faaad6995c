"""The currencies that the ledger may hold, as its database knows them."""

from sqlalchemy import insert, select

from services.kit.database import Database
from services.kit.money import CURRENCIES
from services.wallet.tables import CURRENCY


class ExponentChangedError(Exception):
    """A currency has another exponent in the code than in the ledger: old amounts would change."""


async def sync_currencies(database: Database) -> None:
    """Adds currencies that the code knows and the database does not.

    Raises:
        ExponentChangedError: One of them had another exponent when it was added.
    """
    async with database.transaction() as connection:
        rows = await connection.execute(select(CURRENCY.c.code, CURRENCY.c.exponent))
        stored = {row.code: row.exponent for row in rows}
        for currency in CURRENCIES.values():
            exponent = stored.get(currency.code)
            if exponent is None:
                await connection.execute(
                    insert(CURRENCY).values(
                        code=currency.code,
                        exponent=currency.exponent,
                        kind=currency.kind.value,
                    )
                )
            elif exponent != currency.exponent:
                raise ExponentChangedError(
                    f"{currency.code} has exponent {exponent}, not {currency.exponent}"
                )
