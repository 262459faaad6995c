"""`python -m scripts.sandbox.psp`: reads the settings and serves until SIGTERM or SIGINT."""

import asyncio
import ssl
from datetime import UTC, datetime

import httpx

from scripts.sandbox import logs
from scripts.sandbox.https import HttpsServer, stop_on_signals
from scripts.sandbox.psp.application import Psp
from scripts.sandbox.psp.settings import Settings
from scripts.sandbox.psp.store import Store
from scripts.sandbox.psp.webhooks import Webhooks


def main() -> None:
    """Runs the process."""
    settings = Settings()  # type: ignore[call-arg]  # the environment gives the fields
    logs.configure("psp")
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    stopping = stop_on_signals()
    store = Store(settings.database)
    trusted = ssl.create_default_context(cafile=str(settings.webhook_authority))
    async with httpx.AsyncClient(verify=trusted, trust_env=False) as client:
        webhooks = Webhooks(
            store, client, url=settings.webhook_url, secret=settings.webhook_secret, now=_now
        )
        psp = Psp(store, webhooks, api_key=settings.api_key, now=_now)
        server = HttpsServer(
            psp.application(),
            port=settings.port,
            certificate=settings.tls_certificate,
            key=settings.tls_key,
        )
        delivering = asyncio.create_task(webhooks.run(), name="webhooks")
        # A sandbox that no longer delivers ends, so that whoever runs it starts it again.
        delivering.add_done_callback(lambda _: stopping.set())
        await server.serve_until(stopping)
        delivering.cancel()
        await asyncio.gather(delivering, return_exceptions=True)
    store.close()
    if not delivering.cancelled():
        delivering.result()


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    main()
