import asyncio
from contextlib import AsyncExitStack

from structlog.testing import capture_logs

from services.kit.background import run_in_background


async def test_background_work_runs_until_the_stack_ends_it() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with capture_logs() as logged:
        async with AsyncExitStack() as stack:
            run_in_background(work(), stack, name="work")
            await begun.wait()
            assert not ended.is_set()
    assert ended.is_set()
    assert logged == []


async def test_background_work_that_fails_is_told_at_once() -> None:
    async def work() -> None:
        raise RuntimeError("no")

    with capture_logs() as logged:
        async with AsyncExitStack() as stack:
            task = run_in_background(work(), stack, name="follow wallet/0")
            await asyncio.wait({task})
            [line] = logged
    assert line["log_level"] == "error"
    assert line["event"] == "background work ended"
    assert line["work"] == "follow wallet/0"
    assert isinstance(line["exc_info"], RuntimeError)


async def test_background_work_that_returns_is_told() -> None:
    async def work() -> None:
        return

    with capture_logs() as logged:
        async with AsyncExitStack() as stack:
            await asyncio.wait({run_in_background(work(), stack, name="work")})
    assert [line["event"] for line in logged] == ["background work ended"]
