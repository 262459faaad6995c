"""The ledger under load: replays, reversals, overload, and an end in the middle of it.

What runs by default takes seconds; `pytest tests/wallet/test_load.py --load 100` sends a hundred
times as much.
"""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
from croupier.wallet.v1 import (
    posting_service_pb2,
    posting_service_pb2_grpc,
    wallet_pb2,
    wallet_service_pb2_grpc,
)

from scripts.mesh.pki import DevelopmentAuthority
from services.kit.errors import OverloadedError
from services.kit.ids import new_id
from services.wallet.domain import (
    Answer,
    Bet,
    Deposit,
    Key,
    OpenWallet,
    Operation,
    Outcome,
    PlayerId,
    Rollback,
    Win,
)
from services.wallet.domain.values import unpack_key
from services.wallet.service import WalletService
from services.wallet.writer import WriterOptions
from tests.conftest import Connect
from tests.kit.clock import ManualClock
from tests.kit.security import start_keys
from tests.kit.tokens import TokenIssuer
from tests.wallet.audit import Audit
from tests.wallet.requests import (
    bet,
    cash,
    funded_player,
    open_wallet,
    reason_of,
    rollback,
    unit,
    win,
)
from tests.wallet.running import RunningWallet, running_wallet

PLAYERS = [PlayerId(bytes(15) + bytes((number,))) for number in range(1, 9)]
FUNDS = 1_000_000
BATCH = 100
PATIENCE_S = 60
LIVES = 1
CALLS = 400

_Batch = posting_service_pb2.PostBatchRequest


def of(player_id: PlayerId, id_: str | None = None, source: str = "studio") -> dict[str, Any]:
    key = Key("t", source, id_ if id_ is not None else new_id())
    return {"key": key, "player_id": player_id, "currency_code": "EUR"}


async def opened(url: str, clock: ManualClock, **options: Any) -> WalletService:
    service = WalletService(url, clock, **options)
    await service.start()
    for player_id in PLAYERS:
        await service.submit(OpenWallet(**of(player_id)))
        await service.submit(Deposit(amount=FUNDS, **of(player_id, source="psp")))
    return service


async def balances(service: WalletService) -> list[int]:
    return [(await service.get_balance(each, "EUR")).cash for each in PLAYERS]


# Replays.


class Memory:
    """What was sent and what it was answered."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 (a seed repeats the traffic)
        self.first: list[tuple[Any, wallet_pb2.Result]] = []

    async def begin(self, wallet: RunningWallet, players: Sequence[str]) -> None:
        requests: list[Any] = []
        for number in range(20):
            for player_id in players:
                id_ = f"{number}-{player_id[-1]}"
                requests += [
                    bet(player_id, 10, f"b{id_}", round_id=f"r{id_}"),
                    win(player_id, 15, f"w{id_}", round_id=f"r{id_}"),
                    rollback(player_id, f"b{id_}", transaction_id=f"x{id_}"),
                    bet(player_id, 10**9, f"poor{id_}"),
                    win(player_id, 5, f"lost{id_}", reference_transaction_id=f"poor{id_}"),
                    rollback(player_id, f"late{id_}", transaction_id=f"y{id_}"),
                    bet(player_id, 10, f"late{id_}"),
                ]
        for start in range(0, len(requests), BATCH):
            sent = requests[start : start + BATCH]
            answers = await posted(wallet.posting, sent)
            self.first += [(each, told.result) for each, told in zip(sent, answers, strict=True)]

    def choose(self) -> tuple[Any, wallet_pb2.Result, bool]:
        """Picks an operation to send again, as it was or with other content."""
        request, first = self.random.choice(self.first)
        if self.random.random() < 0.7:
            return request, first, True
        other = type(request)()
        other.CopyFrom(request)
        if other.HasField("amount"):
            other.amount.minor_units += 1
        else:
            other.game_id = "other"
        return other, first, False

    async def replay(self, stub: Any, count: int) -> None:
        """Sends operations again and compares each answer."""
        for _ in range(count // BATCH):
            # With repetitions: the same key comes more than once in a batch.
            chosen = [self.choose() for _ in range(BATCH)]
            answers = await posted(stub, [request for request, _, _ in chosen])
            for (_, first, same), told in zip(chosen, answers, strict=True):
                if same or first.outcome == wallet_pb2.OUTCOME_TOMBSTONED:
                    assert told.result == first
                else:
                    assert not told.HasField("result")
                    assert reason_of(told.error).reason == "ERROR_REASON_KEY_REUSED"
                    field = reason_of(told.error).metadata["fields"]
                    assert field in {"amount", "game_id"}


async def posted(stub: Any, requests: Sequence[Any]) -> list[Any]:
    batch = _Batch(units=[unit(each) for each in requests])
    return list((await stub.PostBatch(batch, timeout=PATIENCE_S)).outcomes)


async def test_replays_are_answered_as_the_first_try_was_and_move_nothing(
    authority: DevelopmentAuthority,
    tokens: TokenIssuer,
    connect: Connect,
    database_url: Callable[[str], str],
    tmp_path: Path,
    load: int,
) -> None:
    urls = {name: database_url(name) for name in ("services.wallet", "services.wallet.payments")}
    memory, players = Memory(seed=1), [f"0198c0de-0000-7000-8000-00000000000{n}" for n in range(3)]
    before: list[int] = []
    for life in range(2):
        async with running_wallet(
            authority=authority,
            tokens=tokens,
            connect=connect,
            database_url=urls.__getitem__,
            folder=tmp_path,
        ) as wallet:
            if life == 0:
                for player_id in players:
                    await funded_player(wallet, tokens, FUNDS, player_id=player_id)
                await memory.begin(wallet, players)
                before = [await cash(wallet, each) for each in players]
            # Each over a connection of its own.
            stubs = [
                posting_service_pb2_grpc.PostingServiceStub(wallet.connect("game"))
                for _ in range(4)
            ]
            async with asyncio.TaskGroup() as callers:
                for stub in stubs:
                    callers.create_task(memory.replay(stub, 500 * load))
            assert [await cash(wallet, each) for each in players] == before
    audit = await Audit.read(urls["services.wallet"])
    audit.check()
    tombstones = sum(each.kind.name == "TOMBSTONE" for each in audit.transfers)
    late = sum(request.transaction_id.startswith("late") for request, _ in memory.first)
    assert tombstones == late
    assert len(audit.transfers) == 2 * len(players) + len(memory.first)


# Reversals.


async def test_each_of_many_transfers_is_reversed_once_and_everybody_has_what_they_had(
    wallet_url: str, clock: ManualClock, load: int
) -> None:
    service = await opened(wallet_url, clock)
    chance = random.Random(1)  # noqa: S311 (a seed repeats the traffic)
    sent: list[Bet | Win] = []
    for _ in range(20 * load):
        kinds = chance.choices([Bet, Win], k=BATCH)
        batch = [
            kind(
                amount=chance.randint(0, 40),
                round_key=f"r{chance.randrange(50)}",
                **of(chance.choice(PLAYERS)),
            )
            for kind in kinds
        ]
        assert await outcomes(service, batch) == [Outcome.APPLIED] * BATCH
        sent += batch
    chance.shuffle(sent)
    for start in range(0, len(sent), BATCH):
        originals = sent[start : start + BATCH]
        # Twice at once, under two keys.
        twice = await asyncio.gather(
            *(
                outcomes(
                    service,
                    [Rollback(reference=each.key.id, **of(each.player_id)) for each in originals],
                )
                for _ in range(2)
            )
        )
        assert [set(pair) for pair in zip(*twice, strict=True)] == [
            {Outcome.APPLIED, Outcome.ALREADY_REVERSED}
        ] * len(originals)
    assert await balances(service) == [FUNDS] * len(PLAYERS)
    await service.stop()
    audit = await Audit.read(wallet_url)
    audit.check()
    reversals = [each for each in audit.transfers if each.reversal_no is not None]
    assert len(reversals) == len(sent) == 20 * load * BATCH


async def outcomes(service: WalletService, batch: Sequence[Operation]) -> list[Outcome]:
    answers = await service.submit_batch(batch)
    return [each.result.outcome for each in answers if isinstance(each, Answer)]


# Overload.


async def test_overload_turns_callers_away_and_loses_none_of_them(
    wallet_url: str, clock: ManualClock, load: int
) -> None:
    most = 128
    options = WriterOptions(queue_max=most, batch_max=32)
    service = await opened(wallet_url, clock, options=options)
    depths: list[int] = []
    pauses: list[float] = []

    async def call(number: int) -> None:
        """Sends bets until each is taken, as often as it is told to come back."""
        for count in range(8 * load):
            key = of(PLAYERS[number % len(PLAYERS)], f"{number}-{count}")
            while True:
                depths.append(service._writer.depth)
                try:
                    answer = await service.submit(Bet(amount=1, **key))
                except OverloadedError as error:
                    pause = error.retry_after.total_seconds() if error.retry_after else 0.0
                    pauses.append(pause)
                    await asyncio.sleep(min(pause, 0.05))
                else:
                    assert answer.result.outcome is Outcome.APPLIED
                    break

    async with asyncio.timeout(PATIENCE_S * load), asyncio.TaskGroup() as callers:
        for number in range(4 * most):
            callers.create_task(call(number))
    assert len(pauses) > 0
    assert min(pauses) > 0
    assert max(depths) <= most
    taken = 4 * most * 8 * load // len(PLAYERS)
    assert await balances(service) == [FUNDS - taken] * len(PLAYERS)
    await service.stop()
    (await Audit.read(wallet_url)).check()


# An end in the middle of it.


class Process:
    """The Wallet service in a process of its own, as `python -m services.wallet` starts it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.wallet",
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | self._environment,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )

    async def terminate(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self._process.wait(), PATIENCE_S)

    def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()


async def answered(call: Awaitable[Any]) -> Any:
    """Returns the answer; None if the server has ended, by its own word or gRPC's."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        if error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}:
            return None
        raise


async def free_port() -> int:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = int(server.sockets[0].getsockname()[1])
    server.close()
    await server.wait_closed()
    return port


async def test_sigterm_under_load_loses_nothing_that_was_answered(
    authority: DevelopmentAuthority,
    tokens: TokenIssuer,
    connect: Connect,
    database_url: Callable[[str], str],
    tmp_path: Path,
    load: int,
) -> None:
    identity, port = authority.identity("wallet"), await free_port()
    (tmp_path / "secret").write_text("secret")
    url = database_url("services.wallet")
    player_id, channel = new_id(), connect(port, to="wallet", as_service="game")
    stub = wallet_service_pb2_grpc.WalletServiceStub(channel)
    player = wallet_service_pb2_grpc.WalletServiceStub(
        connect(port, to="wallet", as_service="player")
    )
    async with AsyncExitStack() as stack:
        settings = {
            "listen": f"127.0.0.1:{port}",
            "tls_certificate": identity.certificate,
            "tls_key": identity.key,
            "tls_authority": identity.authority,
            "database_url": url,
            "payments_database_url": database_url("services.wallet.payments"),
            "security_address": await start_keys(authority, tokens, stack),
            "psp_sandbox_url": "https://127.0.0.1:1",
            "psp_sandbox_authority": authority.certificate_path,
            "psp_sandbox_api_key_file": tmp_path / "secret",
            "psp_sandbox_webhook_secret_file": tmp_path / "secret",
            "drain_grace": "PT20S",
        }
        environment = {f"CROUPIER_{name.upper()}": str(each) for name, each in settings.items()}
        process = Process(environment)
        stack.callback(process.kill)
        await process.start()
        ready = open_wallet(player_id)
        await player.OpenWallet(ready, wait_for_ready=True, timeout=PATIENCE_S)
        acknowledged = 0
        for life in range(LIVES * load):
            ids = [f"{life}-{number}" for number in range(CALLS)]
            requests_by_id = {id_: win(player_id, 1, id_) for id_ in ids}
            calls = [
                asyncio.ensure_future(answered(stub.Win(each))) for each in requests_by_id.values()
            ]
            await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            assert await process.terminate() == 0
            answers = dict(zip(requests_by_id, await asyncio.gather(*calls), strict=True))
            stored = {unpack_key(each.key) for each in (await Audit.read(url)).transfers}
            # What was not answered was not recorded either.
            assert {id_ for id_, answer in answers.items() if answer} == stored & set(answers)
            acknowledged += sum(answer is not None for answer in answers.values())
            await process.start()
            for id_, request in requests_by_id.items():
                again = await stub.Win(request, wait_for_ready=True, timeout=PATIENCE_S)
                assert answers[id_] in (None, again)
        assert await process.terminate() == 0
    assert acknowledged > 0
    audit = await Audit.read(url)
    audit.check()
    assert len(audit.transfers) == 1 + LIVES * load * CALLS
