"""The sandbox PSP: its API, its cards and the webhooks that it repeats until they are taken."""

import asyncio
import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scripts.sandbox.psp.application import Psp
from scripts.sandbox.psp.store import Store
from scripts.sandbox.psp.webhooks import Webhooks

SECRET = b"whsec_test"
API_KEY = "sk_test"
ORDER = {
    "reference": "0198c0de-0000-7000-8000-000000000001",
    "amount_minor_units": 5_000,
    "currency": "EUR",
}
START = datetime(2027, 1, 1, 12, tzinfo=UTC)


class Clock:
    """Real time, from a fixed day on, and as much later as a test wants."""

    def __init__(self) -> None:
        self._offset = START - datetime.now(UTC)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset

    def pass_by(self, span: timedelta) -> None:
        self._offset += span


class Merchant:
    """Takes webhooks, and answers as it is told: the first answers first, then 200."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.received: list[tuple[str, bytes]] = []
        self.arrived = asyncio.Event()
        self.application = Starlette(routes=[Route("/webhook", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        self.received.append((request.headers["sandbox-signature"], await request.body()))
        self.arrived.set()
        return Response(status_code=self.answers.pop(0) if self.answers else 200)

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.received) < count:
                self.arrived.clear()
                await self.arrived.wait()


class RunningPsp:
    """A PSP with its deliveries, on a file; stopping and starting it keeps the file."""

    def __init__(self, file: Path, merchant: Merchant, clock: Clock) -> None:
        self._file = file
        self._merchant = merchant
        self._clock = clock

    @contextlib.asynccontextmanager
    async def client(self, *, delivers: bool = True) -> AsyncIterator[httpx.AsyncClient]:
        store = Store(self._file)
        to_merchant = httpx.AsyncClient(
            transport=httpx.ASGITransport(self._merchant.application), base_url="https://shop"
        )
        webhooks = Webhooks(
            store, to_merchant, url="https://shop/webhook", secret=SECRET, now=self._clock.now
        )
        psp = Psp(store, webhooks, api_key=API_KEY, now=self._clock.now)
        delivering = asyncio.create_task(webhooks.run()) if delivers else None
        async with to_merchant:
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(psp.application()), base_url="https://psp"
            ) as client:
                yield client
            if delivering is not None:
                delivering.cancel()
                await asyncio.gather(delivering, return_exceptions=True)
        store.close()

    async def wait_until_nothing_is_due(self) -> None:
        with contextlib.closing(Store(self._file)) as store:
            async with asyncio.timeout(20):
                while store.find_next_due_time() is not None:  # noqa: ASYNC110 (a file tells nothing)
                    await asyncio.sleep(0.01)


@pytest.fixture
def merchant() -> Merchant:
    return Merchant()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def psp(tmp_path: Path, merchant: Merchant, clock: Clock) -> RunningPsp:
    return RunningPsp(tmp_path / "psp.db", merchant, clock)


async def open_checkout(
    client: httpx.AsyncClient, order: Any = None, *, key: str = "k1", api_key: str = API_KEY
) -> httpx.Response:
    return await client.post(
        "/v1/checkouts",
        json=ORDER if order is None else order,
        headers={"authorization": f"Bearer {api_key}", "idempotency-key": key},
    )


async def pay(client: httpx.AsyncClient, checkout_id: str, card: str) -> httpx.Response:
    return await client.post(f"/checkouts/{checkout_id}:pay", json={"card_number": card})


def error_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


@pytest.mark.parametrize(
    ("card", "kind", "failure"),
    [
        ("4242 4242 4242 4242", "payment.succeeded", ""),
        ("4000-0000-0000-0002", "payment.failed", "card_declined"),
        ("4000000000009995", "payment.failed", "insufficient_funds"),
    ],
)
async def test_card_decides_and_a_signed_event_tells_it(
    psp: RunningPsp, merchant: Merchant, card: str, kind: str, failure: str
) -> None:
    async with psp.client() as client:
        checkout = (await open_checkout(client)).json()
        paid = await pay(client, checkout["id"], card)
        await merchant.wait_for(1)
        found = await client.get(
            f"/v1/checkouts/{checkout['id']}", headers={"authorization": f"Bearer {API_KEY}"}
        )
    assert paid.json()["failure"] == failure
    [(signature, body)] = merchant.received
    event = json.loads(body)
    assert event["type"] == kind
    assert event["data"] == {
        "checkout_id": checkout["id"],
        **ORDER,
        "authorization_number": found.json()["authorization_number"],
        "failure": failure,
    }
    assert bool(event["data"]["authorization_number"]) == (failure == "")
    parts = dict(part.split("=") for part in signature.split(","))
    message = parts["t"].encode() + b"." + body
    assert parts["v1"] == hmac.new(SECRET, message, hashlib.sha256).hexdigest()


async def test_webhook_is_repeated_with_the_same_event_until_it_is_taken(
    psp: RunningPsp, merchant: Merchant
) -> None:
    merchant.answers = [503, 500]
    async with psp.client() as client:
        checkout = (await open_checkout(client)).json()
        await pay(client, checkout["id"], "4242424242424242")
        await merchant.wait_for(3)
    assert len({body for _, body in merchant.received}) == 1
    assert len(merchant.received) == 3


async def test_webhook_outlives_a_restart(psp: RunningPsp, merchant: Merchant) -> None:
    async with psp.client(delivers=False) as client:
        checkout = (await open_checkout(client)).json()
        await pay(client, checkout["id"], "4242424242424242")
    assert merchant.received == []
    async with psp.client():
        await merchant.wait_for(1)
    assert json.loads(merchant.received[0][1])["data"]["checkout_id"] == checkout["id"]


async def test_webhook_that_nobody_takes_is_given_up(
    psp: RunningPsp, merchant: Merchant, clock: Clock
) -> None:
    merchant.answers = [500]
    async with psp.client(delivers=False) as client:
        checkout = (await open_checkout(client)).json()
        await pay(client, checkout["id"], "4242424242424242")
    clock.pass_by(timedelta(days=4))
    async with psp.client():
        await merchant.wait_for(1)
        await psp.wait_until_nothing_is_due()
    assert len(merchant.received) == 1


async def test_checkout_that_nobody_pays_expires_as_failed(
    psp: RunningPsp, merchant: Merchant, clock: Clock
) -> None:
    async with psp.client(delivers=False) as client:
        checkout = (await open_checkout(client)).json()
        clock.pass_by(timedelta(minutes=31))
        assert error_of(await pay(client, checkout["id"], "4242424242424242")) == (
            409,
            "checkout_closed",
        )
    async with psp.client():
        await merchant.wait_for(1)
    event = json.loads(merchant.received[0][1])
    assert (event["type"], event["data"]["failure"]) == ("payment.failed", "checkout_expired")


async def test_same_key_gets_the_same_checkout_and_another_order_is_refused(
    psp: RunningPsp,
) -> None:
    async with psp.client() as client:
        first = await open_checkout(client)
        again = await open_checkout(client)
        other = await open_checkout(client, {**ORDER, "amount_minor_units": 1})
    assert (first.status_code, again.json()) == (201, first.json())
    assert error_of(other) == (409, "idempotency_key_reused")


async def test_checkout_is_paid_once(psp: RunningPsp, merchant: Merchant) -> None:
    async with psp.client() as client:
        checkout = (await open_checkout(client)).json()
        await pay(client, checkout["id"], "4242424242424242")
        assert error_of(await pay(client, checkout["id"], "4242424242424242")) == (
            409,
            "checkout_closed",
        )
        await merchant.wait_for(1)
    assert len(merchant.received) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"amount_minor_units": 0},
        {"amount_minor_units": 1.5},
        {"amount_minor_units": "5000"},
        {"amount_minor_units": True},
        {"amount_minor_units": 10**15 + 1},
        {"currency": "eur"},
        {"reference": ""},
        {"return_url": "javascript:alert(1)"},
        {"colour": "green"},
    ],
)
async def test_order_that_breaks_a_rule_is_refused(psp: RunningPsp, change: dict[str, Any]) -> None:
    async with psp.client() as client:
        refused = await open_checkout(client, {**ORDER, **change})
    assert error_of(refused) == (400, "invalid_request")


async def test_strangers_and_strange_requests_are_refused(psp: RunningPsp) -> None:
    async with psp.client() as client:
        checkout = (await open_checkout(client)).json()
        assert error_of(await open_checkout(client, api_key="sk_other")) == (401, "unauthorized")
        assert error_of(await open_checkout(client, key="")) == (400, "invalid_request")
        assert error_of(await pay(client, "co_unknown", "4242424242424242")) == (404, "not_found")
        assert error_of(await pay(client, checkout["id"], "4111111111111111")) == (
            422,
            "card_invalid",
        )
        huge = await client.post(f"/checkouts/{checkout['id']}:pay", content=b"x" * 20_000)
        assert error_of(huge) == (413, "invalid_request")


async def test_page_lets_the_player_pay_and_shows_no_foreign_markup(psp: RunningPsp) -> None:
    async with psp.client() as client:
        order = {**ORDER, "reference": "<script>", "return_url": 'https://shop/"onclick="x'}
        checkout = (await open_checkout(client, order)).json()
        shown = await client.get(f"/checkouts/{checkout['id']}")
        assert "<script>" not in shown.text
        assert f'action="/checkouts/{checkout["id"]}:pay"' in shown.text
        paid = await client.post(
            f"/checkouts/{checkout['id']}:pay", data={"card_number": "4242 4242 4242 4242"}
        )
    assert "Paid. Authorization" in paid.text
    assert '"onclick="' not in paid.text
