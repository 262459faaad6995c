"""What follows from the ledger: the stream, the history, the figures, the trace."""

from datetime import UTC, datetime, timedelta

from scripts.flow import traces
from scripts.flow.player import CURRENCY, shown, stopwatch
from scripts.flow.step import Step, check
from scripts.flow.steps.bets import STAKE
from scripts.flow.steps.results import WIN
from scripts.flow.world import Activity, World
from scripts.mesh.front_door import Json

STAGE = "Balance update"
_DEPOSIT = 5_000
_EXPECTED_STREAM = [
    0,
    _DEPOSIT,
    _DEPOSIT - STAKE,
    _DEPOSIT - STAKE + WIN,
    _DEPOSIT - 2 * STAKE + WIN,
    _DEPOSIT - STAKE + WIN,
]
_EXPECTED_ACTIVITY = Activity(
    bets=STAKE, wins=WIN, ggr=STAKE - WIN, bet_count=2, rollback_count=1, round_count=1
)
_REPORT_SPAN = timedelta(hours=12)


async def remember_activity(world: World) -> str:
    """Asks Analytics for the game before it is played."""
    world.activity_before = await _activity(world)
    return f"bets {shown(world.activity_before.bets)} so far"


async def see_figures(world: World) -> str:
    """Analytics has counted the round, without what was rolled back."""
    seen = Activity()

    async def look() -> Activity | None:
        nonlocal seen
        seen = await _activity(world) - world.activity_before
        return seen if seen == _EXPECTED_ACTIVITY else None

    await world.eventually(
        look, otherwise=lambda: f"Analytics shows {seen}, not {_EXPECTED_ACTIVITY},"
    )
    took_s = stopwatch() - world.last_movement_at
    check(took_s <= world.figures_within_s, f"only after {took_s:.1f} s")
    return (
        f"bets {shown(seen.bets)}, wins {shown(seen.wins)}, GGR {shown(seen.ggr)},"
        f" {took_s * 1000:.0f} ms after the last movement"
    )


async def see_history(world: World) -> str:
    """The round is in the player's history, complete."""

    async def look() -> Json | None:
        listed = await world.player.expect("GET", "/v1/rounds")
        for found in listed["rounds"]:
            is_it = found["providerRoundId"] == world.round_id
            if is_it and found["state"] == "STATE_COMPLETE":
                return dict(found)
        return None

    found = await world.eventually(look, otherwise=lambda: "the history lacks the round")
    staked, won = int(found["staked"]["minorUnits"]), int(found["won"]["minorUnits"])
    check((staked, won) == (STAKE, WIN), f"staked {shown(staked)}, won {shown(won)}")
    check(int(found["betCount"]) == 2, f"{found['betCount']} bets")  # noqa: PLR2004 (see the steps)
    return f"staked {shown(staked)}, won {shown(won)}, {found['betCount']} bets"


async def see_entries(world: World) -> str:
    """The player's statement adds up to the balance."""
    listed = await world.player.expect("GET", f"/v1/wallet/entries?currency_code={CURRENCY}")
    changes = [int(entry["changeMinorUnits"]) for entry in listed["entries"]]
    check(sum(changes) == world.balance, f"the entries are {changes}")
    return " ".join(f"{change:+d}" for change in reversed(changes) if change)


async def see_stream(world: World) -> str:
    """The stream showed each change, in order."""
    values = world.stream.values
    check(values == _EXPECTED_STREAM, f"it showed {values}, not {_EXPECTED_STREAM}")
    return " → ".join(shown(value) for value in values)


async def see_traces(world: World) -> str:
    """For each bet, one trace leads from the request through every hop to the statement."""
    if not world.mesh.trace_url:
        return f"spans went to {world.mesh.traces_endpoint}: look there"
    trace_ids = {bet.trace_id for bet in world.bets} - {""}
    check(len(trace_ids) == len(world.bets) > 0, "not every bet has a trace of its own")
    paths = [await traces.find_path(world.mesh.trace_url, trace_id) for trace_id in trace_ids]
    return f"each of {len(paths)} bets: {' → '.join(paths[0])}"


async def _activity(world: World) -> Activity:
    operator = await world.operator()
    now = datetime.now(UTC)
    query = {
        "startTime": (now - _REPORT_SPAN).isoformat().replace("+00:00", "Z"),
        "endTime": (now + _REPORT_SPAN).isoformat().replace("+00:00", "Z"),
        "dimensions": "DIMENSION_GAME",
        "gameId": world.game_id,
        "currencyCode": CURRENCY,
    }
    report = await world.door.expect(
        "GET", "/v1/reports/game-activity", token=operator.token, query=query
    )
    for row in report["activities"]:
        return Activity(
            bets=int(row["betsMinorUnits"]),
            wins=int(row["winsMinorUnits"]),
            ggr=int(row["ggrMinorUnits"]),
            bet_count=int(row["betCount"]),
            rollback_count=int(row["rollbackCount"]),
            round_count=int(row["roundCount"]),
        )
    return Activity()


BEFORE = Step("Game session launch", "the operator reads the game's figures", remember_activity)
STEPS = (
    Step(STAGE, "Analytics shows the game's figures", see_figures),
    Step(STAGE, "the balance stream showed each change", see_stream),
    Step(STAGE, "the round is in the player's history", see_history),
    Step(STAGE, "the statement adds up", see_entries),
    Step(STAGE, "one trace connects the hops of each bet", see_traces),
)
