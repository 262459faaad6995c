"""A short simulation of each of some seeds; `scripts/simulate` runs longer ones."""

from collections.abc import Callable

import pytest

from scripts.simulation.simulation import Simulation

STEPS = {"sqlite": 200, "postgresql": 40}


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_ledger_under_faults_stays_what_the_model_says(
    database_url: Callable[[str], str], engine_name: str, seed: int
) -> None:
    simulation = Simulation(database_url("services.wallet"), seed=seed, engine=engine_name)
    report = await simulation.run(
        until=lambda report: report.steps >= STEPS[engine_name], tell=lambda _: None
    )
    assert report.transfers > STEPS[engine_name] * 5
    assert sum(report.faults.values()) > 0
