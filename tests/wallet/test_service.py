"""The ledger through its use cases, on real databases."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.kit.errors import (
    DeadlineExceededError,
    InvalidRequestError,
    OverloadedError,
    PageTokenInvalidError,
    ServiceError,
    UnavailableError,
)
from services.kit.ids import new_id
from services.wallet.domain import (
    Answer,
    Bet,
    Bucket,
    Capture,
    Deposit,
    Group,
    HoldDeposit,
    Key,
    Kind,
    LimitKind,
    Micros,
    OpenWallet,
    Outcome,
    Period,
    PlayerId,
    Restriction,
    Rollback,
    Scope,
    SetLimit,
    SetRestriction,
    Win,
    Withdraw,
)
from services.wallet.errors import (
    AccountNotFoundError,
    KeyReusedError,
    PlayerNotFoundError,
    TransferNotFoundError,
)
from services.wallet.service import WalletService
from services.wallet.writer import BatchReport, WriterOptions, WriterState
from tests.kit.clock import ManualClock
from tests.wallet.audit import Audit

PLAYER = PlayerId(bytes(15) + b"\x01")
STRANGER = PlayerId(bytes(15) + b"\x09")
PATIENCE_S = 20


def key(id_: str | None = None, source: str = "studio") -> Key:
    return Key("t", source, id_ if id_ is not None else new_id())


def common(id_: str | None = None, source: str = "studio") -> dict[str, Any]:
    return {"key": key(id_, source), "player_id": PLAYER, "currency_code": "EUR"}


@asynccontextmanager
async def ledger(url: str, clock: ManualClock, **options: Any) -> AsyncIterator[WalletService]:
    service = WalletService(url, clock, **options)
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


@pytest.fixture
async def service(wallet_url: str, clock: ManualClock) -> AsyncIterator[WalletService]:
    async with ledger(wallet_url, clock) as started:
        await started.submit(OpenWallet(**common(source="player")))
        yield started
    (await Audit.read(wallet_url)).check()


async def give(service: WalletService, amount: int) -> None:
    answer = await service.submit(Deposit(amount=amount, **common(source="psp")))
    assert answer.result.outcome is Outcome.APPLIED


async def cash(service: WalletService) -> int:
    return (await service.get_balance(PLAYER, "EUR")).cash


# One at a time.


async def test_a_limit_holds_while_the_clock_stands_still(
    service: WalletService, clock: ManualClock
) -> None:
    await service.submit(Deposit(amount=1000, **common(source="psp")))
    clock.advance(timedelta(hours=-1))
    await service.submit(Bet(amount=100, **common("before")))
    await service.submit(
        SetLimit(
            scope=Scope.PLAYER,
            limit_kind=LimitKind.WAGER,
            period=Period.DAY,
            max_amount=100,
            **common(source="player"),
        )
    )
    await service.submit(Bet(amount=100, **common()))
    clock.advance(timedelta(minutes=1))
    await service.submit(Rollback(reference="before", **common()))
    refused = await service.submit(Bet(amount=100, **common()))
    assert refused.result.outcome is Outcome.LIMIT_REACHED


async def test_a_restriction_keeps_who_wanted_it_and_why_as_it_was_first_told(
    service: WalletService,
) -> None:
    async def details() -> list[dict[str, Any]]:
        log = await service.read_log(after_seq=0)
        restricted = [each.transfer for each in log if each.transfer.kind is Kind.SET_RESTRICTION]
        return [json.loads(each.detail or "") for each in restricted]

    frozen = SetRestriction(
        key=Key("t", "player", "r"),
        player_id=PLAYER,
        scope=Scope.OPERATOR,
        restrictions=Restriction.FROZEN,
    )
    known = replace(frozen, key=Key("t", "player", "s"), actor="ann", reason="責" * 500)
    stranger = replace(known, key=Key("t", "player", "t"), player_id=PlayerId(b"s" * 16))
    words = {"scope": Scope.OPERATOR, "restrictions": Restriction.FROZEN}
    told = words | {"actor": "ann", "reason": "責" * 500}
    first = await service.submit(frozen)
    assert await details() == [words]
    for each in (known, stranger):
        await service.submit(each)
    assert await details() == [words, told, told]
    # Whoever repeats it and tells more, or less, finds what is stored.
    again = await service.submit(replace(frozen, actor="eve", reason="another"))
    assert (again.replayed, again.result) == (True, first.result)
    assert (await service.submit(replace(known, actor="", reason=""))).replayed
    with pytest.raises(KeyReusedError) as reused:
        await service.submit(replace(known, restrictions=Restriction.NO_BET, actor="eve"))
    assert reused.value.metadata["fields"] == "restrictions"
    assert await details() == [words, told, told]


async def test_a_bet_is_in_the_balance_the_entries_and_the_log(service: WalletService) -> None:
    await give(service, 1000)
    bet = Bet(amount=300, round_key="r1", game_id="roulette", trace_id=b"T" * 16, **common("b-1"))
    answer = await service.submit(bet)
    assert answer.result.outcome is Outcome.APPLIED
    balance = await service.get_balance(PLAYER, "EUR")
    assert (balance.cash, balance.seq) == (700, answer.result.seq)
    page = await service.list_entries(PLAYER, "EUR")
    newest = page.lines[0]
    assert (newest.entry.balance_after, newest.round_key) == (700, "r1")
    assert newest.transfer.trace_id == b"T" * 16
    log = await service.read_log(after_seq=0)
    assert [each.transfer.seq for each in log] == [1, 2, 3]
    assert log[-1].round_key == "r1"
    assert len(log[-1].entries) == 2


async def test_a_rollback_before_its_bet_bars_the_bet(service: WalletService) -> None:
    await give(service, 100)
    rollback = await service.submit(Rollback(reference="b-1", **common()))
    assert rollback.result.outcome is Outcome.NOTHING_TO_REVERSE
    late = await service.submit(Bet(amount=60, **common("b-1")))
    assert late.result.outcome is Outcome.TOMBSTONED
    assert await cash(service) == 100


async def test_a_reused_key_is_an_error_that_names_the_fields(service: WalletService) -> None:
    await give(service, 100)
    await service.submit(Bet(amount=60, **common("b-1")))
    with pytest.raises(KeyReusedError) as raised:
        await service.submit(Bet(amount=61, game_id="slots", **common("b-1")))
    assert raised.value.metadata["fields"] == "amount,game_id"
    assert await cash(service) == 40


async def test_a_malformed_operation_is_recorded_nowhere(service: WalletService) -> None:
    with pytest.raises(InvalidRequestError):
        await service.submit(Bet(amount=-1, **common("b-1")))
    with pytest.raises(TransferNotFoundError):
        await service.get_transfer(key("b-1"))


async def test_a_transfer_is_found_by_its_key(service: WalletService) -> None:
    refused = await service.submit(Bet(amount=60, **common("b-1")))
    found = await service.get_transfer(key("b-1"))
    assert found == Answer(refused.result, replayed=True)


async def test_reading_names_what_is_missing(service: WalletService) -> None:
    with pytest.raises(PlayerNotFoundError):
        await service.list_balances(STRANGER)
    with pytest.raises(AccountNotFoundError):
        await service.get_balance(PLAYER, "USD")
    assert (await service.list_entries(STRANGER, "EUR")).lines == []


async def test_an_operation_of_an_unknown_player_is_stored_as_refused(
    service: WalletService,
) -> None:
    bet = Bet(key=key("b-1"), player_id=STRANGER, currency_code="EUR", amount=1)
    assert (await service.submit(bet)).result.outcome is Outcome.PLAYER_NOT_FOUND
    assert (await service.get_transfer(key("b-1"))).result.player_id == STRANGER


# Many at once.


async def test_of_a_hundred_bets_at_once_as_many_are_taken_as_the_balance_covers(
    service: WalletService,
) -> None:
    await give(service, 37 * 10 + 9)
    bets = [Bet(amount=10, **common()) for _ in range(100)]
    answers = await asyncio.gather(*map(service.submit, bets))
    outcomes = [each.result.outcome for each in answers]
    assert outcomes.count(Outcome.APPLIED) == 37
    assert outcomes.count(Outcome.INSUFFICIENT_FUNDS) == 63
    assert await cash(service) == 9


async def test_of_a_hundred_captures_of_one_hold_one_is_taken(service: WalletService) -> None:
    await give(service, 100)
    held = await service.submit(Withdraw(amount=70, **common(source="psp")))
    hold_id = held.result.hold_id
    assert hold_id is not None
    captures = [
        Capture(key=key(source="psp"), player_id=PLAYER, hold_id=hold_id) for _ in range(100)
    ]
    answers = await asyncio.gather(*map(service.submit, captures))
    outcomes = [each.result.outcome for each in answers]
    assert outcomes.count(Outcome.APPLIED) == 1
    assert outcomes.count(Outcome.HOLD_ALREADY_POSTED) == 99
    assert await cash(service) == 30


async def test_of_a_hundred_rollbacks_of_one_bet_one_is_taken(service: WalletService) -> None:
    await give(service, 100)
    await service.submit(Bet(amount=60, **common("b-1")))
    rollbacks = [Rollback(reference="b-1", **common()) for _ in range(100)]
    answers = await asyncio.gather(*map(service.submit, rollbacks))
    outcomes = [each.result.outcome for each in answers]
    assert outcomes.count(Outcome.APPLIED) == 1
    assert outcomes.count(Outcome.ALREADY_REVERSED) == 99
    assert await cash(service) == 100


async def test_one_key_sent_a_hundred_times_at_once_has_one_effect(
    service: WalletService,
) -> None:
    await give(service, 100)
    bet = Bet(amount=60, **common("b-1"))
    answers = await asyncio.gather(*(service.submit(bet) for _ in range(100)))
    assert len({repr(each.result) for each in answers}) == 1
    assert sum(not each.replayed for each in answers) == 1
    assert await cash(service) == 40


async def test_replays_are_the_same_after_a_restart(wallet_url: str, clock: ManualClock) -> None:
    operations = [
        OpenWallet(**common("o", source="player")),
        Deposit(amount=1000, authorization_number="A", **common("d", source="psp")),
        Bet(amount=300, round_key="r", **common("b")),
        Win(amount=500, round_key="r", reference="b", **common("w")),
        Rollback(reference="b", **common("rb")),
        Rollback(reference="unseen", **common("rx")),
        Bet(amount=1, **common("unseen")),
        Bet(amount=10**6, **common("poor")),
        Withdraw(amount=100, **common("wd", source="psp")),
    ]
    async with ledger(wallet_url, clock) as service:
        first = [(await service.submit(each)).result for each in operations]
    clock.advance(timedelta(days=400))
    async with ledger(wallet_url, clock) as service:
        again = [await service.submit(each) for each in operations]
        assert [repr(each.result) for each in again] == [repr(each) for each in first]
        assert await cash(service) == 1400
    (await Audit.read(wallet_url)).check()


# Batches.


async def test_a_batch_answers_each_operation_in_its_place(service: WalletService) -> None:
    await give(service, 100)
    await service.submit(Bet(amount=1, **common("used")))
    answers = await service.submit_batch(
        [
            Bet(amount=60, **common()),
            Group((Bet(amount=30, **common()), Win(amount=5, **common()))),
            Bet(amount=2, **common("used")),
            Group((Bet(amount=99, **common()), Win(amount=5, **common()))),
        ]
    )
    told = [
        each.result.outcome.name if isinstance(each, Answer) else type(each).__name__
        for each in answers
    ]
    assert told == [
        "APPLIED",
        "APPLIED",
        "APPLIED",
        "KeyReusedError",
        "INSUFFICIENT_FUNDS",
        "LINKED_FAILED",
    ]
    assert await cash(service) == 14


async def test_a_batch_of_a_thousand_is_one_too_many_at_1001(service: WalletService) -> None:
    await give(service, 1000)
    bets = [Bet(amount=1, **common()) for _ in range(1001)]
    with pytest.raises(InvalidRequestError):
        await service.submit_batch(bets)
    answers = await service.submit_batch(bets[:1000])
    assert all(
        isinstance(each, Answer) and each.result.outcome is Outcome.APPLIED for each in answers
    )
    assert await cash(service) == 0


# Bounds.


async def test_a_full_queue_turns_bets_away_before_wins(
    wallet_url: str, clock: ManualClock
) -> None:
    options = WriterOptions(queue_max=8, batch_max=1)
    async with ledger(wallet_url, clock, options=options) as service:
        await service.submit(OpenWallet(**common(source="player")))
        bets = [asyncio.ensure_future(service.submit(Bet(amount=0, **common()))) for _ in range(8)]
        wins = [asyncio.ensure_future(service.submit(Win(amount=1, **common()))) for _ in range(4)]
        bet_errors = await asyncio.gather(*bets, return_exceptions=True)
        win_errors = await asyncio.gather(*wins, return_exceptions=True)
        turned_away = [each for each in bet_errors if isinstance(each, OverloadedError)]
        assert len(turned_away) == 2
        assert all(each.retry_after for each in turned_away)
        assert sum(isinstance(each, OverloadedError) for each in win_errors) == 2
        assert await cash(service) == 2


async def test_form_is_checked_before_the_queue_and_the_queue_before_the_key(
    wallet_url: str, clock: ManualClock
) -> None:
    options = WriterOptions(queue_max=1)
    async with ledger(wallet_url, clock, options=options) as service:
        opened = OpenWallet(**common("o", source="player"))
        await service.submit(opened)
        malformed = Bet(amount=-1, **common("b"))
        reused = Bet(amount=1, **common("o", source="player"))
        first = asyncio.ensure_future(service.submit(Bet(amount=0, **common())))
        await asyncio.sleep(0)
        with pytest.raises(InvalidRequestError):
            await service.submit(malformed)
        for known in (opened, reused):
            with pytest.raises(OverloadedError):
                await service.submit(known)
        await first
        await service.stop()
        with pytest.raises(InvalidRequestError):
            await service.submit(malformed)
        for known in (opened, reused):
            with pytest.raises(UnavailableError):
                await service.submit(known)


async def test_what_waits_beyond_its_deadline_is_recorded_nowhere(
    service: WalletService,
) -> None:
    with pytest.raises(DeadlineExceededError):
        await service.submit(Win(amount=5, **common("w-1")), timeout_s=0)
    with pytest.raises(TransferNotFoundError):
        await service.get_transfer(key("w-1"))


async def test_a_caller_that_goes_away_does_not_undo_what_was_admitted(
    service: WalletService,
) -> None:
    await give(service, 100)
    lost = asyncio.ensure_future(service.submit(Bet(amount=10, **common("b-1"))))
    other = asyncio.ensure_future(service.submit(Bet(amount=20, **common("b-2"))))
    await other
    lost.cancel()
    await asyncio.wait({lost})
    answer = await service.get_transfer(key("b-1"))
    assert answer.result.outcome is Outcome.APPLIED


async def test_a_drain_answers_all_that_was_admitted(wallet_url: str, clock: ManualClock) -> None:
    async with ledger(wallet_url, clock) as service:
        await service.submit(OpenWallet(**common(source="player")))
        await give(service, 1000)
        bets = [asyncio.ensure_future(service.submit(Bet(amount=1, **common(f"b{n}"))))
                for n in range(300)]  # fmt: skip
        await asyncio.sleep(0)
        await service.stop()
        answers = await asyncio.gather(*bets)
        assert {each.result.outcome for each in answers} == {Outcome.APPLIED}
        assert service.state is WriterState.STOPPED
        with pytest.raises(UnavailableError):
            await service.submit(Bet(amount=1, **common()))
    async with ledger(wallet_url, clock) as service:
        assert await cash(service) == 700
    (await Audit.read(wallet_url)).check()


# Watching and following.


async def test_a_watch_shows_the_balance_and_each_change(service: WalletService) -> None:
    await give(service, 100)
    async with asyncio.timeout(PATIENCE_S), aclosing(service.watch_balances(PLAYER)) as watch:
        assert (await anext(watch)).cash == 100
        await service.submit(Bet(amount=30, **common()))
        assert (await anext(watch)).cash == 70
        await service.submit(Win(amount=5, **common()))
        assert (await anext(watch)).cash == 75


async def test_a_slow_watcher_misses_what_lies_between(service: WalletService) -> None:
    await give(service, 100)
    async with asyncio.timeout(PATIENCE_S), aclosing(service.watch_balances(PLAYER)) as watch:
        await anext(watch)
        for _ in range(5):
            await service.submit(Bet(amount=10, **common()))
        assert (await anext(watch)).cash == 50


async def test_a_watch_resumes_after_a_seq(service: WalletService) -> None:
    await give(service, 100)
    seen = await service.get_balance(PLAYER, "EUR")
    watch = service.watch_balances(PLAYER, after_seq=seen.seq)
    async with asyncio.timeout(PATIENCE_S), aclosing(watch):
        following = asyncio.ensure_future(anext(watch))
        await asyncio.sleep(0)
        await service.submit(Bet(amount=30, **common()))
        assert (await following).cash == 70


async def test_watching_an_unknown_player_is_an_error(service: WalletService) -> None:
    async with aclosing(service.watch_balances(STRANGER)) as watch:
        with pytest.raises(PlayerNotFoundError):
            await anext(watch)


async def test_a_log_of_another_shard_is_unknown(service: WalletService) -> None:
    assert await service.get_log_head(shard=7) is None


# Entries.


async def test_entries_are_paged_newest_first(service: WalletService) -> None:
    await give(service, 100)
    for _ in range(5):
        await service.submit(Bet(amount=1, **common()))
    versions: list[int] = []
    token = ""
    for _ in range(10):
        page = await service.list_entries(PLAYER, "EUR", page_size=2, token=token)
        versions += [line.entry.account_version for line in page.lines]
        token = page.next_page_token
        if not token:
            break
    assert versions == [6, 5, 4, 3, 2, 1]


async def test_a_page_token_is_good_for_its_own_account_only(service: WalletService) -> None:
    for _ in range(3):
        await give(service, 1)
    page = await service.list_entries(PLAYER, "EUR", page_size=1)
    with pytest.raises(PageTokenInvalidError):
        await service.list_entries(PLAYER, "EUR", bucket=Bucket.BONUS, token=page.next_page_token)


# By itself.


async def test_the_sweep_frees_the_holds_of_an_idle_player(
    wallet_url: str, clock: ManualClock
) -> None:
    options = WriterOptions(sweep_every=timedelta(milliseconds=10))
    async with ledger(wallet_url, clock, options=options) as service:
        await service.submit(OpenWallet(**common(source="player")))
        due = clock.now() + timedelta(hours=1)
        expire_time = Micros(int(due.timestamp()) * 1_000_000)
        hold = HoldDeposit(amount=50, expire_time=expire_time, **common(source="psp"))
        await service.submit(hold)
        async with asyncio.timeout(PATIENCE_S), aclosing(service.watch_balances(PLAYER)) as watch:
            assert (await anext(watch)).pending_in == 50
            clock.advance(timedelta(hours=1))
            assert (await anext(watch)).pending_in == 0
    (await Audit.read(wallet_url)).check()


async def test_time_never_goes_back_in_the_log(wallet_url: str, clock: ManualClock) -> None:
    async with ledger(wallet_url, clock) as service:
        await service.submit(OpenWallet(**common(source="player")))
        await give(service, 100)
        clock.advance(-timedelta(hours=1))
        await service.submit(Bet(amount=1, **common()))
    clock.advance(-timedelta(hours=1))
    async with ledger(wallet_url, clock) as service:
        await service.submit(Bet(amount=1, **common()))
        times = [each.transfer.create_time for each in await service.read_log(after_seq=0)]
    assert times == sorted(times)


# Telemetry.


async def test_a_traced_operation_gets_the_statements_of_its_batch(
    wallet_url: str, clock: ManualClock
) -> None:
    reports: list[BatchReport] = []
    async with ledger(wallet_url, clock, on_batch=reports.append) as service:
        await service.submit(OpenWallet(**common(source="player")))
        await give(service, 100)
        assert reports == []
        trace = object()
        await service.submit(Bet(amount=1, trace=trace, **common()))
    [report] = reports
    assert report.traces == (trace,)
    names = [timing.name for timing in report.timings]
    assert names[0] == "fence_shard"
    assert names[-1] == "commit"
    assert {"insert_transfer", "insert_entry", "update_account"} <= set(names)
    assert all(timing.start_ns <= timing.end_ns for timing in report.timings)
    assert report.operations == 1


async def test_refusals_raised_by_a_group_are_answers(service: WalletService) -> None:
    answers = await service.submit_group(
        Group((Bet(amount=1, **common()), Win(amount=2, **common())))
    )
    assert [each.result.outcome for each in answers] == [
        Outcome.INSUFFICIENT_FUNDS,
        Outcome.LINKED_FAILED,
    ]
    await service.submit(Win(amount=9, **common("w-1")))
    with pytest.raises(ServiceError):
        await service.submit_group(Group((Win(amount=8, **common("w-1")),)))
