import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from croupier.wallet.v1 import payment_service_pb2, wallet_pb2, wallet_service_pb2

from scripts.mesh.pki import DevelopmentAuthority
from services.kit.ids import new_id
from tests.conftest import Connect
from tests.kit.refusals import refusal
from tests.kit.tokens import TokenIssuer
from tests.wallet.payments.cashier import Cashier, State, signed
from tests.wallet.running import running_wallet


async def test_deposit_is_booked_when_the_psp_confirms_and_not_before(cashier: Cashier) -> None:
    payment = await cashier.create(5_000)
    assert payment.state == State.STATE_PENDING
    assert payment.checkout_url.startswith(cashier.wallet.psp_url)
    await cashier.pay(payment)
    assert await cashier.cash() == 0
    await cashier.deliver(cashier.event(payment, "payment.succeeded"))
    assert await cashier.cash() == 5_000
    ended = await cashier.get(payment.payment_id)
    assert ended.state == State.STATE_SUCCEEDED
    assert ended.authorization_number == "A1B2"
    assert ended.checkout_url == ""


async def test_repeated_webhook_books_once(cashier: Cashier) -> None:
    payment = await cashier.create()
    body = cashier.event(payment, "payment.succeeded")
    for _ in range(3):
        await cashier.deliver(body)
    await cashier.deliver(cashier.event(payment, "payment.succeeded"))
    assert await cashier.cash() == 5_000


async def test_declined_card_leaves_nothing(cashier: Cashier) -> None:
    payment = await cashier.create()
    await cashier.pay(payment, card="4000000000000002")
    await cashier.deliver(cashier.event(payment, "payment.failed"))
    ended = await cashier.get(payment.payment_id)
    assert (ended.state, ended.failure) == (State.STATE_FAILED, "card_declined")
    assert await cashier.cash() == 0


async def test_success_after_a_failure_is_booked(cashier: Cashier) -> None:
    payment = await cashier.create()
    await cashier.deliver(cashier.event(payment, "payment.failed"))
    await cashier.deliver(cashier.event(payment, "payment.succeeded"))
    assert await cashier.cash() == 5_000
    await cashier.deliver(cashier.event(payment, "payment.failed"))
    assert (await cashier.get(payment.payment_id)).state == State.STATE_SUCCEEDED
    assert await cashier.cash() == 5_000


async def test_same_request_id_is_the_same_payment(cashier: Cashier) -> None:
    request_id = new_id()
    first = await cashier.create(5_000, request_id)
    assert await cashier.create(5_000, request_id) == first
    refused = await refusal(
        cashier.wallet.payments.CreateDeposit(
            cashier.request(6_000, request_id), metadata=cashier.metadata
        )
    )
    assert refused.code is grpc.StatusCode.ALREADY_EXISTS
    assert refused.reason == "ERROR_REASON_REQUEST_ID_REUSED"
    assert refused.metadata == {"request_id": request_id}


async def test_restricted_player_is_refused_before_a_card_is_charged(cashier: Cashier) -> None:
    await cashier.restrict(wallet_pb2.RESTRICTION_NO_DEPOSIT)
    request = cashier.request(5_000)
    for _ in range(2):
        refused = await refusal(
            cashier.wallet.payments.CreateDeposit(request, metadata=cashier.metadata)
        )
        assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
        assert refused.reason == "ERROR_REASON_PLAYER_RESTRICTED"


async def test_money_that_arrives_after_an_exclusion_is_locked(cashier: Cashier) -> None:
    payment = await cashier.create()
    await cashier.restrict(wallet_pb2.RESTRICTION_NO_DEPOSIT, wallet_pb2.RESTRICTION_NO_BET)
    await cashier.deliver(cashier.event(payment, "payment.succeeded"))
    balance = await cashier.balance()
    assert (balance.cash_minor_units, balance.locked_minor_units) == (0, 5_000)


async def test_webhook_whose_signature_does_not_fit_is_refused(cashier: Cashier) -> None:
    payment = await cashier.create()
    body = cashier.event(payment, "payment.succeeded")
    now = int(time.time())
    good = signed(body).partition("v1=")[2]
    for signature in (
        "",
        "v1=",
        f"v1={good}",
        f"t={now}",
        f"t={now},v1={'0' * 64}",
        f"t=abc,v1={good}",
        f"t={now},t={now},v1={good}",
        signed(body + b" "),
        signed(body, secret="another"),
        signed(body, at=now - 301),
        # A minute more than is borne: it comes nearer while the test runs.
        signed(body, at=now + 360),
    ):
        refused = await refusal(cashier.deliver(body, signature=signature))
        assert refused.code is grpc.StatusCode.PERMISSION_DENIED, signature
        assert refused.reason == "ERROR_REASON_WEBHOOK_REFUSED"
    assert await cashier.cash() == 0
    rotating = signed(body).replace(",v1=", f",v1={'0' * 64},v1=")
    await cashier.deliver(body, signature=rotating)
    assert await cashier.cash() == 5_000


async def test_report_that_fits_no_payment_moves_nothing(cashier: Cashier) -> None:
    payment = await cashier.create()
    for changes in (
        {"reference": new_id()},
        {"reference": "rubbish"},
        {"amount_minor_units": 5_001},
        {"currency": "USD"},
        {"checkout_id": "co_other"},
    ):
        refused = await refusal(
            cashier.deliver(cashier.event(payment, "payment.succeeded", **changes))
        )
        assert refused.code is grpc.StatusCode.FAILED_PRECONDITION, changes
        assert refused.reason == "ERROR_REASON_WEBHOOK_MISMATCH"
    assert await cashier.cash() == 0


async def test_event_of_no_interest_is_taken(cashier: Cashier) -> None:
    await cashier.deliver(json.dumps({"id": "evt_1", "type": "payout.paid"}).encode())


async def test_unknown_psp_and_unknown_currency_are_named(cashier: Cashier) -> None:
    refused = await refusal(cashier.deliver(b"{}", psp="other"))
    assert refused.code is grpc.StatusCode.NOT_FOUND
    assert refused.reason == "ERROR_REASON_PSP_UNKNOWN"
    request = cashier.request(1)
    request.amount.currency_code = "XQZ"
    refused = await refusal(
        cashier.wallet.payments.CreateDeposit(request, metadata=cashier.metadata)
    )
    assert refused.reason == "ERROR_REASON_CURRENCY_UNKNOWN"


async def test_payment_of_another_player_is_not_found(
    cashier: Cashier, tokens: TokenIssuer
) -> None:
    payment = await cashier.create()
    refused = await refusal(
        cashier.wallet.payments.GetPayment(
            payment_service_pb2.GetPaymentRequest(payment_id=payment.payment_id),
            metadata=tokens.player(new_id()),
        )
    )
    assert refused.code is grpc.StatusCode.NOT_FOUND
    assert refused.reason == "ERROR_REASON_PAYMENT_NOT_FOUND"
    assert refused.metadata == {"payment_id": payment.payment_id}


async def test_deposit_while_the_psp_is_away_is_completed_by_a_repeat(
    authority: DevelopmentAuthority,
    tokens: TokenIssuer,
    connect: Connect,
    database_url: Callable[[str], str],
    tmp_path: Path,
) -> None:
    urls = {name: database_url(name) for name in ("services.wallet", "services.wallet.payments")}
    player_id, request_id = new_id(), new_id()

    def wallet(**changes: Any) -> Any:
        return running_wallet(
            authority=authority,
            tokens=tokens,
            connect=connect,
            database_url=urls.__getitem__,
            folder=tmp_path,
            **changes,
        )

    async with wallet(psp_sandbox_url="https://127.0.0.1:1") as away:
        await away.player.OpenWallet(
            wallet_service_pb2.OpenWalletRequest(player_id=player_id, currency_code="EUR")
        )
        cashier = Cashier(away, tokens, player_id)
        refused = await refusal(
            away.payments.CreateDeposit(
                cashier.request(5_000, request_id), metadata=cashier.metadata
            )
        )
        assert refused.code is grpc.StatusCode.UNAVAILABLE
        assert refused.reason == "ERROR_REASON_UNAVAILABLE"
        assert refused.metadata == {"dependency": "psp sandbox"}
    async with wallet() as back:
        cashier = Cashier(back, tokens, player_id)
        payment = await cashier.create(5_000, request_id)
        assert payment.state == State.STATE_PENDING
        await cashier.deliver(cashier.event(payment, "payment.succeeded"))
        assert await cashier.cash() == 5_000
