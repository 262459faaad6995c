"""What PSPs report: genuine or not, once or often, in order or not."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from scripts.mesh.pki import DevelopmentAuthority
from services.kit.clock import SystemClock
from services.kit.ids import new_id
from services.wallet.payments.sandbox import SandboxPsp
from tests.kit.refusals import refusal
from tests.wallet.payments.cashier import Cashier, State, signed
from tests.wallet.payments.conftest import House

MARK = "hunter2"


async def test_webhook_that_is_replayed_is_answered_the_same_and_books_once(house: House) -> None:
    async with house.open() as cashier:
        payment = await cashier.create()
        body = cashier.event(payment, "payment.succeeded")
        first = await cashier.deliver(body)
        booked = await cashier.get(payment.payment_id)
        for _ in range(3):
            assert await cashier.deliver(body) == first
        assert await cashier.get(payment.payment_id) == booked
    async with house.open() as cashier:
        assert await cashier.deliver(body) == first
        assert await cashier.get(payment.payment_id) == booked
        assert await cashier.cash() == 5_000
    assert await house.booked() == ["CAPTURE"]


async def test_webhooks_that_come_at_once_book_once(house: House) -> None:
    async with house.open() as cashier:
        payments = [await cashier.create() for _ in range(5)]
        bodies = [cashier.event(each, "payment.succeeded") for each in payments]
        await asyncio.gather(*(cashier.deliver(body) for body in bodies * 8))
        for each in payments:
            assert (await cashier.get(each.payment_id)).state == State.STATE_SUCCEEDED
        assert await cashier.cash() == 5 * 5_000
    assert await house.booked() == ["CAPTURE"] * 5


async def test_success_and_failure_that_come_at_once_book_once(house: House) -> None:
    async with house.open() as cashier:
        payments = [await cashier.create() for _ in range(10)]
        reports = []
        for number, each in enumerate(payments):
            pair = [
                cashier.event(each, "payment.succeeded"),
                cashier.event(each, "payment.failed"),
            ]
            reports += pair if number % 2 else pair[::-1]
        await asyncio.gather(*(cashier.deliver(body) for body in reports))
        # A failure that overtook a success is no end: the PSP has the money.
        for each in payments:
            assert (await cashier.get(each.payment_id)).state == State.STATE_SUCCEEDED
        assert await cashier.cash() == 10 * 5_000
    assert len(await house.booked()) == 10
    assert await house.announced() == 0


async def test_webhook_and_question_that_meet_book_once(house: House) -> None:
    async with house.open() as cashier:
        payments = [await cashier.create() for _ in range(10)]
        bodies = []
        for each in payments:
            await cashier.pay(each)
            bodies.append(cashier.event(each, "payment.succeeded"))
        house.clock.advance(timedelta(minutes=2))
        await asyncio.gather(*(cashier.deliver(body) for body in bodies))
        for each in payments:
            assert (await cashier.get(each.payment_id)).state == State.STATE_SUCCEEDED
        assert await cashier.cash() == 10 * 5_000
    assert await house.booked() == ["CAPTURE"] * 10


async def test_requests_that_come_at_once_are_one_payment(house: House) -> None:
    request_id = new_id()
    async with house.open() as cashier:
        made = await asyncio.gather(*(cashier.create(5_000, request_id) for _ in range(8)))
        assert len({each.payment_id for each in made}) == 1
        assert len({each.checkout_url for each in made}) == 1
        assert await house.announced() == 1


async def test_report_that_does_not_fit_changes_nothing_after_an_end_either(
    cashier: Cashier,
) -> None:
    failed, succeeded = await cashier.create(), await cashier.create()
    await cashier.deliver(cashier.event(failed, "payment.failed"))
    await cashier.deliver(cashier.event(succeeded, "payment.succeeded"))
    before = [await cashier.get(each.payment_id) for each in (failed, succeeded)]
    for payment in (failed, succeeded):
        for changes in (
            {"amount_minor_units": 5_001},
            {"currency": "USD"},
            {"checkout_id": "co_other"},
            {"reference": new_id()},
        ):
            for kind in ("payment.succeeded", "payment.failed"):
                body = cashier.event(payment, kind, **changes)
                refused = await refusal(cashier.deliver(body))
                assert refused.reason == "ERROR_REASON_WEBHOOK_MISMATCH"
                told = changes.get("reference", payment.payment_id)
                assert refused.metadata == {"payment_id": told}
    assert [await cashier.get(each.payment_id) for each in (failed, succeeded)] == before
    assert await cashier.cash() == 5_000


async def test_signature_is_of_the_very_bytes(cashier: Cashier) -> None:
    payment = await cashier.create()
    body = cashier.event(payment, "payment.succeeded")
    signature = signed(body)
    same = json.loads(body)
    for other in (
        json.dumps(same, indent=1).encode(),
        json.dumps(same, sort_keys=True).encode(),
        json.dumps(same, separators=(",", ":")).encode(),
        body + b"\n",
        body.replace(b"payment.", b"\\u0070ayment."),
    ):
        assert json.loads(other) == same
        refused = await refusal(cashier.deliver(other, signature=signature))
        assert refused.reason == "ERROR_REASON_WEBHOOK_REFUSED"
    assert await cashier.cash() == 0
    # Signed as it is, each form is as good as another.
    await cashier.deliver(json.dumps(same, indent=1).encode())
    assert await cashier.cash() == 5_000


@pytest.mark.parametrize(
    "moment",
    ["9" * 5_000, "-1", "+{now}", "{now}.5", "1e9", "", "0x10", "{now} "],
    ids=["long", "negative", "signed", "fraction", "power", "empty", "hex", "blank"],
)
async def test_time_of_a_signature_that_is_none_is_refused(cashier: Cashier, moment: str) -> None:
    body = cashier.event(await cashier.create(), "payment.succeeded")
    signature = signed(body, at=moment.format(now=int(cashier.now())))
    refused = await refusal(cashier.deliver(body, signature=signature))
    assert refused.code is grpc.StatusCode.PERMISSION_DENIED
    assert refused.reason == "ERROR_REASON_WEBHOOK_REFUSED"
    assert refused.metadata == {"psp": "sandbox"}


@pytest.mark.parametrize("early", [-1, 1])
async def test_signature_is_good_for_five_minutes_either_way(house: House, early: int) -> None:
    async with house.open() as cashier:
        body = cashier.event(await cashier.create(), "payment.succeeded")
        now = int(cashier.now())
        late = signed(body, at=now + 301 * early)
        refused = await refusal(cashier.deliver(body, signature=late))
        assert refused.reason == "ERROR_REASON_WEBHOOK_REFUSED"
        assert await cashier.cash() == 0
        await cashier.deliver(body, signature=signed(body, at=now + 300 * early))
        assert await cashier.cash() == 5_000


MALFORMED: dict[str, dict[str, Any]] = {
    "amount a text": {"amount_minor_units": "5000"},
    "amount a fraction": {"amount_minor_units": 5_000.0},
    "amount a truth": {"amount_minor_units": True},
    "amount nothing": {"amount_minor_units": 0},
    "amount beyond all": {"amount_minor_units": 10**30},
    "no authorization": {"authorization_number": ""},
    "authorization unstorable": {"authorization_number": "A\0"},
    "authorization without end": {"authorization_number": "A" * 2_000},
    "reference a number": {"reference": 7},
    "reference without end": {"reference": MARK * 100},
    "currency missing": {"currency": None},
    "failure a list": {"failure": [MARK]},
}


@pytest.mark.parametrize("name", [*MALFORMED, "no JSON", "no text", "no object", "no data", "deep"])
async def test_genuine_webhook_that_is_not_as_documented_moves_nothing(
    cashier: Cashier, name: str
) -> None:
    payment = await cashier.create()
    whole: dict[str, bytes] = {
        "no JSON": b'{"type": "payment.succeeded", "data": "' + MARK.encode(),
        "no text": b'{"type": "\xff"}',
        "no object": f'["{MARK}"]'.encode(),
        "no data": b'{"type": "payment.succeeded"}',
        "deep": b"[" * 50_000,
    }
    body = whole.get(name) or cashier.event(payment, "payment.succeeded", **MALFORMED[name])
    with capture_logs() as logged:
        refused = await refusal(cashier.deliver(body))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.reason == "ERROR_REASON_WEBHOOK_MALFORMED"
    assert refused.metadata == {"psp": "sandbox"}
    assert [line["event"] for line in logged] == ["webhook malformed"]
    assert MARK not in repr(logged)
    assert MARK not in repr(refused.status)
    assert (await cashier.get(payment.payment_id)).state == State.STATE_PENDING
    assert await cashier.cash() == 0
    # The payment is not spoilt by it.
    await cashier.deliver(cashier.event(payment, "payment.succeeded"))
    assert await cashier.cash() == 5_000


def test_adapter_without_a_secret_is_refused(authority: DevelopmentAuthority) -> None:
    with pytest.raises(ValueError, match="secret of the sandbox PSP's webhooks is empty"):
        SandboxPsp(
            url="https://127.0.0.1:1",
            authority=authority.certificate_path,
            api_key="sk",
            webhook_secret="",
            timeout=timedelta(seconds=1),
            clock=SystemClock(),
        )
