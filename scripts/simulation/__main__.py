"""Puts the ledger through seeded traffic and faults, or through kill -9: `scripts/simulate`."""

import asyncio
import secrets
import tempfile
from pathlib import Path
from typing import Annotated, Literal
from uuid import uuid4

import typer

from scripts.simulation.killing import kill_again_and_again
from scripts.simulation.simulation import Simulation
from services.kit import logs, migrations
from tests.kit.postgres import shared_server

app = typer.Typer(add_completion=False)

Engine = Literal["sqlite", "postgresql"]


@app.command()
def simulate(
    seed: Annotated[int | None, typer.Option(help="Repeats a run; default: a new one.")] = None,
    minutes: Annotated[float, typer.Option(min=0.01, max=1440, help="How long.")] = 1.0,
    engine: Annotated[Engine, typer.Option(help="On which database.")] = "sqlite",
    kill: Annotated[
        int, typer.Option(min=0, help="Instead: kill -9 the ledger's process so many times.")
    ] = 0,
) -> None:
    """Runs callers, faults, clock jumps and restarts against the ledger and its model.

    Exit code 1, and a report of the first divergence, if the two ever differ.
    """
    # What the ledger says of the faults that are put into it is not news.
    logs.configure(service="wallet", level="critical")
    chosen = secrets.randbelow(2**31) if seed is None else seed
    typer.echo(f"seed {chosen}")
    with tempfile.TemporaryDirectory(prefix="croupier-simulation-") as folder:
        url = _database(engine, Path(folder))
        asyncio.run(migrations.upgrade(url, "services.wallet"))
        try:
            if kill:
                run = kill_again_and_again(
                    url,
                    seed=chosen,
                    engine=engine,
                    kills=kill,
                    folder=Path(folder),
                    tell=typer.echo,
                )
                report: object = asyncio.run(run)
            else:
                simulation = Simulation(url, seed=chosen, engine=engine)
                report = asyncio.run(
                    simulation.run(
                        until=lambda report: report.seconds > minutes * 60, tell=typer.echo
                    )
                )
        except AssertionError as error:
            typer.echo(f"DIVERGENCE: {error}", err=True)
            raise typer.Exit(1) from None
        typer.echo(str(report))


def _database(engine: Engine, folder: Path) -> str:
    if engine == "postgresql":
        return shared_server().create_database(f"s{uuid4().hex}")
    return f"sqlite+aiosqlite:///{folder / 'wallet.db'}"


if __name__ == "__main__":
    app(prog_name="./scripts/simulate")
