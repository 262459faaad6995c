"""Every SQL statement of payments."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit.money import Money
from services.wallet.payments.domain import Payment, PaymentId, PaymentState
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
    checkout_id: str,
    checkout_url: str,
    now: datetime,
) -> None:
    """Notes the announcement in the ledger and the checkout at the PSP."""
    await connection.execute(
        update(PAYMENT)
        .where(PAYMENT.c.payment_id == payment_id)
        .values(
            hold_id=hold_id,
            checkout_id=checkout_id,
            checkout_url=checkout_url,
            update_time=now,
        )
    )


async def settle(
    connection: AsyncConnection,
    payment_id: PaymentId,
    *,
    state: PaymentState,
    authorization_number: str = "",
    failure: str = "",
    now: datetime,
) -> None:
    """Ends a payment. One that succeeded stays so."""
    await connection.execute(
        update(PAYMENT)
        .where(
            PAYMENT.c.payment_id == payment_id,
            PAYMENT.c.state != int(PaymentState.SUCCEEDED),
        )
        .values(
            state=int(state),
            authorization_number=authorization_number,
            failure=failure,
            update_time=now,
        )
    )


async def page_pending(
    connection: AsyncConnection, *, before: datetime, limit: int
) -> Sequence[Payment]:
    """Returns payments that have been pending at a PSP since `before`, oldest first."""
    found = await connection.execute(
        select(PAYMENT)
        .where(
            PAYMENT.c.state == int(PaymentState.PENDING),
            PAYMENT.c.checkout_id != "",
            PAYMENT.c.create_time < before,
        )
        .order_by(PAYMENT.c.create_time)
        .limit(limit)
    )
    return [_payment(row) for row in found]


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
    )
