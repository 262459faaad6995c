"""What `up` prints."""

import re
import shlex
from pathlib import Path

from rich.console import Console
from rich.text import Text

from scripts.mesh.description import Description

_BY_HAND = Path(__file__).with_name("by-hand.txt")
_NAME_WIDTH = 10
_STYLES = ("cyan", "green", "magenta", "yellow", "blue")


class Screen:
    """Lines on standard output, each with the name of the program that it is about."""

    def __init__(self) -> None:
        """Draws colours only where there is a terminal."""
        self.console = Console(highlight=False, soft_wrap=True)

    def report(self, name: str, said: str) -> None:
        """Prints what a program did."""
        style = _STYLES[sum(name.encode()) % len(_STYLES)]
        for line in said.splitlines():
            self.console.print(Text.assemble((name.rjust(_NAME_WIDTH), style), " │ ", line))

    def say(self, said: str, style: str = "") -> None:
        """Prints a line of our own."""
        self.console.print(Text(said, style))

    def say_ready(self, mesh: Description, *, took_s: float, folder: Path) -> None:
        """Prints where everything is."""
        traces = (
            f"{mesh.trace_url}/   or: ./scripts/trace --url {mesh.trace_url} ID"
            if mesh.trace_url
            else f"sent to {mesh.traces_endpoint}"
        )
        rows = (
            ("edge", f"{mesh.edge_url}   JSON, gRPC and grpc-web; verify it with {mesh.authority}"),
            ("traces", traces),
            ("operator", f"{mesh.operator_email}, password in {mesh.operator_password_file}"),
            ("PSP", f"{mesh.psp_url}   the sandbox: pay with 4242 4242 4242 4242"),
            ("provider", f"{mesh.provider_url}   the sandbox: {', '.join(mesh.game_ids)}"),
            ("logs", mesh.logs),
            ("addresses", str(folder / "mesh.json")),
        )
        self.say("")
        self.say(f"Croupier is ready, after {took_s:.1f} s.", "bold green")
        for name, text in rows:
            self.console.print(Text.assemble((name.rjust(_NAME_WIDTH), "bold"), "   ", text))

    def say_commands(self, mesh: Description) -> None:
        """Prints how to begin."""
        self.say("")
        self.say("To play by hand:", "bold")
        for line in commands(mesh):
            self.say(f"  {line}")
        self.say("")
        self.say("Ctrl-C stops everything; what was played stays.", "dim")


def commands(mesh: Description) -> list[str]:
    """Returns shell commands from a registration to an open game."""
    values = {
        "AUTHORITY": shlex.quote(mesh.authority),
        "EDGE": mesh.edge_url,
        "GAME": mesh.game_ids[0],
    }
    # All at once: a folder may well be called EDGE.
    text = re.sub("|".join(values), lambda name: values[name[0]], _BY_HAND.read_text())
    return text.splitlines()
