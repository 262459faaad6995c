"""Payments of which their PSP has said nothing: whatever is wrong with one harms no other."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from croupier.wallet.v1 import back_office_service_pb2, payment_pb2
from structlog.testing import capture_logs

from services.kit import migrations
from services.kit.clock import to_micros
from services.kit.ids import new_id
from services.wallet.payments.domain import ask_pause
from tests.kit.tokens import TokenIssuer
from tests.kit.waiting import until
from tests.wallet.payments.cashier import Cashier, State, checkout_id
from tests.wallet.payments.conftest import House
from tests.wallet.payments.misbehaving import ALL, Fault, answers, hangs, tells

DUE = timedelta(minutes=2)

# What the PSP does when it is asked about a payment that was paid, and the reason that is logged.
FAULTS: dict[str, tuple[Fault, str]] = {
    "unknown": (answers(404), "status_404"),
    "not allowed": (answers(401), "status_401"),
    "gone": (answers(410), "status_410"),
    "moved": (answers(302), "status_302"),
    "fault": (answers(500), "ERROR_REASON_UNAVAILABLE"),
    "no JSON": (answers(200, b'{"id": "co_'), "malformed"),
    "no object": (answers(200, b"[]"), "malformed"),
    "deep": (answers(200, b"[" * 50_000), "malformed"),
    "no text": (answers(200, b"\xff\xfe"), "malformed"),
    "late": (hangs, "ERROR_REASON_UNAVAILABLE"),
    "huge": (answers(200, b" " * 1_000_000), "too_large"),
    "state unknown": (tells(state="processing"), "malformed"),
    "state missing": (tells(state=None), "malformed"),
    "amount a text": (tells(amount_minor_units="5000"), "malformed"),
    "amount a fraction": (tells(amount_minor_units=5_000.5), "malformed"),
    "overload": (answers(429), "ERROR_REASON_UNAVAILABLE"),
    "not authorized": (tells(authorization_number=""), "malformed"),
    "other amount": (tells(amount_minor_units=5_001), "ERROR_REASON_WEBHOOK_MISMATCH"),
    "other currency": (tells(currency="USD"), "ERROR_REASON_WEBHOOK_MISMATCH"),
    "other checkout": (tells(id="co_other"), "ERROR_REASON_WEBHOOK_MISMATCH"),
    "other payment": (tells(reference=new_id()), "ERROR_REASON_WEBHOOK_MISMATCH"),
}


def reasons(logged: list[Any]) -> dict[str, str]:
    return {
        line["payment_id"]: line["reason"]
        for line in logged
        if line["event"] == "payment not reconciled"
    }


def succeeded(cashier: Cashier, payment: payment_pb2.Payment) -> Callable[[], Any]:
    return lambda: cashier.is_in(payment.payment_id, State.STATE_SUCCEEDED)


async def test_payment_of_which_no_webhook_came_is_asked_for_and_booked(house: House) -> None:
    async with house.open() as cashier:
        paid, declined, left = [await cashier.create() for _ in range(3)]
        await cashier.pay(paid)
        await cashier.pay(declined, card="4000000000000002")
        house.clock.advance(DUE)
        await until(succeeded(cashier, paid))
        await until(lambda: cashier.is_in(declined.payment_id, State.STATE_FAILED))
        await until(lambda: checkout_id(left) in house.psp.asked)
        assert await cashier.cash() == 5_000
        assert (await cashier.get(left.payment_id)).state == State.STATE_PENDING
        assert (await cashier.get(declined.payment_id)).failure == "card_declined"
    assert await house.booked() == ["CAPTURE"]


async def test_fault_of_one_payment_is_told_and_hinders_no_other(
    house: House, tokens: TokenIssuer
) -> None:
    async with house.open(psp_timeout=timedelta(seconds=2)) as cashier:
        ill = {}
        for name, (fault, _) in FAULTS.items():
            ill[name] = await cashier.create()
            await cashier.pay(ill[name])
            house.psp.faults[checkout_id(ill[name])] = fault
            house.clock.advance(timedelta(seconds=1))
        refused = await cashier.create()
        await cashier.pay(refused)
        await captured_by_hand(house, cashier, tokens, refused)
        house.clock.advance(timedelta(seconds=1))
        well = await cashier.create()
        await cashier.pay(well)
        with capture_logs() as logged:
            house.clock.advance(DUE)
            await until(succeeded(cashier, well))
        assert reasons(logged) == {
            **{ill[name].payment_id: reason for name, (_, reason) in FAULTS.items()},
            refused.payment_id: "ERROR_REASON_HOLD_ALREADY_POSTED",
        }
        for each in (*ill.values(), refused):
            assert (await cashier.get(each.payment_id)).state == State.STATE_PENDING
        assert await cashier.cash() == 2 * 5_000
        # Once the PSP says what became of them, they are booked too.
        house.psp.faults.clear()
        house.clock.advance(2 * DUE)
        for each in ill.values():
            await until(succeeded(cashier, each))
        assert await cashier.cash() == (2 + len(ill)) * 5_000
    assert await house.booked() == ["CAPTURE"] * (1 + len(ill))


async def captured_by_hand(
    house: House, cashier: Cashier, tokens: TokenIssuer, payment: payment_pb2.Payment
) -> None:
    """An operator posts the announcement, so that the ledger refuses to post it once more."""
    [[hold_id]] = await house.execute(
        "SELECT hold_id FROM payment WHERE payment_id = :id", id=payment.payment_id
    )
    await cashier.wallet.back_office.CaptureHold(
        back_office_service_pb2.CaptureHoldRequest(
            request_id=new_id(), player_id=cashier.player_id, hold_id=hold_id
        ),
        metadata=tokens.operator("cashier"),
    )


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_psp_that_is_away_is_asked_five_times_a_pass(house: House, status: int) -> None:
    async with house.open() as cashier:
        payments = []
        for _ in range(23):
            payments.append(await cashier.create())
            house.clock.advance(timedelta(seconds=1))
        house.psp.asked.clear()
        house.psp.faults[ALL] = answers(status)
        with capture_logs() as logged:
            house.clock.advance(DUE)
            await until(lambda: len(house.psp.asked) >= len(payments))
        # Each was asked about once, in turn, though passes follow each other all the time.
        assert house.psp.asked == [checkout_id(each) for each in payments]
        given_up = [line for line in logged if line["event"].startswith("psp is left alone")]
        assert len(given_up) == len(payments) // 5
        assert set(reasons(logged).values()) == {"ERROR_REASON_UNAVAILABLE"}
        # When it is back, it is asked about all of them.
        del house.psp.faults[ALL]
        await cashier.pay(payments[-1])
        house.clock.advance(2 * DUE)
        await until(succeeded(cashier, payments[-1]))


async def test_stuck_payments_hide_no_other_however_many_they_are(house: House) -> None:
    async with house.open() as cashier:
        stuck = [await cashier.create() for _ in range(101)]
        for each in stuck:
            house.psp.faults[checkout_id(each)] = answers(404)
        house.clock.advance(timedelta(seconds=1))
        late = await cashier.create()
        await cashier.pay(late)
        house.psp.asked.clear()
        house.clock.advance(DUE)
        await until(succeeded(cashier, late))
        asked = house.psp.asked
        assert asked[-1] == checkout_id(late)
        assert sorted(asked[:-1]) == sorted(checkout_id(each) for each in stuck)


async def test_pauses_between_questions_grow_to_an_hour(house: House) -> None:
    async with house.open() as cashier:
        payment = await cashier.create()
        pauses = []
        for count in range(8):
            [[ask_time]] = await house.execute("SELECT ask_time FROM payment")
            pauses.append(timedelta(microseconds=ask_time - to_micros(house.clock.now())))
            house.clock.advance(pauses[-1])
            await until(partial(has_asks, house, count + 1))
        assert [pause / timedelta(minutes=1) for pause in pauses] == [2, 4, 8, 16, 32, 60, 60, 60]
        assert house.psp.asked == [payment.payment_id, *[checkout_id(payment)] * 8]
        # What was not due was not asked about, though another was all the time.
        await cashier.pay(await cashier.create())
        house.clock.advance(DUE)
        await until(lambda: is_paid(cashier))
        assert house.psp.asked.count(checkout_id(payment)) == 8


async def has_asks(house: House, count: int) -> bool:
    [[found]] = await house.execute("SELECT asks FROM payment")
    return bool(found == count)


async def is_paid(cashier: Cashier) -> bool:
    return await cashier.cash() > 0


def test_pause_does_not_grow_beyond_all_bounds() -> None:
    assert ask_pause(0) == DUE
    assert ask_pause(10**9) == timedelta(hours=1)


async def test_payment_of_a_psp_that_is_not_configured_any_more_hinders_no_other(
    house: House,
) -> None:
    async with house.open() as cashier:
        orphan = await cashier.create()
        await house.execute("UPDATE payment SET psp = 'former'")
        payment = await cashier.create()
        await cashier.pay(payment)
        with capture_logs() as logged:
            house.clock.advance(DUE)
            await until(succeeded(cashier, payment))
        assert reasons(logged) == {orphan.payment_id: "ERROR_REASON_PSP_UNKNOWN"}


async def test_fault_of_ours_hinders_no_other_payment(house: House) -> None:
    async with house.open() as cashier:
        payment = await cashier.create()
        await cashier.pay(payment)
        house.clock.advance(timedelta(seconds=1))
        other = await cashier.create()
        await cashier.pay(other)
        async with house.refusing(f"NEW.state = 2 AND OLD.payment_id = '{payment.payment_id}'"):
            with capture_logs() as logged:
                house.clock.advance(DUE)
                await until(succeeded(cashier, other))
        assert reasons(logged) == {payment.payment_id: "internal"}
        assert await cashier.cash() == 2 * 5_000
        house.clock.advance(2 * DUE)
        await until(succeeded(cashier, payment))
    assert await house.booked() == ["CAPTURE", "CAPTURE"]


async def test_payments_of_an_older_version_take_their_turns_too(
    house: House, database_url: Callable[[str], str], tmp_path: Path
) -> None:
    url = (
        f"sqlite+aiosqlite:///{tmp_path}/old.db"
        if house.store.is_sqlite
        # That of another service, whose schema is its own.
        else database_url("services.analytics")
    )
    await migrations.upgrade(url, "services.wallet.payments", "0001")
    await house.move_store(url)
    asked = await insert_old(house, age=timedelta(hours=3), checkout_id="co_1")
    unopened = await insert_old(house, age=timedelta(hours=2))
    ended = await insert_old(house, age=timedelta(hours=4), state=2, checkout_id="co_2")
    await migrations.upgrade(url, "services.wallet.payments")
    # The older version still runs beside.
    beside = await insert_old(house, age=timedelta(minutes=1), checkout_id="co_3")
    async with house.open() as cashier:
        await until(lambda: cashier.is_in(unopened, State.STATE_FAILED))
        await until(lambda: len(house.psp.asked) == 2)
        assert house.psp.asked == ["co_3", "co_1"]
        for pending in (asked, beside):
            assert (await cashier.get(pending)).state == State.STATE_PENDING
        assert (await cashier.get(ended)).state == State.STATE_SUCCEEDED


async def insert_old(house: House, *, age: timedelta, state: int = 1, checkout_id: str = "") -> str:
    """Inserts a payment as the version before did."""
    payment_id = new_id()
    await house.execute(
        "INSERT INTO payment (payment_id, player_id, request_id, psp, currency_code, amount,"
        " return_url, state, hold_id, checkout_id, checkout_url, authorization_number, failure,"
        " create_time, update_time) VALUES (:payment_id, :player_id, :request_id, 'sandbox',"
        " 'EUR', 5000, '', :state, '', :checkout_id, '', :number, '', :time, :time)",
        payment_id=payment_id,
        player_id=house.player_id,
        request_id=new_id(),
        state=state,
        checkout_id=checkout_id,
        number="A1B2" if state == State.STATE_SUCCEEDED else "",
        time=to_micros(house.clock.now() - age),
    )
    return payment_id
