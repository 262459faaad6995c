"""Every SQL statement of payments."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Update, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit.money import Money
from services.wallet.payments.domain import (
    EXPIRED,
    Checkout,
    Payment,
    PaymentId,
    PaymentState,
)
from services.wallet.payments.errors import PaymentNotFoundError
from services.wallet.payments.tables import PAYMENT


async def add(connection: AsyncConnection, payment: Payment) -> None:
    """Inserts a payment."""
    await connection.execute(
        insert(PAYMENT).values(
            payment_id=payment.payment_id,
            player_id=payment.player_id,
            request_id=payment.request_id,
            psp=payment.psp,
            currency_code=payment.amount.currency_code,
            amount=payment.amount.minor_units,
            return_url=payment.return_url,
            state=int(payment.state),
            hold_id=payment.hold_id,
            checkout_id=payment.checkout_id,
            checkout_url=payment.checkout_url,
            authorization_number=payment.authorization_number,
            failure=payment.failure,
            create_time=payment.create_time,
            update_time=payment.update_time,
            asks=payment.asks,
            ask_time=payment.ask_time,
        )
    )


async def find_by_request(
    connection: AsyncConnection, *, player_id: str, request_id: str
) -> Payment | None:
    """Finds what a player's request id stands for."""
    found = await connection.execute(
        select(PAYMENT).where(PAYMENT.c.player_id == player_id, PAYMENT.c.request_id == request_id)
    )
    row = found.one_or_none()
    return None if row is None else _payment(row)


async def find(connection: AsyncConnection, payment_id: PaymentId) -> Payment | None:
    """Finds a payment by its id."""
    found = await connection.execute(select(PAYMENT).where(PAYMENT.c.payment_id == payment_id))
    row = found.one_or_none()
    return None if row is None else _payment(row)


async def get_of_player(
    connection: AsyncConnection, payment_id: PaymentId, *, player_id: str
) -> Payment:
    """Gets a player's payment.

    Raises:
        PaymentNotFoundError: There is none, or it is another player's.
    """
    payment = await find(connection, payment_id)
    if payment is None or payment.player_id != player_id:
        raise PaymentNotFoundError(payment_id)
    return payment


async def set_checkout(
    connection: AsyncConnection,
    payment_id: PaymentId,
    *,
    hold_id: str,
    checkout: Checkout,
    ask_time: datetime,
    now: datetime,
) -> None:
    """Notes the announcement in the ledger and the checkout at the PSP. The first one stays."""
    await connection.execute(
        update(PAYMENT)
        .where(PAYMENT.c.payment_id == payment_id, PAYMENT.c.checkout_id == "")
        .values(
            hold_id=hold_id,
            checkout_id=checkout.checkout_id,
            checkout_url=checkout.url,
            update_time=now,
            asks=0,
            ask_time=ask_time,
        )
    )


async def succeed(
    connection: AsyncConnection, payment_id: PaymentId, *, authorization_number: str, now: datetime
) -> None:
    """Ends a payment as booked, whatever it was before. One that succeeded stays as it is."""
    await connection.execute(
        update(PAYMENT)
        .where(
            PAYMENT.c.payment_id == payment_id,
            PAYMENT.c.state != int(PaymentState.SUCCEEDED),
        )
        .values(
            state=int(PaymentState.SUCCEEDED),
            authorization_number=authorization_number,
            failure="",
            update_time=now,
        )
    )


async def fail(
    connection: AsyncConnection, payment_id: PaymentId, *, failure: str, now: datetime
) -> None:
    """Ends a payment as failed, if it is pending."""
    await connection.execute(_failing(payment_id, failure=failure, now=now))


async def expire(connection: AsyncConnection, payment_id: PaymentId, *, now: datetime) -> None:
    """Ends a payment as expired, if it is pending and its checkout is still unknown."""
    await connection.execute(
        _failing(payment_id, failure=EXPIRED, now=now).where(PAYMENT.c.checkout_id == "")
    )


def _failing(payment_id: PaymentId, *, failure: str, now: datetime) -> Update:
    return (
        update(PAYMENT)
        .where(
            PAYMENT.c.payment_id == payment_id,
            PAYMENT.c.state == int(PaymentState.PENDING),
        )
        .values(state=int(PaymentState.FAILED), failure=failure, update_time=now)
    )


async def list_due_psps(connection: AsyncConnection, *, now: datetime) -> Sequence[str]:
    """Lists the PSPs that are to be asked about a payment now."""
    found = await connection.execute(
        select(PAYMENT.c.psp)
        .distinct()
        .where(PAYMENT.c.state == int(PaymentState.PENDING), PAYMENT.c.ask_time <= now)
        .order_by(PAYMENT.c.psp)
    )
    return list(found.scalars())


async def page_due(
    connection: AsyncConnection, psp: str, *, now: datetime, limit: int
) -> Sequence[Payment]:
    """Returns a PSP's payments that it is to be asked about, those whose turn came first."""
    found = await connection.execute(
        select(PAYMENT)
        .where(
            PAYMENT.c.state == int(PaymentState.PENDING),
            PAYMENT.c.psp == psp,
            PAYMENT.c.ask_time <= now,
        )
        .order_by(PAYMENT.c.ask_time)
        .limit(limit)
    )
    return [_payment(row) for row in found]


async def note_ask(
    connection: AsyncConnection, payment_id: PaymentId, *, asks: int, ask_time: datetime
) -> None:
    """Notes that a PSP is asked about a payment, and when it will be again."""
    await connection.execute(
        update(PAYMENT)
        .where(PAYMENT.c.payment_id == payment_id)
        .values(asks=asks, ask_time=ask_time)
    )


def _payment(row: Row[Any]) -> Payment:
    return Payment(
        payment_id=PaymentId(row.payment_id),
        player_id=row.player_id,
        request_id=row.request_id,
        psp=row.psp,
        amount=Money(currency_code=row.currency_code, minor_units=row.amount),
        return_url=row.return_url,
        state=PaymentState(row.state),
        hold_id=row.hold_id,
        checkout_id=row.checkout_id,
        checkout_url=row.checkout_url,
        authorization_number=row.authorization_number,
        failure=row.failure,
        create_time=row.create_time,
        update_time=row.update_time,
        asks=row.asks,
        ask_time=row.ask_time,
    )
