"""The ledger in a process that is killed at random moments; callers retry as providers do."""

import asyncio
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.simulation.auditor import Auditor, DivergenceError
from scripts.simulation.wire import LINE_MAX, Told, operation_line, parse_answer
from services.kit.clock import SystemClock
from services.wallet.domain import (
    Bet,
    Capture,
    Deposit,
    HoldId,
    Key,
    OpenWallet,
    Operation,
    Outcome,
    PlayerId,
    Release,
    Rollback,
    Win,
    Withdraw,
)
from services.wallet.domain.result import result_of
from services.wallet.service import WalletService
from tests.simulation.world import TENANT

_ROOT = Path(__file__).resolve().parents[2]
_CALLERS = 12
_START_S = 60.0
_RETRY_S = 0.01
_TRIES_MAX = 20_000
_LIFE_S = (0.0, 0.35)
_KILLED_AT_START = 0.15
_START_LIFE_S = (0.3, 1.2)
_PAGE = 500


@dataclass(slots=True)
class KillReport:
    """What a loop of kills came to."""

    seed: int
    engine: str
    kills: int = 0
    acknowledged: int = 0
    retried: int = 0
    transfers: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        """Renders it for people."""
        return (
            f"seed {self.seed} on {self.engine}: sound after {self.kills} kills in"
            f" {self.seconds:.1f} s; {self.acknowledged} operations acknowledged, {self.retried}"
            f" tries without an answer, {self.transfers} transfers"
        )


class Caller:
    """One provider with a player of its own: it retries each operation until it is answered."""

    def __init__(self, number: int, chance: random.Random, auditor: Auditor, socket: Path) -> None:
        self._number = number
        self._random = chance
        self._auditor = auditor
        self._socket = str(socket)
        self._player = PlayerId((number + 1).to_bytes(16, "big"))
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._holds: list[HoldId] = []
        self.told: dict[Operation, Told] = {}
        self.retried = 0

    async def play(self, stopping: asyncio.Event) -> None:
        """Sends operations until told to stop; the last one is answered too."""
        for operation in self._operations():
            self._auditor.sends(operation)
            told = await self._ask(operation)
            if told.hold_id is not None and isinstance(operation, Withdraw):
                self._holds.append(told.hold_id)
            if self._random.random() < 0.1:  # noqa: PLR2004 (the share of needless retries)
                again = await self._ask(self._random.choice(list(self.told)))
                del again
            if stopping.is_set():
                break
        self._disconnect()

    async def _ask(self, operation: Operation) -> Told:
        for _ in range(_TRIES_MAX):
            with suppress(ConnectionError, FileNotFoundError):
                told = parse_answer(await self._exchange(operation_line(operation)))
                if told is not None:
                    known = self.told.setdefault(operation, told)
                    if known != told:
                        raise DivergenceError(f"a retry of {operation}", expected=known, got=told)
                    return told
            self.retried += 1
            self._disconnect()
            await asyncio.sleep(_RETRY_S)
        raise DivergenceError(operation, expected="an answer", got=f"none in {_TRIES_MAX} tries")

    async def _exchange(self, line: bytes) -> bytes:
        if self._streams is None:
            self._streams = await asyncio.open_unix_connection(self._socket, limit=LINE_MAX)
        reader, writer = self._streams
        writer.write(line)
        await writer.drain()
        answer = await reader.readline()
        if not answer.endswith(b"\n"):
            raise ConnectionResetError
        return answer

    def _disconnect(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    def _operations(self) -> Iterator[Operation]:
        chance, player, count = self._random, self._player, 0

        def key(source: str) -> Key:
            return Key(TENANT, source, f"{source}-{self._number}-{count}")

        yield OpenWallet(key=key("player"), player_id=player, currency_code="EUR")
        bets: list[str] = []
        while True:
            count += 1
            kind = chance.choices(
                [Deposit, Bet, Win, Rollback, Withdraw, Capture], [10, 40, 20, 10, 6, 6]
            )[0]
            amount = chance.randint(1, 100)
            money: dict[str, Any] = {"player_id": player, "currency_code": "EUR"}
            if kind is Bet:
                bets.append(key("studio").id)
                yield Bet(key=key("studio"), amount=amount, round_key=f"r{count // 5}", **money)
            elif kind is Win:
                yield Win(key=key("studio"), amount=amount, round_key=f"r{count // 5}", **money)
            elif kind is Rollback and bets:
                reference = chance.choice([*bets[-5:], f"studio-{self._number}-{count + 2}"])
                yield Rollback(key=key("studio"), reference=reference, **money)
            elif kind is Withdraw:
                yield Withdraw(key=key("psp"), amount=amount, **money)
            elif kind is Capture and self._holds:
                hold_id = chance.choice(self._holds[-3:])
                ending = chance.choice([Capture, Release])
                yield ending(key=key("psp"), player_id=player, hold_id=hold_id)
            else:
                yield Deposit(key=key("psp"), amount=amount, **money)


async def kill_again_and_again(
    url: str, *, seed: int, engine: str, kills: int, folder: Path, tell: Callable[[str], None]
) -> KillReport:
    """Kills the ledger's process, starts it again, and checks everything at the end.

    Args:
        url: A migrated wallet database that nobody else uses.
        seed: Of the traffic and of the moments.
        engine: For the report.
        kills: How many.
        folder: Where the socket goes.
        tell: Told of progress.

    Raises:
        DivergenceError: An acknowledged operation is lost, or another promise is broken.
    """
    began = time.monotonic()
    chance = random.Random(seed)  # noqa: S311 (a seed repeats the traffic)
    auditor, socket, stopping = Auditor(), folder / "ledger.sock", asyncio.Event()
    callers = [
        Caller(number, random.Random(f"{seed}-{number}"), auditor, socket)  # noqa: S311 (as above)
        for number in range(_CALLERS)
    ]
    report = KillReport(seed, engine)
    process = await _start(url, socket)
    playing = [asyncio.create_task(each.play(stopping)) for each in callers]
    try:
        for number in range(1, kills + 1):
            await asyncio.wait(
                playing, timeout=chance.uniform(*_LIFE_S), return_when=asyncio.FIRST_EXCEPTION
            )
            process.kill()
            await process.wait()
            report.kills = number
            _raise_of(playing)
            if chance.random() < _KILLED_AT_START:
                process = await _spawn(url, socket)
                await asyncio.sleep(chance.uniform(*_START_LIFE_S))
                process.kill()
                await process.wait()
            process = await _start(url, socket)
            if number % 10 == 0:
                tell(f"{number} kills, {sum(len(each.told) for each in callers)} acknowledged")
        stopping.set()
        async with asyncio.timeout(_START_S):
            await asyncio.gather(*playing)
    finally:
        for task in playing:
            task.cancel()
        await asyncio.gather(*playing, return_exceptions=True)
        await _stop(process)
    for caller in callers:
        report.retried += caller.retried
        report.acknowledged += len(caller.told)
    report.transfers = await _check(url, auditor, callers)
    report.seconds = time.monotonic() - began
    return report


def _raise_of(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        error = task.exception() if task.done() else None
        if error is not None:
            raise error


async def _check(url: str, auditor: Auditor, callers: list[Caller]) -> int:
    """Holds the log against the model, and every acknowledgement against the log."""
    service = WalletService(url, SystemClock())
    await service.start()
    try:
        await auditor.check(service, whole=True)
        stored: dict[Key, tuple[int, Outcome]] = {}
        last = 0
        while page := await service.read_log(after_seq=last, limit=_PAGE):
            for posting in page:
                result = result_of(posting)
                if result.key in stored:
                    raise DivergenceError(result.key, expected="one transfer", got=result)
                stored[result.key] = (result.seq, result.outcome)
            last = page[-1].transfer.seq
        for caller in callers:
            for operation, told in caller.told.items():
                if stored.get(operation.key) != (told.seq, told.outcome):
                    raise DivergenceError(
                        operation, expected=told, got=stored.get(operation.key, "not stored")
                    )
        return last
    finally:
        await service.stop()


async def _start(url: str, socket: Path) -> asyncio.subprocess.Process:
    process = await _spawn(url, socket)
    if process.stdout is None:
        raise RuntimeError("no pipe to the ledger's process")
    async with asyncio.timeout(_START_S):
        line = await process.stdout.readline()
    if line != b"ready\n":
        raise DivergenceError("the ledger's process", expected="ready", got=line)
    return process


async def _spawn(url: str, socket: Path) -> asyncio.subprocess.Process:
    await asyncio.to_thread(socket.unlink, missing_ok=True)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "scripts.simulation.worker",
        "--database",
        url,
        "--socket",
        str(socket),
        cwd=_ROOT,
        env={"PATH": os.defpath, "PYTHONPATH": f"{_ROOT}:{_ROOT / 'generated'}"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_START_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
