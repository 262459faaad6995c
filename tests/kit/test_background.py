import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

from structlog.testing import capture_logs

from services.kit.background import repeat_in_background, run_in_background
from services.kit.errors import UnavailableError


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


async def test_repeated_steps_take_turns_and_outlive_what_fails() -> None:
    done: list[str] = []
    enough = asyncio.Event()

    async def refuse() -> None:
        done.append("refuse")
        raise UnavailableError(dependency="game")

    async def fail() -> None:
        done.append("fail")
        raise RuntimeError("no")

    async def count() -> int:
        done.append("count")
        if len(done) == 9:
            enough.set()
        return len(done)

    with capture_logs() as logged:
        async with AsyncExitStack() as stack:
            steps = {"tell game": refuse, "rotate keys": fail, "count": count}
            repeat_in_background(steps, stack, every=timedelta(milliseconds=1))
            assert done == []
            await enough.wait()
    assert done[:9] == 3 * ["refuse", "fail", "count"]
    interrupted, failed = logged[:2]
    assert interrupted == {
        "event": "background work interrupted",
        "work": "tell game",
        "error": "game is not available",
        "log_level": "warning",
    }
    assert (failed["event"], failed["work"]) == ("background work failed", "rotate keys")
    assert (failed["log_level"], failed["exc_info"]) == ("error", True)
