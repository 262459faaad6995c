"""Delivers events to the merchant: signed, repeated until confirmed, across restarts."""

import asyncio
import hashlib
import hmac
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import structlog

from scripts.sandbox.psp.store import CheckoutClosedError, Delivery, Store

SIGNATURE_HEADER = "Sandbox-Signature"
_TIMEOUT_S = 10.0
_BATCH = 16
_FIRST_PAUSE_S = 0.2
_PAUSE_S_MAX = 300.0
_DOUBLINGS_MAX = 16
_GIVE_UP_AFTER = timedelta(days=3)
# How long it sleeps when nothing is due, and so how late a checkout may expire.
_IDLE_S_MAX = 15.0

_log: Any = structlog.get_logger()


def signature(secret: bytes, body: bytes, now: datetime) -> str:
    """Signs the exact bytes of a body, together with the time of signing."""
    t = str(int(now.timestamp()))
    digest = hmac.new(secret, t.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={t},v1={digest}"


class Webhooks:
    """Sends what the store says is due."""

    def __init__(
        self,
        store: Store,
        client: httpx.AsyncClient,
        *,
        url: str,
        secret: bytes,
        now: Callable[[], datetime],
    ) -> None:
        """Takes where to send to; `run` does the work."""
        self._store = store
        self._client = client
        self._url = url
        self._secret = secret
        self._now = now
        self._due = asyncio.Event()

    def wake(self) -> None:
        """Says that there is something new to deliver."""
        self._due.set()

    async def run(self) -> None:
        """Delivers until it is cancelled."""
        while True:
            self._due.clear()
            self._expire_checkouts()
            due = self._store.list_due(self._now(), limit=_BATCH)
            if due:
                await asyncio.gather(*map(self._attempt, due))
                continue
            try:
                async with asyncio.timeout(self._idle_s()):
                    await self._due.wait()
            except TimeoutError:
                continue

    def _idle_s(self) -> float:
        next_time = self._store.find_next_due_time()
        if next_time is None:
            return _IDLE_S_MAX
        return min(_IDLE_S_MAX, max(0.0, (next_time - self._now()).total_seconds()))

    def _expire_checkouts(self) -> None:
        now = self._now()
        for checkout in self._store.list_expired(now, limit=_BATCH):
            try:
                self._store.close_checkout(checkout.expired(), now)
            except CheckoutClosedError:
                continue

    async def _attempt(self, delivery: Delivery) -> None:
        answered = await self._post(delivery)
        if answered is not None and answered < httpx.codes.MULTIPLE_CHOICES:
            self._store.record_attempt(delivery.event_id, next_time=None)
            _log.info("webhook taken", event_id=delivery.event_id, attempts=delivery.attempts + 1)
            return
        now = self._now()
        if now - delivery.create_time > _GIVE_UP_AFTER:
            self._store.record_attempt(delivery.event_id, next_time=None)
            _log.error("webhook given up", event_id=delivery.event_id, status=answered)
            return
        doubled = _FIRST_PAUSE_S * 2 ** min(delivery.attempts, _DOUBLINGS_MAX)
        pause_s = min(_PAUSE_S_MAX, doubled) * random.uniform(0.8, 1.2)  # noqa: S311 (jitter)
        next_time = now + timedelta(seconds=pause_s)
        self._store.record_attempt(delivery.event_id, next_time=next_time)
        _log.info("webhook not taken", event_id=delivery.event_id, status=answered)

    async def _post(self, delivery: Delivery) -> int | None:
        headers = {
            "content-type": "application/json",
            SIGNATURE_HEADER: signature(self._secret, delivery.body, self._now()),
        }
        try:
            response = await self._client.post(
                self._url, content=delivery.body, headers=headers, timeout=_TIMEOUT_S
            )
        except httpx.HTTPError as error:
            _log.info("webhook not sent", event_id=delivery.event_id, error=repr(error))
            return None
        return response.status_code
