"""A mesh on one machine, from its first process to its last."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from scripts.mesh.console import Screen
from scripts.mesh.description import Description
from scripts.mesh.folder import DataFolder
from scripts.mesh.front_door import FrontDoor
from scripts.mesh.journal import Journal
from scripts.mesh.probes import Probes
from scripts.mesh.processes import (
    ACCESS_LOG,
    OPERATOR_EMAIL,
    PROVIDER,
    STEADY_PORTS,
    USUAL_PORTS,
    Options,
    Table,
)
from scripts.mesh.seed import GAMES, seed
from scripts.mesh.supervisor import Supervisor

# Whoever asks programs whether they serve. No contract names it, so it may call nothing else.
_SUPERVISOR = "supervisor"


class Mesh:
    """A mesh that is being started, runs, or is being stopped."""

    def __init__(self, options: Options, folder: DataFolder, screen: Screen) -> None:
        """Takes what the user chose; nothing runs yet."""
        self._options = options
        self._folder = folder
        self._screen = screen
        self._supervisor: Supervisor | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Description]:
        """Starts everything and fills it; stops everything when the block ends.

        Raises:
            PortTakenError: A port that cannot be another one is taken.
            StartFailedError: A program did not become ready.
            SeedError: All run, and cannot be filled.
        """
        began = time.monotonic()
        ports = self._ports()
        identity = self._folder.authority().identity(_SUPERVISOR)
        async with Probes(identity) as probes:
            table = Table(self._options, self._folder, ports, probes)
            programs = table.programs()
            supervisor = self._supervisor = Supervisor(
                programs, logs=self._folder.logs, report=self._screen.report
            )
            self._folder.description.unlink(missing_ok=True)
            try:
                await supervisor.start(self._say_serving)
                await self._seed(table, ports)
                mesh = self._describe(table, ports, supervisor.pids)
                mesh.write(self._folder.description)
                self._screen.say_ready(
                    mesh, took_s=time.monotonic() - began, folder=self._folder.path
                )
                async with self._followed(supervisor):
                    yield mesh
            finally:
                self._folder.description.unlink(missing_ok=True)
                self._screen.say("Draining …", "dim")
                await supervisor.stop()
                self._screen.say("All processes have ended.", "dim")

    @asynccontextmanager
    async def _followed(self, supervisor: Supervisor) -> AsyncIterator[None]:
        """Shows warnings from now on; those of the start only say that others were not there."""
        journal = Journal(
            self._folder.logs, supervisor.names, self._screen.report, silent=[ACCESS_LOG]
        )
        following = asyncio.create_task(journal.run(), name="journal")
        try:
            yield
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            journal.look()

    def kill(self) -> None:
        """Ends all processes at once."""
        if self._supervisor is not None:
            self._supervisor.kill()

    def _ports(self) -> dict[str, int]:
        steady = self._folder.remembered_ports((*STEADY_PORTS, "edge"))
        chosen = self._options.port or steady.get("edge", self._options.default_port)
        fixed = {**steady, "edge": chosen} if chosen else steady
        # A mesh on a free public port is one of several, or a test: it leaves the usual ones alone.
        preferred = USUAL_PORTS if self._options.default_port else {}
        return self._folder.ports(Table.port_names(), fixed=fixed, preferred=preferred)

    def _say_serving(self, name: str, took: str) -> None:
        self._screen.report(name, f"serves, after {took}")

    async def _seed(self, table: Table, ports: dict[str, int]) -> None:
        authority = self._folder.authority().certificate_path
        edge_address = f"127.0.0.1:{ports['edge']}"
        async with FrontDoor(f"https://{edge_address}", authority=authority) as door:
            await seed(
                door,
                edge_address=edge_address,
                authority=authority,
                password_file=table.secrets.operator_password,
                launch_address=f"127.0.0.1:{ports['provider_launch']}",
                api_key_file=table.secrets.provider_api_key,
            )

    def _describe(self, table: Table, ports: dict[str, int], pids: dict[str, int]) -> Description:
        embedded = not self._options.traces_endpoint
        return Description(
            edge_url=f"https://127.0.0.1:{ports['edge']}",
            authority=str(self._folder.authority().certificate_path),
            trace_url=f"http://127.0.0.1:{ports['trace_http']}" if embedded else "",
            traces_endpoint=table.traces_endpoint,
            operator_email=OPERATOR_EMAIL,
            operator_password_file=str(table.secrets.operator_password),
            provider_id=PROVIDER,
            provider_url=f"https://127.0.0.1:{ports['provider_web']}",
            provider_control_key_file=str(table.secrets.provider_control_key),
            psp_url=f"https://127.0.0.1:{ports['psp']}",
            game_ids=tuple(GAMES),
            ports=ports,
            pids=pids,
            logs=str(self._folder.logs),
        )
