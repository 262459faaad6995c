"""An HTTPS server on the loopback interface that ends on SIGTERM and SIGINT."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

_CALLS_END_S_MAX = 2
_CONNECTIONS_MAX = 100


class HttpsServer(uvicorn.Server):
    """Serves an application until `stopping` is set."""

    def __init__(self, application: ASGIApp, *, port: int, certificate: Path, key: Path) -> None:
        """Prepares the server; nothing listens yet."""
        super().__init__(
            uvicorn.Config(
                application,
                host="127.0.0.1",
                port=port,
                ssl_certfile=certificate,
                ssl_keyfile=key,
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                server_header=False,
                limit_concurrency=_CONNECTIONS_MAX,
                timeout_graceful_shutdown=_CALLS_END_S_MAX,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals to the process: uvicorn would raise them again at the end and kill it."""
        yield

    async def serve_until(self, stopping: asyncio.Event) -> None:
        """Serves until the event is set, and lets calls under way end.

        Raises:
            OSError: The port is taken.
        """
        serving = asyncio.create_task(self.serve(), name="https")
        waiting = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            self.should_exit = True
        try:
            await serving
        except SystemExit:
            raise OSError("the port is taken") from None


def stop_on_signals() -> asyncio.Event:
    """Returns an event that SIGTERM and SIGINT set."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping
