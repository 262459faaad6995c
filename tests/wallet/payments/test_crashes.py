"""A deposit that is cut off at each of its steps: it ends, and the money is booked exactly once.

A cut is a real one: the PSP's answer is lost, the PSP is away, or the database refuses the next
write. What is then durable is all that a process that ended there would have left.
"""

import asyncio
from datetime import timedelta

import grpc
import pytest
from croupier.wallet.v1 import payment_pb2, wallet_pb2

from services.kit.clock import to_micros
from services.kit.ids import new_id
from tests.kit.refusals import Refusal, refusal
from tests.kit.waiting import until
from tests.wallet.payments.cashier import Cashier, State
from tests.wallet.payments.conftest import House
from tests.wallet.payments.misbehaving import (
    ALL,
    Fault,
    answers,
    hangs,
    loses_its_answer,
    tells,
)

DUE = timedelta(minutes=2)
HOUR = timedelta(hours=1)
CHECKOUT_NOTED = "NEW.checkout_id <> OLD.checkout_id"
SUCCEEDED, FAILED = "NEW.state = 2", "NEW.state = 3"


async def cut_off(cashier: Cashier, request_id: str = "") -> Refusal:
    return await refusal(
        cashier.wallet.payments.CreateDeposit(
            cashier.request(5_000, request_id), metadata=cashier.metadata
        )
    )


async def only_payment(house: House, cashier: Cashier) -> payment_pb2.Payment:
    [[payment_id]] = await house.execute("SELECT payment_id FROM payment")
    return await cashier.get(payment_id)


async def has_checkout(cashier: Cashier, payment: payment_pb2.Payment) -> bool:
    return bool((await cashier.get(payment.payment_id)).checkout_url)


async def insert(house: House) -> None:
    """Leaves a deposit as a process does that ends right after its first commit."""
    now = to_micros(house.clock.now())
    await house.execute(
        "INSERT INTO payment (payment_id, player_id, request_id, psp, currency_code, amount,"
        " return_url, state, hold_id, checkout_id, checkout_url, authorization_number, failure,"
        " create_time, update_time, asks, ask_time) VALUES (:payment_id, :player_id, :request_id,"
        " 'sandbox', 'EUR', 5000, '', 1, '', '', '', '', '', :now, :now, 0, :due)",
        payment_id=new_id(),
        player_id=house.player_id,
        request_id=new_id(),
        now=now,
        due=to_micros(house.clock.now() + DUE),
    )


# Before the checkout is known.


@pytest.mark.parametrize("cut", ["inserted", "psp away", "answer lost", "not noted"])
async def test_deposit_without_checkout_is_completed_and_booked_once(
    house: House, cut: str
) -> None:
    async with house.open() as cashier:
        if cut == "inserted":
            await insert(house)
        elif cut == "not noted":
            async with house.refusing(CHECKOUT_NOTED):
                assert (await cut_off(cashier)).code is grpc.StatusCode.INTERNAL
        else:
            house.psp.faults[ALL] = answers(503) if cut == "psp away" else loses_its_answer
            assert (await cut_off(cashier)).code is grpc.StatusCode.UNAVAILABLE
            house.psp.faults.clear()
        left = await only_payment(house, cashier)
        assert (left.state, left.checkout_url) == (State.STATE_PENDING, "")
    # The process that began it is gone.
    async with house.open() as cashier:
        house.clock.advance(DUE)
        await until(lambda: has_checkout(cashier, left))
        payment = await cashier.get(left.payment_id)
        await cashier.pay(payment)
        # All tries went by one id: there is one checkout.
        assert set(house.psp.asked) == {payment.payment_id}
        house.clock.advance(DUE)
        await until(lambda: cashier.is_in(payment.payment_id, State.STATE_SUCCEEDED))
        await cashier.deliver(cashier.event(payment, "payment.succeeded"))
        assert await cashier.cash() == 5_000
    assert await house.booked() == ["CAPTURE"]


async def test_repeat_of_the_call_finds_the_checkout_whose_answer_was_lost(house: House) -> None:
    request_id = new_id()
    async with house.open() as cashier:
        house.psp.faults[ALL] = loses_its_answer
        assert (await cut_off(cashier, request_id)).code is grpc.StatusCode.UNAVAILABLE
        house.psp.faults.clear()
        payment = await cashier.create(5_000, request_id)
        assert await cashier.create(5_000, request_id) == payment
        await cashier.pay(payment)


@pytest.mark.parametrize(
    "fault",
    [
        answers(400),
        answers(201, b"{}"),
        answers(201, b""),
        tells(amount_minor_units=1),
        tells(currency="JPY"),
        tells(reference=new_id()),
        tells(checkout_url="http://psp/checkouts/1"),
        tells(id="../1"),
    ],
    ids=["refused", "empty", "nothing", "amount", "currency", "reference", "address", "id"],
)
async def test_checkout_that_is_not_what_was_asked_for_is_shown_to_nobody(
    house: House, fault: Fault
) -> None:
    request_id = new_id()
    async with house.open() as cashier:
        house.psp.faults[ALL] = fault
        assert (await cut_off(cashier, request_id)).code is grpc.StatusCode.INTERNAL
        assert (await only_payment(house, cashier)).checkout_url == ""
        house.psp.faults.clear()
        assert (await cashier.create(5_000, request_id)).checkout_url


@pytest.mark.parametrize(
    "fault",
    [answers(503), answers(400), loses_its_answer, hangs],
    ids=["away", "refused", "answer lost", "silent"],
)
async def test_deposit_whose_checkout_stays_unknown_expires_after_an_hour(
    house: House, fault: Fault
) -> None:
    request_id = new_id()
    async with house.open(psp_timeout=timedelta(seconds=1)) as cashier:
        house.psp.faults[ALL] = fault
        await cut_off(cashier, request_id)
        house.clock.advance(HOUR - timedelta(microseconds=1))
        await until(lambda: len(house.psp.asked) == 2)
        left = await only_payment(house, cashier)
        assert left.state == State.STATE_PENDING
        house.clock.advance(2 * DUE)
        await until(lambda: cashier.is_in(left.payment_id, State.STATE_FAILED))
        assert (await cashier.get(left.payment_id)).failure == "expired"
        # A repeat begins nothing anew, also once the PSP is back.
        house.psp.faults.clear()
        asked = len(house.psp.asked)
        assert (await cashier.create(5_000, request_id)).state == State.STATE_FAILED
        assert len(house.psp.asked) == asked
        assert await cashier.cash() == 0
        # The PSP has the money all the same, and says so late, and more than once at a time.
        body = cashier.event(left, "payment.succeeded")
        await asyncio.gather(*(cashier.deliver(body) for _ in range(5)))
        found = await cashier.get(left.payment_id)
        assert (found.state, found.failure) == (State.STATE_SUCCEEDED, "")
        assert (await cashier.create(5_000, request_id)).state == State.STATE_SUCCEEDED
        assert await cashier.cash() == 5_000
    assert await house.announced() == 0
    assert await house.booked() == ["DEPOSIT"]


async def test_repeat_after_an_hour_expires_the_deposit_itself(house: House) -> None:
    request_id = new_id()
    async with house.open(reconcile_every=timedelta(hours=1)) as cashier:
        house.psp.faults[ALL] = answers(503)
        await cut_off(cashier, request_id)
        house.psp.faults.clear()
        house.clock.advance(HOUR)
        payment = await cashier.create(5_000, request_id)
        assert (payment.state, payment.failure) == (State.STATE_FAILED, "expired")
        assert len(house.psp.asked) == 1


async def test_deposit_that_the_ledger_refuses_when_it_is_completed_fails(house: House) -> None:
    async with house.open() as cashier:
        await insert(house)
        left = await only_payment(house, cashier)
        await cashier.restrict(wallet_pb2.RESTRICTION_NO_DEPOSIT)
        house.clock.advance(DUE)
        await until(lambda: cashier.is_in(left.payment_id, State.STATE_FAILED))
        assert (await cashier.get(left.payment_id)).failure == "player_restricted"
        assert house.psp.asked == []


# After it.


@pytest.mark.parametrize("known", [True, False], ids=["checkout known", "checkout unknown"])
@pytest.mark.parametrize("again", ["webhook", "question"])
async def test_booking_that_was_not_noted_is_not_booked_again(
    house: House, again: str, *, known: bool
) -> None:
    """A webhook may be faster than the PSP's answer to us: then its announcement is not noted."""
    request_id = new_id()
    async with house.open() as cashier:
        if known:
            payment = await cashier.create(5_000, request_id)
        else:
            async with house.refusing(CHECKOUT_NOTED):
                await cut_off(cashier, request_id)
            payment = await only_payment(house, cashier)
        shown = payment
        async with house.refusing(SUCCEEDED):
            if known:
                await cashier.pay(payment)
            else:
                shown = await paid_unnoticed(cashier, payment)
            refused = await refusal(cashier.deliver(cashier.event(shown, "payment.succeeded")))
            assert refused.code is grpc.StatusCode.INTERNAL
            assert await cashier.cash() == 5_000
    async with house.open() as cashier:
        # The call is repeated too, and notes the announcement and the checkout.
        await cashier.create(5_000, request_id)
        if again == "webhook":
            await cashier.deliver(cashier.event(shown, "payment.succeeded"))
        else:
            house.clock.advance(DUE)
            await until(lambda: cashier.is_in(payment.payment_id, State.STATE_SUCCEEDED))
        assert (await cashier.get(payment.payment_id)).state == State.STATE_SUCCEEDED
        assert await cashier.cash() == 5_000
        assert await house.announced() == 0
    assert await house.booked() == ["CAPTURE"]


async def paid_unnoticed(cashier: Cashier, payment: payment_pb2.Payment) -> payment_pb2.Payment:
    """Pays at the checkout that only the PSP knows."""
    asked = {"reference": payment.payment_id, "amount_minor_units": 5_000, "currency": "EUR"}
    made = await cashier.wallet.browser.post(
        f"{cashier.wallet.psp_url}/v1/checkouts",
        json=asked,
        headers={"authorization": "Bearer sk_test", "idempotency-key": payment.payment_id},
    )
    known = payment_pb2.Payment()
    known.CopyFrom(payment)
    known.checkout_url = made.json()["checkout_url"]
    await cashier.pay(known)
    return known


async def test_deposit_by_itself_that_was_not_noted_is_not_made_again(house: House) -> None:
    async with house.open(reconcile_every=HOUR) as cashier:
        payment = await cashier.create()
        await cashier.pay(payment)
        # The announcement is gone.
        house.clock.advance(HOUR)
        async with house.refusing(SUCCEEDED):
            refused = await refusal(cashier.deliver(cashier.event(payment, "payment.succeeded")))
            assert refused.code is grpc.StatusCode.INTERNAL
    async with house.open() as cashier:
        # The PSP is asked, and tells another authorization number than its webhook did.
        await until(lambda: cashier.is_in(payment.payment_id, State.STATE_SUCCEEDED))
        assert await cashier.cash() == 5_000
    assert await house.booked() == ["DEPOSIT"]


async def test_success_after_a_release_that_was_not_noted_is_booked(house: House) -> None:
    async with house.open() as cashier:
        payment = await cashier.create()
        async with house.refusing(FAILED):
            refused = await refusal(cashier.deliver(cashier.event(payment, "payment.failed")))
            assert refused.code is grpc.StatusCode.INTERNAL
        assert await house.announced() == 0
        await cashier.deliver(cashier.event(payment, "payment.succeeded"))
        await cashier.deliver(cashier.event(payment, "payment.failed"))
        assert (await cashier.get(payment.payment_id)).state == State.STATE_SUCCEEDED
        assert await cashier.cash() == 5_000
    assert await house.booked() == ["DEPOSIT"]


async def test_failure_does_not_hide_a_booking_that_was_not_noted(house: House) -> None:
    async with house.open() as cashier:
        payment = await cashier.create()
        success = cashier.event(payment, "payment.succeeded")
        async with house.refusing(SUCCEEDED):
            assert (await refusal(cashier.deliver(success))).code is grpc.StatusCode.INTERNAL
        await cashier.deliver(cashier.event(payment, "payment.failed"))
        assert (await cashier.get(payment.payment_id)).state == State.STATE_PENDING
        await cashier.deliver(success)
        assert (await cashier.get(payment.payment_id)).state == State.STATE_SUCCEEDED
        assert await cashier.cash() == 5_000
    assert await house.booked() == ["CAPTURE"]


@pytest.mark.parametrize("cut", ["inserted", "not noted"])
@pytest.mark.parametrize("kind", ["payment.succeeded", "payment.failed"])
async def test_report_may_come_before_the_checkout_is_known(
    house: House, cut: str, kind: str
) -> None:
    async with house.open() as cashier:
        if cut == "inserted":
            await insert(house)
        else:
            async with house.refusing(CHECKOUT_NOTED):
                await cut_off(cashier)
        payment = await only_payment(house, cashier)
        await cashier.deliver(cashier.event(payment, kind))
        booked = kind == "payment.succeeded"
        ended = State.STATE_SUCCEEDED if booked else State.STATE_FAILED
        assert (await cashier.get(payment.payment_id)).state == ended
        assert await cashier.cash() == (5_000 if booked else 0)
        assert await house.announced() == 0
    assert await house.booked() == (["CAPTURE"] if booked else [])


async def test_money_for_an_expired_deposit_of_an_excluded_player_is_locked(house: House) -> None:
    async with house.open() as cashier:
        await insert(house)
        payment = await only_payment(house, cashier)
        house.clock.advance(HOUR)
        await until(lambda: cashier.is_in(payment.payment_id, State.STATE_FAILED))
        await cashier.restrict(wallet_pb2.RESTRICTION_NO_DEPOSIT)
        await cashier.deliver(cashier.event(payment, "payment.succeeded"))
        balance = await cashier.balance()
        assert (balance.cash_minor_units, balance.locked_minor_units) == (0, 5_000)
    assert await house.booked() == ["DEPOSIT"]
