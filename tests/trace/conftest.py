from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.trace.server import Running, serve
from services.trace.settings import Settings
from tests.kit.clock import ManualClock

StartBackend = Callable[..., Awaitable[Running]]


@pytest.fixture
async def start_backend(tmp_path: Path, clock: ManualClock) -> AsyncIterator[StartBackend]:
    """Starts a real backend on free ports; keywords change its settings."""
    async with AsyncExitStack() as stack:

        async def start(**changes: Any) -> Running:
            settings = Settings(
                **{
                    "grpc_listen": "127.0.0.1:0",
                    "http_listen": "127.0.0.1:0",
                    "data": tmp_path / "trace.sqlite",
                    **changes,
                }
            )
            return await stack.enter_async_context(serve(settings, clock))

        yield start


@pytest.fixture
async def backend(start_backend: StartBackend) -> Running:
    return await start_backend()


@pytest.fixture
async def http(backend: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=backend.page_url) as client:
        yield client
