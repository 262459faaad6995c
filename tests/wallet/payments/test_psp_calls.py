"""Calls to a PSP: each has an end, none is made in a transaction, and no answer is logged."""

import asyncio
import time
import traceback
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import grpc
import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from scripts.mesh.pki import DevelopmentAuthority
from services.kit.clients import CallInsideTransactionError
from services.kit.clock import SystemClock
from services.kit.ids import new_id
from services.kit.money import Money
from services.wallet.payments.domain import ASK_AFTER, Payment, PaymentId, PaymentState
from services.wallet.payments.sandbox import SandboxPsp
from tests.kit.refusals import Refusal, refusal
from tests.kit.waiting import until
from tests.wallet.payments.cashier import Cashier, checkout_id
from tests.wallet.payments.conftest import House
from tests.wallet.payments.misbehaving import ALL, Fault, drips, hangs, no_http

MARK = "hunter2"


async def refused_deposit(cashier: Cashier, **options: Any) -> Refusal:
    return await refusal(
        cashier.wallet.payments.CreateDeposit(
            cashier.request(5_000), metadata=cashier.metadata, **options
        )
    )


# Deadlines.


@pytest.mark.parametrize("fault", [hangs, drips])
async def test_psp_that_comes_to_no_end_is_left_at_the_deadline(house: House, fault: Fault) -> None:
    async with house.open(psp_timeout=timedelta(seconds=1)) as cashier:
        payment = await cashier.create()
        house.psp.faults[ALL] = fault
        begun = time.monotonic()
        refused = await refused_deposit(cashier, timeout=60)
        assert (refused.code, refused.metadata) == (
            grpc.StatusCode.UNAVAILABLE,
            {"dependency": "psp sandbox"},
        )
        assert 1 <= time.monotonic() - begun < 20
        with capture_logs() as logged:
            house.clock.advance(ASK_AFTER)
            await until(lambda: payment.payment_id in {line.get("payment_id") for line in logged})


async def test_call_to_a_psp_does_not_outlive_the_call_that_made_it(house: House) -> None:
    async with house.open(psp_timeout=timedelta(seconds=30)) as cashier:
        house.psp.faults[ALL] = hangs
        begun = time.monotonic()
        calling = asyncio.create_task(refused_deposit(cashier, timeout=3))
        await until(lambda: house.psp.under_way == 1)
        assert (await calling).code in (
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.DEADLINE_EXCEEDED,
        )
        await until(lambda: house.psp.under_way == 0)
        assert time.monotonic() - begun < 20


# Transactions.


async def test_no_transaction_is_open_while_a_psp_is_asked(house: House) -> None:
    async with house.open(psp_timeout=timedelta(seconds=30)) as cashier:
        payment = await cashier.create()
        house.psp.faults[ALL] = hangs
        creating = asyncio.create_task(cashier.create())
        house.clock.advance(ASK_AFTER)
        # Both the call of the player and the reconciling are under way.
        await until(lambda: house.psp.under_way == 2)
        assert checkout_id(payment) in house.psp.asked
        assert await house.transactions_open() == 0
        async with house.store.snapshot() as connection:
            await connection.execute(text("SELECT count(*) FROM payment"))
            assert await house.transactions_open() == 1
        creating.cancel()
        await asyncio.gather(creating, return_exceptions=True)


@pytest.fixture
async def adapter(authority: DevelopmentAuthority) -> AsyncIterator[SandboxPsp]:
    made = SandboxPsp(
        url="https://127.0.0.1:1",
        authority=authority.certificate_path,
        api_key="sk",
        webhook_secret="whsec",
        timeout=timedelta(seconds=1),
        clock=SystemClock(),
    )
    yield made
    await made.close()


async def test_call_to_a_psp_inside_a_transaction_is_refused(
    house: House, adapter: SandboxPsp
) -> None:
    now = SystemClock().now()
    payment = Payment(
        payment_id=PaymentId(new_id()),
        player_id=new_id(),
        request_id=new_id(),
        psp="sandbox",
        amount=Money(currency_code="EUR", minor_units=1),
        return_url="",
        state=PaymentState.PENDING,
        hold_id="",
        checkout_id="co_1",
        checkout_url="",
        authorization_number="",
        failure="",
        create_time=now,
        update_time=now,
        asks=0,
        ask_time=now,
    )
    for call in (adapter.create_checkout, adapter.find_report):
        for open_one in (house.store.transaction, house.store.snapshot):
            async with open_one():
                with pytest.raises(CallInsideTransactionError):
                    await call(payment)


# Logs.

ANSWERS = {
    "no HTTP": b"hunter2\r\n\r\n",
    "no header": b"HTTP/1.1 200 OK\r\nhunter2\r\n\r\n",
    "no length": b"HTTP/1.1 200 OK\r\ncontent-length: hunter2\r\n\r\n",
    "cut off": b'HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{"id": "hunter2"',
    "no chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nhunter2\r\n",
    "no gzip": b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 7\r\n\r\nhunter2",
    "redirect": b"HTTP/1.1 302 hunter2\r\nlocation: https://hunter2/\r\ncontent-length: 0\r\n\r\n",
    "refusal": b"HTTP/1.1 422 hunter2\r\ncontent-length: 7\r\n\r\nhunter2",
    "fault": b"HTTP/1.1 500 hunter2\r\ncontent-length: 7\r\n\r\nhunter2",
    "no JSON": b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nhunter2",
    "other JSON": b'HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n{"id": "hunter2"}',
    "nothing": b"",
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_answer_of_a_psp_is_not_logged(
    house: House,
    authority: DevelopmentAuthority,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    async with (
        no_http(authority, ANSWERS[name]) as url,
        house.open(psp_sandbox_url=url) as cashier,
    ):
        with capture_logs() as logged:
            refused = await refused_deposit(cashier)
            assert MARK not in repr(refused.status)
            # Its id at the PSP is as good as a key to the checkout.
            await house.execute("UPDATE payment SET checkout_id = 'co_hunter2'")
            house.clock.advance(ASK_AFTER)
            await until(lambda: any(line["event"] == "payment not reconciled" for line in logged))
    told = repr(logged) + caplog.text
    for line in logged:
        if isinstance(line.get("exc_info"), BaseException):
            told += "".join(traceback.format_exception(line["exc_info"]))
    assert "sandbox" in told
    assert MARK not in told
