"""The ledger's time where the machine's clock is set: it neither goes back nor leaps ahead."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from croupier.wallet.v1 import wallet_service_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from scripts.mesh.pki import DevelopmentAuthority
from services.kit.clock import SystemClock, to_micros
from services.kit.errors import UnavailableError
from services.kit.ids import new_id
from services.wallet.domain import (
    Bet,
    Deposit,
    HoldDeposit,
    Key,
    Micros,
    OpenWallet,
    Outcome,
    PlayerId,
)
from services.wallet.service import WalletService
from services.wallet.writer import WriterOptions
from tests.conftest import Connect
from tests.kit.clock import ManualClock
from tests.kit.refusals import refusal
from tests.kit.tokens import TokenIssuer
from tests.wallet.audit import Audit
from tests.wallet.running import running_wallet

PLAYER = PlayerId(bytes(15) + b"\x01")
MOST = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)
STATES = health_pb2.HealthCheckResponse


def common(id_: str | None = None) -> dict[str, Any]:
    key = Key("t", "studio", id_ if id_ is not None else new_id())
    return {"key": key, "player_id": PLAYER, "currency_code": "EUR"}


@asynccontextmanager
async def ledger(url: str, clock: ManualClock) -> AsyncIterator[WalletService]:
    service = WalletService(url, clock, options=WriterOptions(clock_ahead_max=MOST))
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


async def bet(service: WalletService, id_: str | None = None) -> Outcome:
    return (await service.submit(Bet(amount=1, **common(id_)))).result.outcome


async def newest_time(service: WalletService) -> int:
    return (await service.read_log(after_seq=0))[-1].transfer.create_time


@pytest.fixture
async def service(wallet_url: str, clock: ManualClock) -> AsyncIterator[WalletService]:
    async with ledger(wallet_url, clock) as started:
        await started.submit(OpenWallet(**common()))
        await started.submit(Deposit(amount=100, **common()))
        yield started


async def test_a_clock_that_leaps_ahead_is_refused_until_it_is_right_again(
    service: WalletService, clock: ManualClock, wallet_url: str
) -> None:
    due = Micros(to_micros(clock.now() + timedelta(days=1)))
    hold = await service.submit(HoldDeposit(amount=5, expire_time=due, **common()))
    clock.leap(timedelta(days=2))
    with capture_logs() as logged:
        for _ in range(3):
            with pytest.raises(UnavailableError) as refused:
                await bet(service, "b")
            assert refused.value.metadata == {"dependency": "ledger (clock)"}
            with pytest.raises(UnavailableError):
                service.check()
    [said] = [each for each in logged if each["log_level"] == "critical"]
    assert (said["event"], said["ahead"]) == ("clock ran ahead", "2 days, 0:00:00")
    clock.advance(timedelta(minutes=1))
    clock.leap(-timedelta(days=2))
    service.check()
    assert await bet(service, "b") is Outcome.APPLIED
    # Nothing of the leap is left: neither a stamp nor an expiry.
    assert await newest_time(service) == to_micros(clock.now())
    assert (await service.get_balance(PLAYER, "EUR")).pending_in == 5
    assert hold.result.outcome is Outcome.APPLIED
    (await Audit.read(wallet_url)).check()


async def test_a_night_without_a_bet_is_no_leap(service: WalletService, clock: ManualClock) -> None:
    clock.advance(timedelta(hours=9))
    service.check()
    assert await bet(service) is Outcome.APPLIED
    assert await newest_time(service) == to_micros(clock.now())


async def test_steps_of_a_clock_count_together(service: WalletService, clock: ManualClock) -> None:
    for _ in range(2):
        clock.leap(MOST / 2)
        clock.advance(timedelta(hours=3))
        assert await bet(service) is Outcome.APPLIED
    clock.leap(MICROSECOND)
    with pytest.raises(UnavailableError):
        await bet(service)
    clock.leap(-MICROSECOND)
    assert await bet(service) is Outcome.APPLIED


async def test_a_clock_that_was_behind_the_ledger_may_be_set_right(
    service: WalletService, clock: ManualClock, wallet_url: str
) -> None:
    await service.stop()
    clock.leap(-timedelta(days=30))
    async with ledger(wallet_url, clock) as again:
        assert await bet(again) is Outcome.APPLIED
        clock.leap(timedelta(days=30) + MOST)
        assert await bet(again) is Outcome.APPLIED
        clock.leap(MICROSECOND)
        with pytest.raises(UnavailableError):
            await bet(again)


async def test_a_long_rest_is_accepted_at_the_start_and_told(
    service: WalletService, clock: ManualClock, wallet_url: str
) -> None:
    await service.stop()
    # What passed meanwhile, or how the clock was set: nobody can tell any more.
    clock.leap(timedelta(days=3))
    with capture_logs() as logged:
        async with ledger(wallet_url, clock) as again:
            assert await bet(again) is Outcome.APPLIED
            assert await newest_time(again) == to_micros(clock.now())
    assert [(each["event"], each["rested"]) for each in logged] == [
        ("ledger was at rest", "3 days, 0:00:00")
    ]
    clock.advance(MOST)
    with capture_logs() as logged:
        async with ledger(wallet_url, clock):
            pass
    assert logged == []


async def test_a_wallet_whose_clock_leaps_is_not_serving(
    authority: DevelopmentAuthority,
    tokens: TokenIssuer,
    connect: Connect,
    database_url: Callable[[str], str],
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    async with running_wallet(
        authority=authority,
        tokens=tokens,
        connect=connect,
        database_url=database_url,
        folder=tmp_path,
        clock=clock,
        clock_ahead_max=MOST,
    ) as wallet:
        watch = health_pb2_grpc.HealthStub(wallet.connect("edge")).Watch(
            health_pb2.HealthCheckRequest(), timeout=60
        )
        request = wallet_service_pb2.OpenWalletRequest(player_id=new_id(), currency_code="EUR")
        assert (await watch.read()).status == STATES.SERVING
        clock.leap(MOST + MICROSECOND)
        refused = await refusal(wallet.player.OpenWallet(request))
        assert refused.code is grpc.StatusCode.UNAVAILABLE
        assert refused.metadata == {"dependency": "ledger (clock)"}
        assert (await watch.read()).status == STATES.NOT_SERVING
        clock.leap(-MICROSECOND)
        assert (await watch.read()).status == STATES.SERVING
        assert (await wallet.player.OpenWallet(request)).result.seq == 1
        watch.cancel()


def test_elapsed_time_of_the_machine_never_goes_back() -> None:
    clock = SystemClock()
    read = [clock.elapsed() for _ in range(1_000)]
    assert read == sorted(read)
    assert read[0] > timedelta(0)
