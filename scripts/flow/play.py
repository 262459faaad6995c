"""Plays all steps in order, and prints each with the balance after it."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from scripts.flow import traces
from scripts.flow.player import shown, stopwatch
from scripts.flow.step import Step, StepFailedError
from scripts.flow.steps import STEPS
from scripts.flow.world import World, open_world
from scripts.mesh.description import Description
from scripts.mesh.front_door import UnexpectedReplyError
from scripts.mesh.seed import SeedError
from scripts.sandbox.tracing import Tracing

# Errors whose text says what a reader must know; of others the type matters too.
_TOLD = (StepFailedError, UnexpectedReplyError, SeedError)
_PATIENCE_S = 10.0
_FIGURES_WITHIN_S = 1.0
_NAME_WIDTH = 46
_BALANCE_WIDTH = 12


async def play(
    mesh: Description,
    *,
    steps: Sequence[Step] = STEPS,
    patience_s: float = _PATIENCE_S,
    figures_within_s: float = _FIGURES_WITHIN_S,
    console: Console | None = None,
) -> bool:
    """Plays the steps until one does not hold.

    Args:
        mesh: Where everything is.
        steps: What to play.
        patience_s: How long is waited for what follows from something else.
        figures_within_s: How soon after a movement Analytics must show it.
        console: Where to print.

    Returns:
        Whether every step held.
    """
    out = console or Console(highlight=False, soft_wrap=True)
    tracing = Tracing(traces.FLOW, endpoint=mesh.traces_endpoint)
    stage = ""
    began = stopwatch()
    try:
        async with open_world(
            mesh, patience_s=patience_s, figures_within_s=figures_within_s
        ) as world:
            for step in steps:
                if step.stage != stage:
                    stage = step.stage
                    out.print(Text(f"\n{stage}", "bold"))
                if not await _play_step(step, world, tracing, out):
                    return False
            took_s = stopwatch() - began
            await _draw(world, out)
    finally:
        tracing.close()
    out.print(Text(f"\nAll {len(steps)} steps held, in {took_s:.1f} s.", "bold green"))
    return True


async def _play_step(step: Step, world: World, tracing: Tracing, out: Console) -> bool:
    try:
        with tracing.tracer.start_as_current_span(step.name):
            said = await step.run(world)
    except Exception as error:  # noqa: BLE001 (whatever it is, the step did not hold)
        out.print(Text.assemble(("  ✗ ", "bold red"), (step.name, "red")))
        out.print(Text(f"    {error if isinstance(error, _TOLD) else repr(error)}", "red"))
        out.print(Text(f"\nThe flow failed at: {step.stage}: {step.name}", "bold red"))
        return False
    out.print(
        Text.assemble(
            ("  ✓ ", "green"),
            step.name.ljust(_NAME_WIDTH),
            (shown(world.balance).rjust(_BALANCE_WIDTH), "bold"),
            ("   " + said, "dim"),
        )
    )
    return True


async def _draw(world: World, out: Console) -> None:
    if not world.mesh.trace_url or not world.bets:
        return
    width = out.width if out.is_terminal else None
    out.print(Text("\nThe trace of the first bet", "bold"))
    out.print(await traces.draw(world.mesh.trace_url, world.bets[0].trace_id, width=width))
