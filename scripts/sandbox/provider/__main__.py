"""`python -m scripts.sandbox.provider`: reads the settings and serves until SIGTERM or SIGINT."""

import asyncio

from scripts.sandbox import logs
from scripts.sandbox.https import HttpsServer, stop_on_signals
from scripts.sandbox.provider.launch import LaunchServer, LaunchServicer
from scripts.sandbox.provider.settings import Settings
from scripts.sandbox.provider.table import Table
from scripts.sandbox.provider.wallet import Wallet
from scripts.sandbox.provider.web import Web
from scripts.sandbox.tracing import Tracing


def main() -> None:
    """Runs the process."""
    settings = Settings()  # type: ignore[call-arg]  # the environment gives the fields
    logs.configure(settings.name)
    tracing = Tracing.from_environment(settings.name)
    try:
        asyncio.run(_serve(settings, tracing))
    finally:
        tracing.close()


async def _serve(settings: Settings, tracing: Tracing) -> None:
    stopping = stop_on_signals()
    wallet = Wallet(
        settings.edge_address,
        authority=settings.edge_authority,
        api_key_file=settings.api_key_file,
        tracer=tracing.tracer,
    )
    table = Table(wallet)
    web = Web(
        table,
        wallet,
        tracing.tracer,
        control_key=settings.control_key_file.read_text().strip(),
    )
    launch = LaunchServer(
        LaunchServicer(f"https://127.0.0.1:{settings.web_port}", tracing.tracer),
        port=settings.launch_port,
        certificate=settings.tls_certificate,
        key=settings.tls_key,
        authority=settings.edge_authority,
    )
    await launch.start()
    https = HttpsServer(
        web.application(),
        port=settings.web_port,
        certificate=settings.tls_certificate,
        key=settings.tls_key,
    )
    await https.serve_until(stopping)
    await launch.stop()
    await table.close()
    await wallet.close()


if __name__ == "__main__":
    main()
