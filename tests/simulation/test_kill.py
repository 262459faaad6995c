"""A short loop of kill -9 on a real process; `scripts/simulate --kill` runs longer ones."""

from collections.abc import Callable
from pathlib import Path

from scripts.simulation.killing import kill_again_and_again

KILLS = {"sqlite": 15, "postgresql": 8}


async def test_nothing_acknowledged_is_lost_when_the_process_is_killed(
    database_url: Callable[[str], str], engine_name: str, tmp_path: Path
) -> None:
    report = await kill_again_and_again(
        database_url("services.wallet"),
        seed=1,
        engine=engine_name,
        kills=KILLS[engine_name],
        folder=tmp_path,
        tell=lambda _: None,
    )
    assert report.kills == KILLS[engine_name]
    assert report.acknowledged > report.kills
    assert report.retried > 0
