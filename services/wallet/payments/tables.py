"""The tables of payments and their constraints."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

from services.kit.columns import UtcMicros, integer_check

METADATA = MetaData(
    naming_convention={
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

PAYMENT = Table(
    "payment",
    METADATA,
    Column("payment_id", Text, primary_key=True),
    Column("player_id", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("psp", Text, nullable=False),
    Column("currency_code", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("return_url", Text, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("hold_id", Text, nullable=False),
    Column("checkout_id", Text, nullable=False),
    Column("checkout_url", Text, nullable=False),
    Column("authorization_number", Text, nullable=False),
    Column("failure", Text, nullable=False),
    Column("create_time", UtcMicros, nullable=False),
    Column("update_time", UtcMicros, nullable=False),
    Column("asks", Integer, nullable=False, server_default="0"),
    Column("ask_time", UtcMicros, nullable=False, server_default="0"),
    # Two equal requests that meet: the second one finds the first.
    UniqueConstraint("player_id", "request_id"),
    CheckConstraint("amount > 0", name="amount_positive"),
    CheckConstraint("state BETWEEN 1 AND 3", name="state_known"),
    # GLI-19 2.5.6c: no success without the number that authorizes it.
    CheckConstraint("state <> 2 OR authorization_number <> ''", name="success_authorized"),
    integer_check("amount"),
)
# The reconciler takes those of a PSP whose turn came first; final payments are not in the index.
Index(
    "ix_payment_due",
    PAYMENT.c.psp,
    PAYMENT.c.ask_time,
    sqlite_where=PAYMENT.c.state == 1,
    postgresql_where=PAYMENT.c.state == 1,
)
