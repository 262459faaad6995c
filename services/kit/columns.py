"""Column types that behave alike on SQLite and PostgreSQL, and how constraints are named."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Dialect, LargeBinary
from sqlalchemy.types import TypeDecorator

from services.kit.clock import from_micros, to_micros

NAMES = {
    "ix": "%(table_name)s_%(column_0_N_name)s_index",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "pk": "%(table_name)s_pkey",
}
"""How a service's `MetaData` names what has no name: as PostgreSQL would, on both engines."""


class UtcMicros(TypeDecorator[datetime]):
    """An aware UTC datetime, stored as whole microseconds since the Unix epoch.

    SQLite has no time type and drops time zones; an integer sorts and compares on both engines.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Writes microseconds. A naive datetime raises TypeError: it has no meaning here."""
        del dialect
        return None if value is None else to_micros(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Reads an aware datetime."""
        del dialect
        return None if value is None else from_micros(value)


class Digest(LargeBinary):
    """Bytes of a fixed width, such as a hash or a packed UUID."""


def integer_check(column: str, *, optional: bool = False) -> CheckConstraint:
    """Refuses anything but a whole number: SQLite would take 1.5 into a BIGINT column.

    PostgreSQL refuses it by itself, so there the constraint is left out.

    Args:
        column: The column.
        optional: Whether it may be NULL.
    """
    rule = (
        f"typeof({column}) IN ('integer', 'null')" if optional else f"typeof({column}) = 'integer'"
    )
    return CheckConstraint(rule, name=f"{column}_integer").ddl_if(dialect="sqlite")
