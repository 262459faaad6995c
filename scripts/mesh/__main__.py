"""`./scripts/up`: runs the whole mesh on this machine."""

import asyncio
import contextlib
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from scripts.mesh.console import Screen
from scripts.mesh.description import Description
from scripts.mesh.folder import DataFolder, FolderError, PortTakenError
from scripts.mesh.mesh import Mesh
from scripts.mesh.processes import ROOT, Options
from scripts.mesh.seed import SeedError
from scripts.mesh.supervisor import StartFailedError

_DEFAULT_PORT = 8443
_PORT_MAX = 65_535
# So short that the flow can wait for a token to expire instead of making a false one.
_ONCE_TOKEN_LIFE_S = 6.0
_FAILED = 1
_KILLED = 130

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_COLLECTOR = re.compile(r"(http://[A-Za-z0-9.-]+:[0-9]{1,5}/?)?")
_DATABASE = re.compile(r"(postgres(ql)?(\+asyncpg)?://.+)?")

Play = Callable[[Description], Awaitable[bool]]


def _checked(pattern: re.Pattern[str], rule: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise typer.BadParameter(rule)
        return value

    return check


@app.command()
def up(  # noqa: PLR0913, PLR0917 (each is an option of the command, which typer passes by name)
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help="Where databases, keys, certificates and logs are kept. Default: var/, and with "
            "--once a temporary folder.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=_PORT_MAX,
            metavar="N",
            help=f"The public port. Default: that of the last time in DIR, else {_DEFAULT_PORT}; "
            "with 0 or --once a free one. All other ports are free ones, and stay the same in DIR.",
        ),
    ] = None,
    once: Annotated[  # noqa: FBT002 (typer makes an option of it; nobody passes it by position)
        bool,
        typer.Option(
            "--once",
            help="Play the whole flow, from a registration to the trace of a bet, print each "
            "step, and stop. Exits with 0 only if every step held.",
        ),
    ] = False,
    sampling: Annotated[
        float,
        typer.Option(
            min=0, max=100, metavar="PERCENT", help="How many of the traces are recorded."
        ),
    ] = 100.0,
    otlp: Annotated[
        str,
        typer.Option(
            envvar="OTEL_EXPORTER_OTLP_ENDPOINT",
            callback=_checked(_COLLECTOR, "must be http://HOST:PORT, a collector beside the edge"),
            metavar="URL",
            help="Send traces there by OTLP over gRPC, http://HOST:PORT, instead of to the "
            "embedded backend.",
        ),
    ] = "",
    token_life: Annotated[
        float | None,
        typer.Option(
            min=1,
            max=3600,
            metavar="SECONDS",
            help="How long access tokens live. Default: as Security has it, and with --once "
            f"{_ONCE_TOKEN_LIFE_S:g}, so that the flow can wait for one to expire.",
        ),
    ] = None,
    postgres: Annotated[
        str,
        typer.Option(
            callback=_checked(_DATABASE, "must be postgresql://…"),
            metavar="URL",
            help="Keep everything in this PostgreSQL database, postgresql://…, instead of SQLite "
            "files. Each service has a schema of its own there.",
        ),
    ] = "",
) -> None:
    """Runs Croupier on this machine: Envoy, the five services, and sandboxes for what is outside.

    Ctrl-C drains and stops everything; a second Ctrl-C kills it.
    """
    life_s = token_life or (_ONCE_TOKEN_LIFE_S if once else None)
    options = Options(
        port=port or 0,
        default_port=0 if once or port == 0 else _DEFAULT_PORT,
        sampled_percent=sampling,
        traces_endpoint=otlp.rstrip("/"),
        postgres_url=postgres,
        access_token_life=None if life_s is None else timedelta(seconds=life_s),
    )
    screen = Screen()
    temporary = Path(tempfile.mkdtemp(prefix="croupier-")) if once and data is None else None
    try:
        folder = DataFolder(temporary or data or ROOT / "var")
        with folder.locked():
            code = asyncio.run(_run(options, folder, screen, play=_play if once else None))
    except FolderError as error:
        screen.say(str(error), "bold red")
        code = _FAILED
    except PortTakenError as error:
        screen.say(f"{error}; --port chooses the public one", "bold red")
        code = _FAILED
    if temporary is not None:
        if code == 0:
            shutil.rmtree(temporary)
        else:
            screen.say(f"Logs and databases are left in {temporary}.")
    sys.exit(code)


async def _run(options: Options, folder: DataFolder, screen: Screen, *, play: Play | None) -> int:
    mesh = Mesh(options, folder, screen)
    stopping = asyncio.Event()
    killed = False

    def stop() -> None:
        nonlocal killed
        if stopping.is_set():
            killed = True
            screen.say("Killing …", "bold red")
            mesh.kill()
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop)

    async def work() -> int:
        async with mesh.running() as description:
            if play is None:
                screen.say_commands(description)
                await asyncio.Event().wait()
                return 0
            return 0 if await play(description) else _FAILED

    working = asyncio.create_task(work())
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not working.done():
        # The block above ends wherever it is; what it started is stopped on the way out.
        working.cancel()
    code = 0
    try:
        with contextlib.suppress(asyncio.CancelledError):
            code = await working
    except (StartFailedError, SeedError) as error:
        screen.say(str(error), "bold red")
        code = _FAILED
    return _KILLED if killed else code


async def _play(mesh: Description) -> bool:
    """Plays the flow; imported only where it is played, to keep the start short."""
    from scripts.flow.play import play  # noqa: PLC0415 (see above)

    return await play(mesh)


if __name__ == "__main__":
    app(prog_name="./scripts/up")
