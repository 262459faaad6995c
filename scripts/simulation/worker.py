"""A ledger in a process of its own, to be killed: `python -m scripts.simulation.worker`."""

import asyncio
import contextlib
import signal
import sys
from typing import Annotated

import typer

from scripts.simulation.wire import LINE_MAX, answer_line, parse_operation
from services.kit import logs
from services.kit.clock import SystemClock
from services.kit.errors import ServiceError
from services.wallet.service import WalletService

app = typer.Typer(add_completion=False)


@app.command()
def work(
    database: Annotated[str, typer.Option(help="A migrated ledger.")],
    socket: Annotated[str, typer.Option(help="The path of a Unix socket.")],
) -> None:
    """Serves operations, one JSON object a line, until it is killed or told to stop."""
    # Connections that are lost are a part of the game.
    logs.configure(service="wallet", level="error")
    asyncio.run(_serve(database, socket))


async def _serve(database: str, socket: str) -> None:
    service = WalletService(database, SystemClock())
    await service.start()
    callers: set[asyncio.Task[None]] = set()

    async def call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            callers.add(task)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await _answer_all(service, reader, writer)
        writer.close()

    server = await asyncio.start_unix_server(call, socket, limit=LINE_MAX)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    # Whoever started this process holds the other end, and takes it along when it dies.
    loop.add_reader(sys.stdin.fileno(), stopping.set)
    typer.echo("ready")
    await stopping.wait()
    loop.remove_reader(sys.stdin.fileno())
    server.close()
    await service.stop()
    for task in callers:
        task.cancel()
    await asyncio.gather(*callers, return_exceptions=True)


async def _answer_all(
    service: WalletService, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    while line := await reader.readline():
        try:
            answered = answer_line(await service.submit(parse_operation(line)))
        except ServiceError as error:
            answered = answer_line(error)
        writer.write(answered)
        await writer.drain()


if __name__ == "__main__":
    app()
