"""The writer where it cannot know, or cannot go on: it never guesses, and nobody waits for ever."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from services.kit.database import Database
from services.kit.errors import UnavailableError
from services.wallet.domain import Bet, Deposit, Key, OpenWallet, Outcome, PlayerId
from services.wallet.domain.planner import Unit, submission_of
from services.wallet.errors import TransferNotFoundError
from services.wallet.service import WalletService
from services.wallet.store import Balance
from services.wallet.writer import Notifier, Writer, WriterOptions, WriterState
from tests.kit.clock import ManualClock
from tests.wallet.audit import Audit
from tests.wallet.faults import FaultySession

PLAYER = PlayerId(bytes(15) + b"\x01")
PATIENCE_S = 20


def common(id_: str) -> dict[str, Any]:
    return {"key": Key("t", "studio", id_), "player_id": PLAYER, "currency_code": "EUR"}


async def open_with(service: WalletService, amount: int) -> None:
    await service.submit(OpenWallet(**common("open")))
    await service.submit(Deposit(amount=amount, **common("deposit")))


async def outcome_after(url: str, clock: ManualClock, id_: str) -> Outcome | None:
    """Asks the next writer what is recorded under a key."""
    service = WalletService(url, clock)
    await service.start()
    try:
        return (await service.get_transfer(Key("t", "studio", id_))).result.outcome
    except TransferNotFoundError:
        return None
    finally:
        await service.stop()
        (await Audit.read(url)).check()


@pytest.mark.parametrize("fault", ["commit lost", "answer lost", "insert_entry"])
async def test_a_race_lost_while_reconnecting_is_tried_again(
    wallet_url: str, clock: ManualClock, fault: str
) -> None:
    session = FaultySession(wallet_url)
    service = WalletService(wallet_url, clock, session=session)
    await service.start()
    await open_with(service, 100)
    session.faults = [fault, "race at lock", "race at lock"]
    answer = await asyncio.wait_for(service.submit(Bet(amount=10, **common("b"))), PATIENCE_S)
    assert answer.result.outcome is Outcome.APPLIED
    assert session.faults == []
    assert service.state is WriterState.SERVING
    assert (await service.get_balance(PLAYER, "EUR")).cash == 90
    await service.stop()
    assert await outcome_after(wallet_url, clock, "b") is Outcome.APPLIED


@pytest.mark.parametrize(
    ("fault", "stored"), [("commit lost", None), ("answer lost", Outcome.APPLIED)]
)
async def test_an_unexpected_error_while_a_commit_is_in_doubt_halts_the_writer(
    wallet_url: str, clock: ManualClock, fault: str, stored: Outcome | None
) -> None:
    session = FaultySession(wallet_url)
    service = WalletService(wallet_url, clock, session=session)
    await service.start()
    await open_with(service, 100)
    session.faults = [fault, "nonsense at lock"]
    bets = [service.submit(Bet(amount=10, **common(f"b-{number}"))) for number in range(3)]
    ended = await asyncio.wait_for(asyncio.gather(*bets, return_exceptions=True), PATIENCE_S)
    # Not INTERNAL, which would say that nothing is stored.
    assert [type(each) for each in ended] == [UnavailableError] * 3
    assert service.state is WriterState.HALTED
    with pytest.raises(UnavailableError):
        await service.submit(Bet(amount=10, **common("later")))
    await service.stop()
    for number in range(3):
        assert await outcome_after(wallet_url, clock, f"b-{number}") is stored


async def test_an_unexpected_error_while_reconnecting_is_no_operations_fault(
    wallet_url: str, clock: ManualClock
) -> None:
    session = FaultySession(wallet_url)
    service = WalletService(wallet_url, clock, session=session)
    await service.start()
    await open_with(service, 100)
    session.faults = ["insert_entry", "nonsense at lock"]
    with pytest.raises(UnavailableError):
        await asyncio.wait_for(service.submit(Bet(amount=10, **common("b"))), PATIENCE_S)
    assert service.state is WriterState.HALTED
    await service.stop()
    assert await outcome_after(wallet_url, clock, "b") is None


async def test_a_halt_while_a_batch_is_halved_leaves_nobody_waiting(
    wallet_url: str, clock: ManualClock
) -> None:
    session = FaultySession(wallet_url)
    service = WalletService(wallet_url, clock, session=session)
    rival = Database(wallet_url, schema="wallet")
    await service.start()
    await open_with(service, 100)

    async def depose() -> None:
        session.rolled_back = None
        async with rival.transaction() as connection:
            await connection.execute(text("UPDATE shard SET epoch = epoch + 1"))

    # The batch fails whole, and before its first half begins another writer has taken over.
    session.faults = ["refuse insert_transfer"]
    session.rolled_back = depose
    bets = [service.submit(Bet(amount=10, **common(f"b-{number}"))) for number in range(5)]
    ended = await asyncio.wait_for(asyncio.gather(*bets, return_exceptions=True), PATIENCE_S)
    assert session.faults == []
    assert [type(each) for each in ended] == [UnavailableError] * 5
    assert service.state is WriterState.DEPOSED
    await service.stop()
    await rival.close()
    assert await outcome_after(wallet_url, clock, "b-4") is None


class _BrokenNotifier(Notifier):
    """Fails when it is to tell of a commit."""

    def publish(self, last_seq: int, balances: Any) -> None:
        told: list[Balance] = list(balances)
        if told:
            raise ArithmeticError(last_seq)
        super().publish(last_seq, told)


async def test_an_error_after_the_commit_is_never_told_as_not_stored(
    wallet_url: str, clock: ManualClock
) -> None:
    writer = Writer(
        FaultySession(wallet_url),
        shard=0,
        clock=clock,
        notifier=_BrokenNotifier(),
        options=WriterOptions(),
    )
    await writer.start()

    def submit(operation: Any) -> Any:
        return writer.submit(Unit((submission_of(operation, writer.policies),)))

    await submit(OpenWallet(**common("open")))
    paid = submit(Deposit(amount=5, **common("deposit")))
    with pytest.raises(UnavailableError):
        await asyncio.wait_for(paid, PATIENCE_S)
    assert writer.state is WriterState.HALTED
    await writer.stop(timedelta(seconds=PATIENCE_S))
    assert await outcome_after(wallet_url, clock, "deposit") is Outcome.APPLIED
