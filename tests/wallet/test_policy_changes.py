"""A policy that changes amid traffic and faults: before or after, and never half."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from services.kit.database import Database
from services.kit.errors import InternalError, InvalidRequestError, ServiceError, UnavailableError
from services.wallet.backup import adopt
from services.wallet.domain import (
    Answer,
    Bet,
    Deposit,
    Group,
    Key,
    KeyScope,
    Kind,
    OpenWallet,
    Operation,
    Outcome,
    PlayerId,
    Rollback,
    SetPolicy,
    Stance,
    Win,
    WinShort,
)
from services.wallet.errors import KeyReusedError, TransferNotFoundError
from services.wallet.service import WalletService
from services.wallet.tables import POLICY, TRANSFER
from services.wallet.writer import WriterOptions, WriterState
from tests.kit.clock import ManualClock
from tests.wallet.audit import Audit
from tests.wallet.backups import copied, ignore, lose, restored
from tests.wallet.backups import findings as findings_at
from tests.wallet.faults import FaultySession

PLAYER = PlayerId(bytes(15) + b"\x01")
PATIENCE_S = 20


def key(id_: str, source: str = "studio") -> Key:
    return Key("t", source, id_)


def common(id_: str, source: str = "studio") -> dict[str, Any]:
    return {"key": key(id_, source), "player_id": PLAYER, "currency_code": "EUR"}


def policy(id_: str = "policy", source: str = "studio", **switches: Any) -> SetPolicy:
    return SetPolicy(key=key(id_, "office"), source=source, reason="r", actor="a", **switches)


NAMED_BETS_ONLY = policy(win_without_reference=Stance.REFUSE)
BY_KIND = policy(key_scope=KeyScope.SOURCE_AND_KIND)


def win(id_: str, amount: int = 10, **fields: Any) -> Win:
    return Win(amount=amount, **fields, **common(id_))


@asynccontextmanager
async def ledger(url: str, clock: ManualClock, **options: Any) -> AsyncIterator[WalletService]:
    service = WalletService(url, clock, **options)
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


async def fund(service: WalletService) -> None:
    await service.submit(OpenWallet(**common("open", "player")))
    await service.submit(Deposit(amount=1_000, **common("deposit", "psp")))


async def at_once(service: WalletService, *operations: Operation | Group) -> list[Any]:
    """Lets all be admitted before any of it is planned."""
    return await asyncio.wait_for(service.submit_batch(operations), PATIENCE_S)


async def judges(url: str) -> dict[str, int]:
    """Tells which policy each transfer of the studio names."""
    database = Database(url, schema="wallet")
    wanted = select(TRANSFER.c.key, TRANSFER.c.policy_id).where(TRANSFER.c.source == "studio")
    async with database.snapshot() as connection:
        rows = (await connection.execute(wanted)).all()
    await database.close()
    return {row.key.lstrip(b"\x02\x04\t\n").decode(): row.policy_id for row in rows}


async def versions(url: str) -> list[int]:
    database = Database(url, schema="wallet")
    async with database.snapshot() as connection:
        found = (await connection.scalars(select(POLICY.c.policy_id))).all()
    await database.close()
    return sorted(found)


def outcomes(answers: Sequence[Answer | ServiceError]) -> list[Outcome]:
    assert all(isinstance(each, Answer) for each in answers), answers
    return [each.result.outcome for each in answers if isinstance(each, Answer)]


async def sound(url: str) -> None:
    (await Audit.read(url)).check()
    assert await findings_at(url) == []


# Order.


async def test_a_policy_judges_what_comes_after_it_and_nothing_before(
    wallet_url: str, clock: ManualClock
) -> None:
    async with ledger(wallet_url, clock) as service:
        await fund(service)
        answers = await at_once(
            service,
            win("w-1"),
            win("w-2"),
            NAMED_BETS_ONLY,
            win("w-3"),
            policy("policy-2"),
            win("w-4"),
        )
        assert outcomes(answers) == [
            Outcome.APPLIED,
            Outcome.APPLIED,
            Outcome.APPLIED,
            Outcome.REFERENCE_NOT_FOUND,
            Outcome.APPLIED,
            Outcome.APPLIED,
        ]
        # Each keeps its outcome, whatever judges now.
        again = await at_once(service, win("w-3"), win("w-1"))
        assert outcomes(again) == [Outcome.REFERENCE_NOT_FOUND, Outcome.APPLIED]
    assert await judges(wallet_url) == {"w-1": 1, "w-2": 1, "w-3": 2, "w-4": 3}
    await sound(wallet_url)


async def test_a_hundred_callers_find_one_moment_at_which_it_changed(
    wallet_url: str, clock: ManualClock
) -> None:
    async with ledger(wallet_url, clock, options=WriterOptions(batch_max=7)) as service:
        await fund(service)
        wins = [win(f"w-{number}") for number in range(100)]
        calls = [*wins[:50], NAMED_BETS_ONLY, *wins[50:]]
        answers = await asyncio.gather(*(service.submit(each) for each in calls))
        changed = answers[50].result.seq
        for answer in [*answers[:50], *answers[51:]]:
            judged = answer.result.seq > changed
            expected = Outcome.REFERENCE_NOT_FOUND if judged else Outcome.APPLIED
            assert answer.result.outcome is expected
        assert {each.result.outcome for each in answers[:50]} == {Outcome.APPLIED}
    await sound(wallet_url)


async def test_a_policy_stays_in_force_after_a_restart(wallet_url: str, clock: ManualClock) -> None:
    async with ledger(wallet_url, clock) as service:
        await fund(service)
        first = await service.submit(NAMED_BETS_ONLY)
    async with ledger(wallet_url, clock) as service:
        assert outcomes([await service.submit(win("w"))]) == [Outcome.REFERENCE_NOT_FOUND]
        again = await service.submit(NAMED_BETS_ONLY)
        assert again.replayed
        assert again.result == first.result
        with pytest.raises(KeyReusedError) as caught:
            await service.submit(policy())
        assert caught.value.metadata["fields"] == "win_without_reference"
        second = await service.submit(policy("policy-2"))
        numbers = [
            (each.result.detail["policy_id"], each.result.detail["version"])
            for each in (first, second)
        ]
        assert numbers == [(2, 1), (3, 2)]
    assert await judges(wallet_url) == {"w": 2}


async def test_a_policy_is_set_in_no_group(wallet_url: str, clock: ManualClock) -> None:
    async with ledger(wallet_url, clock) as service:
        with pytest.raises(InvalidRequestError):
            await service.submit_batch([Group((policy("p-1"), policy("p-2")))])
    assert await versions(wallet_url) == [1]


# What was admitted under another policy than it is judged by.


async def test_what_waits_is_named_by_the_scope_that_has_just_begun(
    wallet_url: str, clock: ManualClock
) -> None:
    async with ledger(wallet_url, clock) as service:
        await fund(service)
        bet, won = Bet(amount=100, **common("t-1")), win("t-1", 30, reference="t-1")
        calls = [BY_KIND, bet, won]
        changing = asyncio.gather(
            *(service.submit(each) for each in calls),
            service.get_transfer(key("t-1"), kind=Kind.BET),
            service.get_transfer(key("t-1"), kind=Kind.WIN),
        )
        _, *answers, found_bet, found_win = await asyncio.wait_for(changing, PATIENCE_S)
        assert outcomes(answers) == [Outcome.APPLIED, Outcome.APPLIED]
        # Nobody is told that nothing is recorded of what was sent before.
        assert [found_bet.result, found_win.result] == [each.result for each in answers]
        # And neither is applied twice.
        again = await at_once(service, bet, won)
        assert [each.result for each in again] == [each.result for each in answers]
        assert all(each.replayed for each in again)
        assert (await service.get_balance(PLAYER, "EUR")).cash == 930
    await sound(wallet_url)


async def test_what_waits_of_another_source_is_named_as_it_was(
    wallet_url: str, clock: ManualClock
) -> None:
    async with ledger(wallet_url, clock) as service:
        await fund(service)
        bet = Bet(amount=100, **common("t-1", "other"))
        answers = await at_once(service, BY_KIND, bet)
        assert outcomes(answers) == [Outcome.APPLIED, Outcome.APPLIED]
        assert (await service.submit(bet)).replayed
        with pytest.raises(KeyReusedError):
            await service.submit(Win(amount=1, **common("t-1", "other")))


async def test_a_part_that_waits_is_taken_back_only_if_it_may_be_by_then(
    wallet_url: str, clock: ManualClock
) -> None:
    async with ledger(wallet_url, clock) as service:
        await fund(service)
        await service.submit(Bet(amount=100, **common("b")))
        parts = [Rollback(reference="b", amount=30, **common(f"r-{n}")) for n in range(3)]
        # At its admission it may not yet be, and a batch is admitted whole or not at all.
        with pytest.raises(InvalidRequestError):
            await at_once(service, policy("p-1", partial_rollback=True), parts[0])
        await service.submit(policy("p-1", partial_rollback=True))
        assert outcomes([await service.submit(parts[0])]) == [Outcome.APPLIED]
        answers = await at_once(service, parts[1], policy("p-2"), parts[2])
        assert outcomes(answers[:2]) == [Outcome.APPLIED, Outcome.APPLIED]
        assert isinstance(answers[2], InvalidRequestError)
        assert answers[2].metadata["fields"] == "amount"
        with pytest.raises(TransferNotFoundError):
            await service.get_transfer(key("r-2"))
        # The same key may come again once it is allowed.
        await service.submit(policy("p-3", partial_rollback=True))
        assert outcomes([await service.submit(parts[2])]) == [Outcome.APPLIED]
        assert (await service.get_balance(PLAYER, "EUR")).cash == 990
    await sound(wallet_url)


async def test_the_source_of_its_own_key_has_used_one(wallet_url: str, clock: ManualClock) -> None:
    async with ledger(wallet_url, clock) as service:
        own = policy(source="office", key_scope=KeyScope.SOURCE_AND_KIND)
        first, again = await service.submit(own), await service.submit(own)
        assert first.result.outcome is Outcome.KEY_SCOPE_FIXED
        assert again.replayed


# Faults.


@pytest.mark.parametrize("fault", ["commit lost", "answer lost", "insert_policy", "insert_batch"])
async def test_a_policy_is_set_once_whatever_is_lost(
    wallet_url: str, clock: ManualClock, fault: str
) -> None:
    session = FaultySession(wallet_url)
    async with ledger(wallet_url, clock, session=session) as service:
        await fund(service)
        session.faults = [fault]
        answers = await at_once(service, win("w-1"), NAMED_BETS_ONLY, win("w-2"))
        assert session.faults == []
        expected = [Outcome.APPLIED, Outcome.APPLIED, Outcome.REFERENCE_NOT_FOUND]
        assert outcomes(answers) == expected
        assert (await service.submit(NAMED_BETS_ONLY)).replayed
        assert (await service.submit(policy("policy-2"))).result.detail["policy_id"] == 3
    assert await versions(wallet_url) == [1, 2, 3]
    assert await judges(wallet_url) == {"w-1": 1, "w-2": 2}
    await sound(wallet_url)


async def test_a_policy_that_was_not_committed_judges_nobody(
    wallet_url: str, clock: ManualClock
) -> None:
    session = FaultySession(wallet_url)
    async with ledger(wallet_url, clock, session=session) as service:
        await fund(service)
        session.faults = ["insert_policy"] * 3
        with pytest.raises(UnavailableError):
            await service.submit(NAMED_BETS_ONLY)
        assert outcomes([await service.submit(win("w-1"))]) == [Outcome.APPLIED]
        session.faults = ["refuse insert_policy"]
        with pytest.raises(InternalError):
            await service.submit(NAMED_BETS_ONLY)
        assert outcomes([await service.submit(win("w-2"))]) == [Outcome.APPLIED]
    assert await versions(wallet_url) == [1]
    assert await judges(wallet_url) == {"w-1": 1, "w-2": 1}
    async with ledger(wallet_url, clock) as service:
        assert not (await service.submit(NAMED_BETS_ONLY)).replayed
        assert outcomes([await service.submit(win("w-3"))]) == [Outcome.REFERENCE_NOT_FOUND]
    await sound(wallet_url)


@pytest.mark.parametrize(("fault", "stored"), [("commit lost", [1]), ("answer lost", [1, 2])])
async def test_a_policy_in_doubt_is_there_or_not_for_the_next_writer(
    wallet_url: str, clock: ManualClock, fault: str, stored: list[int]
) -> None:
    session = FaultySession(wallet_url)
    service = WalletService(wallet_url, clock, session=session)
    await service.start()
    await fund(service)
    session.faults = [fault, "nonsense at lock"]
    with pytest.raises(UnavailableError):
        await asyncio.wait_for(service.submit(NAMED_BETS_ONLY), PATIENCE_S)
    assert service.state is WriterState.HALTED
    await service.stop()
    assert await versions(wallet_url) == stored
    async with ledger(wallet_url, clock) as heir:
        judged = outcomes([await heir.submit(win("w"))])
        assert judged == [Outcome.APPLIED if stored == [1] else Outcome.REFERENCE_NOT_FOUND]
        assert (await heir.submit(NAMED_BETS_ONLY)).replayed == (len(stored) > 1)
    await sound(wallet_url)


async def test_a_deposed_writer_sets_no_policy(wallet_url: str, clock: ManualClock) -> None:
    session = FaultySession(wallet_url)
    deposed = WalletService(wallet_url, clock, session=session)
    await deposed.start()
    await fund(deposed)
    rival = Database(wallet_url, schema="wallet")
    async with rival.transaction() as connection:
        await connection.execute(text("UPDATE shard SET epoch = epoch + 1"))
    with pytest.raises(UnavailableError):
        await deposed.submit(NAMED_BETS_ONLY)
    assert deposed.state is WriterState.DEPOSED
    await deposed.stop()
    await rival.close()
    assert await versions(wallet_url) == [1]
    async with ledger(wallet_url, clock) as heir:
        assert outcomes([await heir.submit(win("w"))]) == [Outcome.APPLIED]
        assert not (await heir.submit(NAMED_BETS_ONLY)).replayed
    await sound(wallet_url)


# Copies.


async def test_policies_come_back_with_a_backup(
    wallet_url: str, clock: ManualClock, tmp_path: Path
) -> None:
    debt = policy("p-2", "sports", rollback_win_short=WinShort.DEBT, debt_limit=70)
    async with ledger(wallet_url, clock) as service:
        await fund(service)
        await at_once(service, NAMED_BETS_ONLY, win("w-1"), debt)
    made = await copied(wallet_url, tmp_path)
    lose(wallet_url)
    await restored(made.path, wallet_url)
    async with ledger(wallet_url, clock) as service:
        assert outcomes([await service.submit(win("w-2"))]) == [Outcome.REFERENCE_NOT_FOUND]
        assert (await service.submit(debt)).replayed
        assert (await service.submit(policy("p-3"))).result.detail["policy_id"] == 4
    await sound(wallet_url)
    adopted = await adopt(wallet_url, tell=ignore)
    assert adopted.last_seq == 7
    assert await versions(wallet_url) == [1, 2, 3, 4]
    assert await judges(wallet_url) == {"w-1": 2, "w-2": 2}
