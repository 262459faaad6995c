from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest

from scripts.mesh.pki import DevelopmentAuthority
from tests.kit.clock import ManualClock
from tests.security.doubles import Security, first_operator


@pytest.fixture
def clock() -> ManualClock:
    # Verifiers of tokens read the machine's clock, so the test's begins there.
    clock = ManualClock()
    clock.time = datetime.now(UTC)
    return clock


@pytest.fixture
async def idle(
    authority: DevelopmentAuthority,
    database_url: Callable[[str], str],
    tmp_path: Path,
    clock: ManualClock,
    connect: Callable[..., grpc.aio.Channel],
) -> AsyncIterator[Security]:
    """Security before it was started, for tests that choose its settings."""
    async with AsyncExitStack() as stack:
        yield Security(
            authority=authority,
            database_url=database_url("services.security"),
            folder=tmp_path,
            clock=clock,
            connect=connect,
            stack=stack,
        )


@pytest.fixture
async def security(idle: Security) -> Security:
    """Security with a first operator."""
    return await idle.start(**first_operator(idle.folder))
