"""Faults that ledgers of others have had. Each has its test, through the front door.

Some are proven more broadly elsewhere: `test_decisions.py` (every state of a hold), `test_doubt.py`
and `test_writer.py` (faults at each step of a commit), `test_rebuild.py` and `test_verify.py` (what
history says), `tests/simulation` (all of it at once, against a model).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc
import pytest
from croupier.wallet.v1 import wallet_pb2
from sqlalchemy import func, select

from services.kit.clock import to_micros
from services.kit.database import Database
from services.kit.errors import InternalError
from services.kit.ids import new_id
from services.kit.money import MINOR_UNITS_MAX
from services.wallet.domain import (
    Answer,
    Bet,
    Bucket,
    Capture,
    Deposit,
    HoldDeposit,
    HoldId,
    Key,
    Micros,
    OpenWallet,
    Operation,
    Outcome,
    PlayerId,
    Release,
    Restriction,
    Rollback,
    Scope,
    SetPolicy,
    SetRestriction,
    Win,
    Withdraw,
)
from services.wallet.errors import KeyReusedError, TransferNotFoundError
from services.wallet.service import WalletService
from services.wallet.tables import ACCOUNT, ENTRY, TRANSFER
from services.wallet.writer import WriterOptions
from tests.kit.clock import ManualClock
from tests.kit.refusals import refusal
from tests.kit.tokens import TokenIssuer
from tests.wallet.audit import Audit
from tests.wallet.faults import FaultySession
from tests.wallet.requests import bet, cash, funded_player, rollback
from tests.wallet.running import RunningWallet
from tests.wallet.teller import findings, tamper

PLAYERS = [PlayerId(bytes(15) + bytes((number,))) for number in range(1, 9)]
PLAYER = PLAYERS[0]
PATIENCE_S = 20
SENT = 62


def of(id_: str | None = None, source: str = "studio", **fields: Any) -> dict[str, Any]:
    key = Key("t", source, id_ if id_ is not None else new_id())
    return {"key": key, "player_id": PLAYER, "currency_code": "EUR"} | fields


def on_hold(hold_id: bytes | None) -> dict[str, Any]:
    assert hold_id is not None
    return {"key": Key("t", "psp", new_id()), "player_id": PLAYER, "hold_id": HoldId(hold_id)}


@asynccontextmanager
async def ledger(url: str, clock: ManualClock, **options: Any) -> AsyncIterator[WalletService]:
    service = WalletService(url, clock, **options)
    await service.start()
    try:
        await service.submit(OpenWallet(**of("open")))
        yield service
    finally:
        await service.stop()
    (await Audit.read(url)).check()


@pytest.fixture
async def service(wallet_url: str, clock: ManualClock) -> AsyncIterator[WalletService]:
    async with ledger(wallet_url, clock) as started:
        yield started


async def outcomes(service: WalletService, *operations: Operation) -> list[Outcome]:
    """Sends operations all at once, and tells what each came to."""
    answers = await asyncio.gather(*map(service.submit, operations))
    return [each.result.outcome for each in answers]


async def give(service: WalletService, amount: int) -> None:
    [outcome] = await outcomes(service, Deposit(amount=amount, **of(source="psp")))
    assert outcome is Outcome.APPLIED


async def available(service: WalletService) -> int:
    return (await service.get_balance(PLAYER, "EUR")).cash


async def house(service: WalletService) -> dict[str, int]:
    """Tells the balance of each house account, by its source."""
    async with service.database.snapshot() as connection:
        rows = await connection.execute(select(ACCOUNT).where(ACCOUNT.c.house_kind > 0))
        return {row.source: row.credits_posted - row.debits_posted for row in rows}


# Holds.


async def test_holds_count_as_spent(service: WalletService) -> None:
    """The balance was checked without what was set aside, and spent twice."""
    await give(service, 100)
    held = Withdraw(amount=80, **of(source="psp"))
    bets = [Bet(amount=20, **of()) for _ in range(2)]
    assert sorted(await outcomes(service, held, *bets)) == [
        Outcome.APPLIED,
        Outcome.APPLIED,
        Outcome.INSUFFICIENT_FUNDS,
    ]
    assert await available(service) == 0


async def test_a_hold_that_was_refused_sets_nothing_aside(
    wallet_url: str, clock: ManualClock
) -> None:
    """A hold that was turned down was committed all the same."""
    async with ledger(wallet_url, clock) as service:
        await give(service, 100)
        poor = await service.submit(Withdraw(amount=101, **of(source="psp")))
        block = {"scope": Scope.OPERATOR, "restrictions": Restriction.FROZEN}
        frozen: dict[str, Any] = {"key": Key("t", "office", "f"), "player_id": PLAYER} | block
        await service.submit(SetRestriction(**frozen))
        barred = await service.submit(HoldDeposit(amount=5, **of(source="psp")))
        assert poor.result.outcome is Outcome.INSUFFICIENT_FUNDS
        assert barred.result.outcome is Outcome.PLAYER_RESTRICTED
        assert (poor.result.hold_id, barred.result.hold_id) == (None, None)
    async with ledger(wallet_url, clock) as service:
        balance = await service.get_balance(PLAYER, "EUR")
        assert (balance.cash, balance.pending_out, balance.pending_in) == (100, 0, 0)


async def test_a_hold_is_committed_once(service: WalletService) -> None:
    """Two calls that resolved one hold at the same time both moved money."""
    await give(service, 100)
    held = (await service.submit(Withdraw(amount=70, **of(source="psp")))).result.hold_id
    ends = [Capture(**on_hold(held)), Release(**on_hold(held)), Capture(**on_hold(held))]
    assert await outcomes(service, *ends) == [
        Outcome.APPLIED,
        Outcome.HOLD_ALREADY_POSTED,
        Outcome.HOLD_ALREADY_POSTED,
    ]
    assert await available(service) == 30


@pytest.mark.parametrize(
    "fault", ["update_account", "update_hold", "insert_entry", "seal_shard", "commit lost"]
)
async def test_a_release_is_whole_or_nothing(
    wallet_url: str, clock: ManualClock, fault: str
) -> None:
    """A void that broke off in the middle freed the money and left the hold pending."""
    session = FaultySession(wallet_url)
    async with ledger(wallet_url, clock, session=session) as service:
        await give(service, 100)
        held = (await service.submit(Withdraw(amount=70, **of(source="psp")))).result.hold_id
        release = Release(**on_hold(held))
        session.faults = [fault]
        assert await outcomes(service, release) == [Outcome.APPLIED]
        assert session.faults == []
        assert (await service.submit(release)).replayed
        assert await outcomes(service, Capture(**on_hold(held))) == [Outcome.HOLD_ALREADY_VOIDED]
        balance = await service.get_balance(PLAYER, "EUR")
        assert (balance.cash, balance.pending_out) == (100, 0)


async def test_an_expired_hold_is_shown_no_more(wallet_url: str, clock: ManualClock) -> None:
    """A hold that had timed out stayed in the balance as reserved until somebody touched it."""
    options = WriterOptions(sweep_every=timedelta(milliseconds=10))
    async with ledger(wallet_url, clock, options=options) as service:
        end = Micros(to_micros(clock.now() + timedelta(hours=1)))
        await service.submit(HoldDeposit(amount=50, expire_time=end, **of(source="psp")))
        async with asyncio.timeout(PATIENCE_S), aclosing(service.watch_balances(PLAYER)) as watch:
            while (await anext(watch)).pending_in:
                clock.advance(timedelta(hours=1))


# Refunds, and the second side of a transfer.


async def test_two_refunds_at_once_never_pass_the_original(
    wallet_url: str, clock: ManualClock
) -> None:
    """Two refunds read the same rest of a payment, and together gave back more than it was."""
    policy = SetPolicy(key=Key("t", "office", "policy"), source="studio", partial_rollback=True)
    async with ledger(wallet_url, clock) as service:
        await service.submit(policy)
        await give(service, 100)
        await service.submit(Bet(amount=100, **of("b")))
        refunds = [Rollback(reference="b", amount=60, **of()) for _ in range(2)]
        assert await outcomes(service, *refunds) == [Outcome.APPLIED, Outcome.OVER_REVERSED]
        assert await available(service) == 60


async def test_the_second_account_of_a_transfer_misses_nothing(service: WalletService) -> None:
    """Only the paying account was locked, and the one that was paid lost updates."""
    for player_id in PLAYERS:
        await service.submit(OpenWallet(**of(player_id=player_id)))
        await service.submit(Deposit(amount=100, **of(source="psp", player_id=player_id)))
    bets = [Bet(amount=3, **of(player_id=each)) for each in PLAYERS for _ in range(25)]
    assert set(await outcomes(service, *bets)) == {Outcome.APPLIED}
    assert await house(service) == {"psp": -100 * len(PLAYERS), "studio": 3 * len(bets)}


async def test_bets_and_wins_at_once_lose_no_update(service: WalletService) -> None:
    """A balance was read, changed and written back, over what had been written meanwhile."""
    await give(service, 100)
    mixed: list[Operation] = []
    for _ in range(100):
        mixed += [Bet(amount=1, **of()), Win(amount=2, **of())]
    assert set(await outcomes(service, *mixed)) == {Outcome.APPLIED}
    assert await available(service) == 200


async def test_first_use_of_accounts_without_a_row(service: WalletService) -> None:
    """The first transfers of an account had no row to lock, and made it twice or overdrew it."""
    opens = [OpenWallet(**of(player_id=PLAYERS[1], currency_code="USD")) for _ in range(20)]
    deposits = [
        Deposit(amount=1, **of(source="psp:new", player_id=PLAYERS[1], currency_code="USD"))
        for _ in range(20)
    ]
    assert set(await outcomes(service, *opens, *deposits)) == {Outcome.APPLIED}
    assert (await service.get_balance(PLAYERS[1], "USD")).cash == 20
    assert await house(service) == {"psp:new": -20}


# Keys.


async def test_one_key_twice_in_a_batch_is_one_operation(service: WalletService) -> None:
    """The keys of a batch were looked up before the batch, so its own were not among them."""
    await give(service, 100)
    same = Bet(amount=10, **of("k"))
    other = Bet(amount=11, **of("k"))
    first, again, reused = await service.submit_batch([same, same, other])
    assert isinstance(first, Answer)
    assert isinstance(again, Answer)
    assert isinstance(reused, KeyReusedError)
    assert (first.replayed, again.replayed) == (False, True)
    assert first.result == again.result
    assert await available(service) == 90


async def test_one_key_from_many_callers_at_once_has_one_effect(wallet: RunningWallet,
    tokens: TokenIssuer) -> None:  # fmt: skip
    """The key was looked up, not found, and stored later: two callers passed between the two."""
    player_id = await funded_player(wallet, tokens, 100)
    request = bet(player_id, 60, "k")
    answers = await asyncio.gather(*(wallet.game.Bet(request) for _ in range(50)))
    assert len({each.SerializeToString() for each in answers}) == 1
    assert await cash(wallet, player_id) == 40


async def test_a_conflict_is_an_error_with_a_reason(
    wallet: RunningWallet, tokens: TokenIssuer
) -> None:
    """A key that was used again got an empty answer that looked like a success."""
    player_id = await funded_player(wallet, tokens, 100)
    await wallet.game.Bet(bet(player_id, 60, "k"))
    refused = await refusal(wallet.game.Bet(bet(player_id, 61, "k")))
    assert refused.code is grpc.StatusCode.ALREADY_EXISTS
    assert refused.reason == "ERROR_REASON_KEY_REUSED"
    assert refused.metadata["fields"] == "amount"
    assert await cash(wallet, player_id) == 40


async def test_a_retry_is_answered_as_the_first_try_was(
    wallet: RunningWallet, tokens: TokenIssuer
) -> None:
    """A retry ran into the key that its first try had stored, and was told of a server error."""
    player_id = await funded_player(wallet, tokens, 100)
    applied, poor = bet(player_id, 60, "k"), bet(player_id, 10**6, "poor")
    unseen = rollback(player_id, "never", transaction_id="r")
    first = await wallet.game.Bet(applied)
    nothing = await wallet.game.Rollback(unseen)
    refused = await refusal(wallet.game.Bet(poor))
    for _ in range(3):
        assert await wallet.game.Bet(applied) == first
        assert await wallet.game.Rollback(unseen) == nothing
        assert (await refusal(wallet.game.Bet(poor))).status == refused.status
    assert first.result.outcome == wallet_pb2.OUTCOME_APPLIED


async def test_a_read_of_the_past_pays_nobody_twice(service: WalletService) -> None:
    """A retry was judged by a replica that had not seen the first try yet, and paid again."""
    win = Win(amount=5, **of("w"))
    async with service.database.snapshot() as stale:
        count = select(func.count()).select_from(TRANSFER)
        before = await stale.scalar(count)
        first = await service.submit(win)
        assert await stale.scalar(count) == before
        again = await service.submit(win)
        assert (again.result, again.replayed) == (first.result, True)
        assert (await service.get_transfer(win.key)).result == first.result
    assert await available(service) == 5


# The log.


async def test_no_amount_passes_through_a_float(wallet_url: str, clock: ManualClock) -> None:
    """Amounts were hashed as floats: beyond 2^53 two of them had one hash."""
    most = 10 * MINOR_UNITS_MAX + 1
    async with ledger(wallet_url, clock) as service:
        for _ in range(10):
            await give(service, MINOR_UNITS_MAX)
        await give(service, 1)
        assert await available(service) == most > 2**53
        await service.submit(Bet(amount=MINOR_UNITS_MAX, **of("k")))
        with pytest.raises(KeyReusedError):
            await service.submit(Bet(amount=MINOR_UNITS_MAX - 1, **of("k")))
    database = Database(wallet_url, schema="wallet")
    assert await findings(database) == []
    by_one = f"UPDATE entry SET balance_after = {most - 1} WHERE balance_after = {most}"  # noqa: S608 (numbers)
    await tamper(database, by_one)
    assert "chain" in {each.check for each in await findings(database)}
    await database.close()


async def test_no_balance_changes_without_a_row_in_the_log(service: WalletService) -> None:
    """The log was optional: a balance could be changed and nothing said why."""
    await give(service, 100)
    held = (await service.submit(Withdraw(amount=10, **of(source="psp")))).result.hold_id
    await outcomes(
        service,
        Bet(amount=20, **of("b")),
        Win(amount=5, **of()),
        Rollback(reference="b", **of()),
        Capture(**on_hold(held)),
        Bet(amount=10**6, **of()),
    )
    of_player = ACCOUNT.c.player_id == PLAYER
    changes = func.sum(ENTRY.c.credit_posted - ENTRY.c.debit_posted)
    async with service.database.snapshot() as connection:
        entries = select(func.count(), changes).join(
            ACCOUNT, ACCOUNT.c.account_id == ENTRY.c.account_id
        )
        cash_only = ACCOUNT.c.bucket == int(Bucket.CASH)
        [(number, total)] = await connection.execute(entries.where(of_player, cash_only))
        [row] = await connection.execute(select(ACCOUNT).where(of_player, cash_only))
    assert (int(total), number) == (row.credits_posted - row.debits_posted, row.version)
    assert (int(total), number) == (95, 6)


@pytest.mark.parametrize("fault", ["refuse insert_entry", "refuse update_account"])
async def test_what_was_given_up_is_not_in_the_next_commit(
    wallet_url: str, clock: ManualClock, fault: str
) -> None:
    """A connection went back to its pool in an open transaction, and the next user committed it."""
    session = FaultySession(wallet_url)
    async with ledger(wallet_url, clock, session=session) as service:
        await give(service, 100)
        session.faults = [fault]
        with pytest.raises(InternalError):
            await service.submit(Bet(amount=10, **of("given-up")))
        assert await outcomes(service, Bet(amount=1, **of())) == [Outcome.APPLIED]
        with pytest.raises(TransferNotFoundError):
            await service.get_transfer(Key("t", "studio", "given-up"))
        assert await available(service) == 99


async def test_a_poller_that_asks_for_what_follows_misses_no_late_commit(
    wallet_url: str, clock: ManualClock
) -> None:
    """Numbers were given out before the commit, and a poller had passed those that came late."""
    session = FaultySession(wallet_url)
    async with ledger(wallet_url, clock, session=session) as service:
        await give(service, 1_000)
        session.faults = ["commit lost", "answer lost", "insert_entry"]
        bets = asyncio.gather(*(service.submit(Bet(amount=1, **of())) for _ in range(SENT - 2)))
        seen: list[int] = []
        async with asyncio.timeout(PATIENCE_S):
            while not bets.done() or len(seen) < SENT:
                following = await service.read_log(after_seq=seen[-1] if seen else 0, limit=7)
                seen += [each.transfer.seq for each in following]
                await asyncio.sleep(0)
        assert {each.result.outcome for each in await bets} == {Outcome.APPLIED}
        assert seen == list(range(1, SENT + 1))
