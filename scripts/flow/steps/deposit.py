"""Money in: a checkout at the sandbox PSP, and its signed webhook."""

import uuid

from scripts.flow.player import money, shown
from scripts.flow.step import Step, check
from scripts.flow.world import World
from scripts.mesh.front_door import Json

STAGE = "Deposit"
_AMOUNT = 5_000
_REFUSED_AMOUNT = 10_000


async def deposit(world: World) -> str:
    """Pays with a good card; the balance grows once the PSP has confirmed."""
    payment = await _pay(world, _AMOUNT, card="4242 4242 4242 4242")
    check(payment["state"] == "STATE_SUCCEEDED", f"the payment is {payment['state']}")
    check(bool(payment["authorizationNumber"]), "the payment has no authorization number")
    world.balance += _AMOUNT
    await world.stream.reach(world.balance, within_s=world.patience_s)
    return f"{shown(_AMOUNT)}, authorization {payment['authorizationNumber']}"


async def decline(world: World) -> str:
    """Pays with a card that is declined; nothing moves."""
    payment = await _pay(world, _REFUSED_AMOUNT, card="4000 0000 0000 0002")
    check(payment["state"] == "STATE_FAILED", f"the payment is {payment['state']}")
    return str(payment["failure"])


async def _pay(world: World, amount: int, *, card: str) -> Json:
    body = {"requestId": str(uuid.uuid4()), "amount": money(amount)}
    begun = await world.player.expect("POST", "/v1/payments:deposit", body)
    again = await world.player.expect("POST", "/v1/payments:deposit", body)
    payment = begun["payment"]
    check(payment["paymentId"] == again["payment"]["paymentId"], "a repeat made another payment")
    paid = await world.checkout.post(f"{payment['checkoutUrl']}:pay", json={"card_number": card})
    paid.raise_for_status()

    async def look() -> Json | None:
        found = await world.player.expect("GET", f"/v1/payments/{payment['paymentId']}")
        is_final = found["payment"]["state"] != "STATE_PENDING"
        return found["payment"] if is_final else None

    return await world.eventually(look, otherwise=lambda: "the PSP's webhook has no effect")


STEPS = (
    Step(STAGE, "the player deposits by card", deposit),
    Step(STAGE, "a declined card moves nothing", decline),
)
