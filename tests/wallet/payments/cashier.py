"""A player who pays in, and the PSP's side of it."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from croupier.type.v1 import money_pb2
from croupier.wallet.v1 import payment_pb2, payment_service_pb2, wallet_pb2, wallet_service_pb2
from google.api import httpbody_pb2

from services.kit.ids import new_id
from tests.kit.tokens import TokenIssuer
from tests.wallet.running import WEBHOOK_SECRET, RunningWallet

State = payment_pb2.Payment


class Cashier:
    """Calls for one player, and delivers the PSP's webhooks when a test says so."""

    def __init__(
        self,
        wallet: RunningWallet,
        tokens: TokenIssuer,
        player_id: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.wallet = wallet
        self.player_id = player_id
        self.metadata = tokens.player(player_id)
        self.now = now

    async def open_wallet(self) -> None:
        await self.wallet.player.OpenWallet(
            wallet_service_pb2.OpenWalletRequest(player_id=self.player_id, currency_code="EUR")
        )

    async def create(self, minor_units: int = 5_000, request_id: str = "") -> payment_pb2.Payment:
        answer = await self.wallet.payments.CreateDeposit(
            self.request(minor_units, request_id), metadata=self.metadata
        )
        return answer.payment  # type: ignore[no-any-return]

    def request(self, minor_units: int, request_id: str = "", **fields: Any) -> Any:
        return payment_service_pb2.CreateDepositRequest(
            **{
                "request_id": request_id or new_id(),
                "amount": money_pb2.Money(currency_code="EUR", minor_units=minor_units),
                **fields,
            }
        )

    async def get(self, payment_id: str) -> payment_pb2.Payment:
        answer = await self.wallet.payments.GetPayment(
            payment_service_pb2.GetPaymentRequest(payment_id=payment_id), metadata=self.metadata
        )
        return answer.payment  # type: ignore[no-any-return]

    async def is_in(self, payment_id: str, state: "payment_pb2.Payment.State.ValueType") -> bool:
        return (await self.get(payment_id)).state == state

    async def pay(self, payment: payment_pb2.Payment, card: str = "4242424242424242") -> None:
        paid = await self.wallet.browser.post(
            f"{payment.checkout_url}:pay", json={"card_number": card}
        )
        assert paid.status_code == 200, paid.text

    def event(self, payment: payment_pb2.Payment, kind: str, **changes: Any) -> bytes:
        succeeded = kind == "payment.succeeded"
        told = {
            "checkout_id": checkout_id(payment) or "co_unknown",
            "reference": payment.payment_id,
            "amount_minor_units": payment.amount.minor_units,
            "currency": "EUR",
            "authorization_number": "A1B2" if succeeded else "",
            "failure": "" if succeeded else "card_declined",
            **changes,
        }
        return json.dumps({"id": f"evt_{uuid4().hex}", "type": kind, "data": told}).encode()

    async def deliver(
        self, body: bytes, *, signature: str | None = None, psp: str = "sandbox"
    ) -> Any:
        if signature is None:
            signature = signed(body, at=int(self.now()))
        return await self.wallet.payments.HandleWebhook(
            payment_service_pb2.HandleWebhookRequest(
                psp=psp, http_body=httpbody_pb2.HttpBody(data=body)
            ),
            metadata=(("sandbox-signature", signature),),
        )

    async def cash(self) -> int:
        balance = await self.balance()
        return int(balance.cash_minor_units)

    async def balance(self) -> wallet_pb2.Balance:
        answer = await self.wallet.game.GetBalance(
            wallet_service_pb2.GetBalanceRequest(player_id=self.player_id, currency_code="EUR")
        )
        return answer.balance  # type: ignore[no-any-return]

    async def restrict(self, *restrictions: "wallet_pb2.Restriction.ValueType") -> None:
        await self.wallet.player.SetRestrictions(
            wallet_service_pb2.SetRestrictionsRequest(
                request_id=new_id(), player_id=self.player_id, restrictions=restrictions
            )
        )


def checkout_id(payment: payment_pb2.Payment) -> str:
    return payment.checkout_url.rpartition("/")[2]


def signed(body: bytes, *, at: int | str | None = None, secret: str = WEBHOOK_SECRET) -> str:
    moment = str(int(time.time()) if at is None else at)
    mac = hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256)
    return f"t={moment},v1={mac.hexdigest()}"
