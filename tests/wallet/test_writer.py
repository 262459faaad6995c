"""The writer under faults: rivals, lost connections, poisoned operations."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from services.kit.database import Database
from services.kit.errors import InternalError, UnavailableError
from services.kit.ids import new_id
from services.wallet.domain import (
    Answer,
    Bet,
    Deposit,
    Key,
    Micros,
    OpenWallet,
    Operation,
    Outcome,
    PlayerId,
    Win,
)
from services.wallet.domain.planner import Unit, submission_of
from services.wallet.service import WalletService
from services.wallet.store import ExponentChangedError, LeaseTakenError, UnsafeSettingsError
from services.wallet.writer import BatchReport, WriterOptions, WriterState
from tests.conftest import Templates
from tests.kit.clock import ManualClock
from tests.kit.postgres import shared_server
from tests.wallet.audit import Audit
from tests.wallet.faults import FaultySession, release_lease

PLAYER = PlayerId(bytes(15) + b"\x01")
PATIENCE_S = 20
IMPATIENT = WriterOptions(lease_wait=timedelta(0))


def common(id_: str | None = None, source: str = "studio") -> dict[str, Any]:
    key = Key("t", source, id_ if id_ is not None else new_id())
    return {"key": key, "player_id": PLAYER, "currency_code": "EUR"}


@asynccontextmanager
async def ledger(url: str, clock: ManualClock, **options: Any) -> AsyncIterator[WalletService]:
    service = WalletService(url, clock, **options)
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


async def open_with(service: WalletService, amount: int) -> None:
    await service.submit(OpenWallet(**common(source="player")))
    await service.submit(Deposit(amount=amount, **common(source="psp")))


async def cash(service: WalletService) -> int:
    return (await service.get_balance(PLAYER, "EUR")).cash


async def deposition(service: WalletService) -> None:
    """Waits until the writer has noticed that it is not the shard's any more."""
    async with asyncio.timeout(PATIENCE_S):
        while service.state is not WriterState.DEPOSED:  # noqa: ASYNC110 (nobody is told)
            await asyncio.sleep(0.01)


def unchecked(service: WalletService, operation: Operation) -> Unit:
    """Skips the check of form, which would keep the poison out."""
    return Unit((submission_of(operation, service._writer.policies),))


# Rivals.


async def test_a_second_writer_does_not_start_beside_the_first(
    wallet_url: str, clock: ManualClock
) -> None:
    async with ledger(wallet_url, clock):
        rival = WalletService(wallet_url, clock, options=IMPATIENT)
        with pytest.raises(LeaseTakenError):
            await rival.start()
        await rival.stop()


async def test_a_second_writer_starts_when_the_first_has_stopped(
    wallet_url: str, clock: ManualClock
) -> None:
    options = WriterOptions(lease_wait=timedelta(seconds=PATIENCE_S))
    first = WalletService(wallet_url, clock)
    await first.start()
    second = WalletService(wallet_url, clock, options=options)
    starting = asyncio.ensure_future(second.start())
    await open_with(first, 100)
    await first.stop()
    await starting
    assert await cash(second) == 100
    await second.stop()


async def test_a_deposed_writer_commits_nothing_and_stops(
    wallet_url: str, clock: ManualClock
) -> None:
    deposed = WalletService(wallet_url, clock)
    await deposed.start()
    await open_with(deposed, 100)
    await release_lease(deposed._writer._store._session)
    async with ledger(wallet_url, clock, options=IMPATIENT) as heir:
        with capture_logs() as logged:
            with pytest.raises(UnavailableError):
                await deposed.submit(Bet(amount=60, **common("b-1")))
            await deposition(deposed)
        assert {"event": "ledger deposed", "shard": 0, "log_level": "error"} in logged
        assert await cash(heir) == 100
        assert (await heir.submit(Bet(amount=60, **common("b-1")))).replayed is False
    await deposed.stop()
    (await Audit.read(wallet_url)).check()


async def test_the_loop_goes_on_while_the_writer_waits_for_another_transaction(
    wallet_url: str, clock: ManualClock
) -> None:
    database = Database(wallet_url, schema="wallet")
    async with ledger(wallet_url, clock) as service:
        await open_with(service, 100)
        async with database.transaction() as connection:
            await connection.execute(text("UPDATE shard SET incarnation = incarnation"))
            waiting = asyncio.ensure_future(service.submit(Bet(amount=10, **common())))
            ticks = 0
            while ticks < 20:
                await asyncio.sleep(0.001)
                ticks += 1
            assert not waiting.done()
        answer = await asyncio.wait_for(waiting, PATIENCE_S)
        assert answer.result.outcome is Outcome.APPLIED
    await database.close()


# Lost connections.


@pytest.mark.parametrize(
    "faults",
    [
        ["commit lost"],
        ["answer lost"],
        ["commit lost", "answer lost"],
        ["fence_shard"],
        ["insert_transfer"],
        ["insert_entry", "commit lost"],
        ["seal_shard"],
    ],
    ids=" then ".join,
)
async def test_whatever_is_lost_each_operation_has_its_effect_once(
    wallet_url: str, clock: ManualClock, faults: list[str]
) -> None:
    session = FaultySession(wallet_url)
    async with ledger(wallet_url, clock, session=session) as service:
        await open_with(service, 100)
        session.faults = list(faults)
        bets = [Bet(amount=10, **common(f"b-{n}")) for n in range(3)]
        answers = await asyncio.wait_for(asyncio.gather(*map(service.submit, bets)), PATIENCE_S)
        assert session.faults == []
        assert session.opened == 1 + len(faults)
        assert {each.result.outcome for each in answers} == {Outcome.APPLIED}
        assert await cash(service) == 70
        again = [await service.submit(each) for each in bets]
        assert [each.result for each in again] == [each.result for each in answers]
    (await Audit.read(wallet_url)).check()


async def test_a_lease_that_is_let_go_late_costs_no_try(
    wallet_url: str, clock: ManualClock
) -> None:
    session = FaultySession(wallet_url)
    async with ledger(wallet_url, clock, session=session) as service:
        await open_with(service, 100)
        session.faults = ["insert_entry", *["lease taken"] * 6, "commit lost", "lease taken"]
        answer = await asyncio.wait_for(service.submit(Bet(amount=10, **common())), PATIENCE_S)
        assert session.faults == []
        assert answer.result.outcome is Outcome.APPLIED
        assert await cash(service) == 90
    (await Audit.read(wallet_url)).check()


async def test_a_connection_that_keeps_failing_is_told_as_unavailable(
    wallet_url: str, clock: ManualClock
) -> None:
    session = FaultySession(wallet_url)
    async with ledger(wallet_url, clock, session=session) as service:
        await open_with(service, 100)
        session.faults = ["insert_entry"] * 3
        with pytest.raises(UnavailableError):
            await service.submit(Bet(amount=10, **common("b-1")))
        answer = await service.submit(Bet(amount=10, **common("b-1")))
        assert not answer.replayed
        assert await cash(service) == 90
    (await Audit.read(wallet_url)).check()


@pytest.mark.parametrize("fault", ["commit lost", "insert_entry"])
@pytest.mark.parametrize("wait", [timedelta(0), timedelta(seconds=2)], ids=str)
async def test_a_writer_that_loses_its_connection_to_a_rival_stops(
    wallet_url: str, clock: ManualClock, wait: timedelta, fault: str
) -> None:
    session = FaultySession(wallet_url)
    options = WriterOptions(lease_wait=wait)
    deposed = WalletService(wallet_url, clock, session=session, options=options)
    await deposed.start()
    await open_with(deposed, 100)
    heir = WalletService(wallet_url, clock)
    session.meanwhile = heir.start
    session.faults = [fault]
    with pytest.raises(UnavailableError):
        await deposed.submit(Bet(amount=60, **common("b-1")))
    await deposition(deposed)
    assert await cash(heir) == 100
    await heir.stop()
    await deposed.stop()
    (await Audit.read(wallet_url)).check()


@pytest.mark.postgresql
async def test_a_backend_that_is_killed_is_replaced(
    templates: Templates, clock: ManualClock
) -> None:
    wallet_url = templates.copy("services.wallet", "postgresql")
    database = Database(wallet_url, schema="wallet")
    async with ledger(wallet_url, clock) as service:
        await open_with(service, 100)
        for _ in range(3):
            async with database.snapshot() as connection:
                await connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE application_name = 'croupier-wallet-writer'"
                        " AND datname = current_database()"
                    )
                )
            answer = await service.submit(Bet(amount=10, **common()))
            assert answer.result.outcome is Outcome.APPLIED
        assert await cash(service) == 70
    await database.close()
    (await Audit.read(wallet_url)).check()


async def test_a_listener_that_fails_undoes_nothing(wallet_url: str, clock: ManualClock) -> None:
    def listen(report: BatchReport) -> None:
        raise RuntimeError(report.operations)

    async with ledger(wallet_url, clock, on_batch=listen) as service:
        await open_with(service, 100)
        answer = await service.submit(Bet(amount=10, trace=object(), **common()))
        assert answer.result.outcome is Outcome.APPLIED
        assert await cash(service) == 90


async def test_those_who_have_arrived_share_a_commit(wallet_url: str, clock: ManualClock) -> None:
    sizes: list[int] = []

    async with ledger(
        wallet_url, clock, on_batch=lambda report: sizes.append(report.operations)
    ) as service:
        await open_with(service, 100)

        async def arrive(turns: int) -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            await service.submit(Bet(amount=1, trace=object(), **common()))

        await asyncio.gather(*map(arrive, (0, 0, 3, 6, 9, 12)))
    assert sizes == [6]


# Poison.


async def test_one_operation_that_cannot_be_written_fails_alone(
    wallet_url: str, clock: ManualClock
) -> None:
    async with ledger(wallet_url, clock) as service:
        await open_with(service, 1000)
        poison = Bet(amount=1, effective_time=Micros(2**70), **common("poison"))
        units = [
            unchecked(service, poison if n == 100 else Bet(amount=1, **common(f"b-{n}")))
            for n in range(256)
        ]
        futures = service._writer.submit_all(units)
        answers = await asyncio.wait_for(
            asyncio.gather(*futures, return_exceptions=True), PATIENCE_S
        )
        failed = [n for n, each in enumerate(answers) if isinstance(each, BaseException)]
        assert failed == [100]
        assert isinstance(answers[100], InternalError)
        assert await cash(service) == 1000 - 255
        with pytest.raises(InternalError):
            await service.submit(Bet(amount=1, **common("poison")))
    async with ledger(wallet_url, clock) as service:
        good = await service.submit(Bet(amount=1, **common("poison")))
        assert good.result.outcome is Outcome.APPLIED
    (await Audit.read(wallet_url)).check()


async def test_a_key_in_quarantine_harms_no_other_of_its_batch(
    wallet_url: str, clock: ManualClock
) -> None:
    async with ledger(wallet_url, clock) as service:
        await open_with(service, 10)
        poison = Bet(amount=1, effective_time=Micros(2**70), **common("poison"))
        with pytest.raises(InternalError):
            await service._writer.submit(unchecked(service, poison))
        batch = [Bet(amount=1, **common(each)) for each in ("before", "poison", "after")]
        before, barred, after = await service.submit_batch(batch)
        assert isinstance(barred, InternalError)
        for answer in (before, after):
            assert isinstance(answer, Answer)
            assert answer.result.outcome is Outcome.APPLIED


async def test_a_quarantine_ends(wallet_url: str, clock: ManualClock) -> None:
    options = WriterOptions(quarantine=timedelta(0))
    async with ledger(wallet_url, clock, options=options) as service:
        await open_with(service, 10)
        poison = Bet(amount=1, effective_time=Micros(2**70), **common("poison"))
        with pytest.raises(InternalError):
            await service._writer.submit(unchecked(service, poison))
        good = await service.submit(Bet(amount=1, **common("poison")))
        assert good.result.outcome is Outcome.APPLIED


async def test_an_operation_whose_row_is_there_already_fails_alone(
    wallet_url: str, clock: ManualClock
) -> None:
    """As if it had lost a race, but one that no second look ends."""
    database = Database(wallet_url, schema="wallet")
    struck = PlayerId(bytes(15) + b"\x02")
    async with ledger(wallet_url, clock) as service:
        await open_with(service, 1000)
        theirs = {**common(source="psp"), "player_id": struck}
        await service.submit(OpenWallet(**{**theirs, "key": Key("t", "player", "o")}))
        deposit = await service.submit(Deposit(amount=100, **theirs))
        async with database.transaction() as connection:
            # The next entry of one account, though no transfer has made it.
            await connection.execute(
                text(
                    "INSERT INTO entry SELECT entry.shard, 1000000, entry.leg, entry.account_id,"
                    " entry.account_version + 1, entry.debit_posted, entry.credit_posted,"
                    " entry.debit_pending, entry.credit_pending, entry.balance_after"
                    " FROM entry JOIN account ON account.account_id = entry.account_id"
                    " WHERE entry.seq = :seq AND account.player_id IS NOT NULL"
                ),
                {"seq": deposit.result.seq},
            )
        bets = [Bet(amount=1, **common(f"b-{n}")) for n in range(64)]
        bets[40] = Bet(amount=1, **{**common("b-40"), "player_id": struck})
        answers = await asyncio.wait_for(service.submit_batch(bets), PATIENCE_S)
        failed = [n for n, each in enumerate(answers) if isinstance(each, BaseException)]
        assert failed == [40]
        assert isinstance(answers[40], InternalError)
        assert await cash(service) == 1000 - 63
        with pytest.raises(InternalError):
            await service.submit(Bet(amount=1, **common("b-40")))
        assert service.state is WriterState.SERVING
    await database.close()


async def test_a_row_that_appeared_meanwhile_is_found_by_the_second_look(
    wallet_url: str, clock: ManualClock
) -> None:
    database = Database(wallet_url, schema="wallet")
    async with ledger(wallet_url, clock) as service:
        await open_with(service, 100)
        async with database.transaction() as connection:
            # Another writer of the future, whose shard shares the table.
            await connection.execute(
                text(
                    "INSERT INTO account SELECT 1, shard, player_id, 9, 'studio', currency_code,"
                    " bucket, 0, 0, 0, 0, floor, 0 FROM account WHERE house_kind = 8"
                )
            )
        answer = await service.submit(Bet(amount=10, **common()))
        assert answer.result.outcome is Outcome.APPLIED
    await database.close()


# What must not be.


async def test_a_currency_whose_exponent_changed_stops_the_start(
    wallet_url: str, clock: ManualClock
) -> None:
    database = Database(wallet_url, schema="wallet")
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE currency SET exponent = 3 WHERE code = 'EUR'"))
    service = WalletService(wallet_url, clock)
    with pytest.raises(ExponentChangedError, match="EUR"):
        await service.start()
    await service.stop()
    await database.close()


async def test_a_currency_that_the_database_does_not_know_is_added(
    wallet_url: str, clock: ManualClock
) -> None:
    database = Database(wallet_url, schema="wallet")
    async with database.transaction() as connection:
        await connection.execute(text("DELETE FROM currency WHERE code = 'EUR'"))
    async with ledger(wallet_url, clock) as service:
        await open_with(service, 100)
        assert await cash(service) == 100
    await database.close()


async def test_a_ledger_that_was_changed_behind_its_back_halts(
    wallet_url: str, clock: ManualClock
) -> None:
    database = Database(wallet_url, schema="wallet")
    service = WalletService(wallet_url, clock)
    await service.start()
    await open_with(service, 100)
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE account SET version = version + 7"))
    with capture_logs() as logged, pytest.raises(UnavailableError):
        await service.submit(Bet(amount=10, **common()))
    assert service.state is WriterState.HALTED
    [halted] = [each for each in logged if each["event"] == "ledger halted"]
    assert (halted["shard"], halted["log_level"]) == (0, "critical")
    assert halted["exc_info"] is not None
    with pytest.raises(UnavailableError):
        await service.submit(Win(amount=10, **common()))
    await service.stop()
    await database.close()


@pytest.mark.postgresql
async def test_a_server_that_may_forget_a_commit_is_refused(
    templates: Templates, clock: ManualClock
) -> None:
    wallet_url = templates.copy("services.wallet", "postgresql")
    name = Database(wallet_url, schema="wallet").url.database
    shared_server().execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    service = WalletService(wallet_url, clock)
    with pytest.raises(UnsafeSettingsError, match="synchronous_commit"):
        await service.start()
    await service.stop()
