"""`scripts/bench mesh`: what an empty call, a bet and a bet through the edge cost the servers."""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from scripts.benchmarks import load
from scripts.benchmarks.load import Round, Target
from scripts.benchmarks.players import BenchPlayer, make_players
from scripts.benchmarks.servers import Served, empty_server
from scripts.benchmarks.table import Row, row_of
from scripts.mesh.console import Screen
from scripts.mesh.description import Description
from scripts.mesh.folder import DataFolder, read_secret
from scripts.mesh.mesh import Mesh
from scripts.mesh.processes import Options

_BET = "croupier.wallet.v1.WalletService/Bet"
_PLACE_BET = "/v1/provider:placeBet"
_AMOUNT = {"currencyCode": "EUR", "minorUnits": "100"}
_WARM_UP_S = 1.0
_SAMPLINGS = {"traces off": 0.0, "traces 1 %": 1.0, "traces 100 %": 100.0}
BASELINE = "empty call, no interceptors"


@dataclass(frozen=True, slots=True)
class Case:
    """A row of the table before it is measured."""

    name: str
    target: Target
    sampled_percent: float


async def measure(*, rounds: int, seconds: float, callers: int) -> list[Row]:
    """Runs every row in turn, `rounds` times over, and returns the medians.

    The rows alternate, so that a slow minute of the machine falls on all of them.
    """
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="croupier-bench-") as folder:
        data = DataFolder(Path(folder) / "data")
        options = Options(sampled_percent=0.0)
        with data.locked():
            async with Mesh(options, data, Screen()).running() as mesh:
                players = await make_players(mesh, callers)
                with (
                    empty_server(
                        "bare", data.authority(), traces_endpoint=mesh.traces_endpoint
                    ) as bare,
                    empty_server(
                        "chain", data.authority(), traces_endpoint=mesh.traces_endpoint
                    ) as chain,
                ):
                    cases = _cases(mesh, data, players, bare=bare, chain=chain)
                    measured = await _run(
                        cases, console, rounds=rounds, seconds=seconds, callers=callers
                    )
    baseline = row_of(BASELINE, measured[BASELINE], baseline_cpu_us=None)
    return [
        row_of(name, each, baseline_cpu_us=baseline.cpu_us_per_call)
        for name, each in measured.items()
    ]


async def _run(
    cases: list[Case], console: Console, *, rounds: int, seconds: float, callers: int
) -> Mapping[str, list[Round]]:
    measured: dict[str, list[Round]] = {case.name: [] for case in cases}
    # Where less than a warm-up is asked for, nobody is after figures.
    for case in cases if seconds >= _WARM_UP_S else []:
        await asyncio.to_thread(
            load.run,
            case.target,
            callers=callers,
            seconds=_WARM_UP_S,
            sampled_percent=case.sampled_percent,
        )
    for number in range(1, rounds + 1):
        for case in cases:
            console.print(f"round {number} of {rounds}: {case.name}", style="dim")
            measured[case.name].append(
                await asyncio.to_thread(
                    load.run,
                    case.target,
                    callers=callers,
                    seconds=seconds,
                    sampled_percent=case.sampled_percent,
                )
            )
    return measured


def _cases(
    mesh: Description,
    data: DataFolder,
    players: Sequence[BenchPlayer],
    *,
    bare: Served,
    chain: Served,
) -> list[Case]:
    game = data.authority().identity("game")
    bets = [
        {"source": "bench", "playerId": player.player_id, "amount": _AMOUNT, "gameId": "bench"}
        for player in players
    ]

    def by_grpc(address: str, *processes: int) -> Target:
        return Target(
            kind="grpc",
            address=address,
            method=_BET,
            bodies=bets,
            processes=processes,
            identity=game,
        )

    api_key = read_secret(data.path / "secrets" / f"{mesh.provider_id}-api-key")
    through_edge = Target(
        kind="json",
        address=mesh.edge_address,
        method=_PLACE_BET,
        bodies=[{"sessionToken": player.session_token, "amount": _AMOUNT} for player in players],
        processes=[mesh.pids[name] for name in ("edge", "game", "wallet")],
        api_key=api_key,
    )
    wallet = by_grpc(f"127.0.0.1:{mesh.ports['wallet']}", mesh.pids["wallet"])
    cases = [Case(BASELINE, by_grpc(bare.address, bare.process), 0.0)]
    for name, target in (
        ("empty call, all interceptors", by_grpc(chain.address, chain.process)),
        ("Wallet bet, unary gRPC", wallet),
        ("bet through Envoy as JSON", through_edge),
    ):
        cases += [
            Case(f"{name}, {sampling}", target, percent) for sampling, percent in _SAMPLINGS.items()
        ]
    return cases
