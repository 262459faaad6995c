import asyncio
import contextlib
import json
import time
from typing import Any

import grpc
import pytest
from croupier.event.v1 import feed_service_pb2, feed_service_pb2_grpc
from croupier.type.v1 import money_pb2
from croupier.wallet.v1 import (
    back_office_service_pb2,
    wallet_pb2,
    wallet_service_pb2,
    wallet_service_pb2_grpc,
)
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import text

from services.kit.database import Database
from services.kit.ids import new_id
from services.wallet.domain import Bucket, Kind, Outcome, Restriction, RoundState, Scope
from tests.kit.refusals import refusal
from tests.kit.tokens import TokenIssuer
from tests.wallet.requests import bet, cash, deposit, euros, open_wallet, rollback, win
from tests.wallet.running import RunningWallet

REPLAYED = ("croupier-replayed", "1")


@pytest.fixture
async def player_id(wallet: RunningWallet, tokens: TokenIssuer) -> str:
    """A player with 100.00 EUR."""
    player_id = new_id()
    await wallet.player.OpenWallet(open_wallet(player_id))
    await wallet.edge.Deposit(deposit(player_id, 10_000), metadata=tokens.operator("cashier"))
    return player_id


async def test_bet_and_win_move_the_balance(wallet: RunningWallet, player_id: str) -> None:
    taken = (await wallet.game.Bet(bet(player_id, 2_500, "b1"))).result
    assert taken.outcome == wallet_pb2.OUTCOME_APPLIED
    assert taken.round_state == wallet_pb2.ROUND_STATE_OPEN
    assert taken.available_after.cash_minor_units == 7_500
    paid = (
        await wallet.game.Win(
            win(player_id, 4_000, "w1", reference_transaction_id="b1", close_round=True)
        )
    ).result
    assert paid.round_state == wallet_pb2.ROUND_STATE_CLOSED
    assert await cash(wallet, player_id) == 11_500


async def test_replay_is_the_same_answer_byte_for_byte(
    wallet: RunningWallet, player_id: str
) -> None:
    request = bet(player_id, 100, "b1")
    first = await wallet.game.Bet(request)
    call = wallet.game.Bet(request)
    again = await call
    assert again.SerializeToString(deterministic=True) == first.SerializeToString(
        deterministic=True
    )
    assert REPLAYED in tuple(await call.trailing_metadata())
    assert await cash(wallet, player_id) == 9_900


async def test_key_with_other_content_is_refused(wallet: RunningWallet, player_id: str) -> None:
    await wallet.game.Bet(bet(player_id, 100, "b1"))
    refused = await refusal(wallet.game.Bet(bet(player_id, 200, "b1")))
    assert refused.code is grpc.StatusCode.ALREADY_EXISTS
    assert refused.reason == "ERROR_REASON_KEY_REUSED"
    assert refused.metadata == {"source": "acme", "transaction_id": "b1", "fields": "amount"}
    assert await cash(wallet, player_id) == 9_900


async def test_bet_above_the_balance_is_refused_for_ever(
    wallet: RunningWallet, player_id: str, tokens: TokenIssuer
) -> None:
    request = bet(player_id, 10_001, "b1")
    refused = await refusal(wallet.game.Bet(request))
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.reason == "ERROR_REASON_INSUFFICIENT_FUNDS"
    assert refused.metadata["available_minor_units"] == "10000"
    assert refused.metadata["requested_minor_units"] == "10001"
    assert refused.detail(wallet_pb2.Result).outcome == wallet_pb2.OUTCOME_INSUFFICIENT_FUNDS
    await wallet.edge.Deposit(deposit(player_id, 500), metadata=tokens.operator("cashier"))
    again = await refusal(wallet.game.Bet(request))
    assert again.status == refused.status
    assert "croupier-replayed" not in refused.trailing
    assert again.trailing["croupier-replayed"] == "1"


async def test_hundred_bets_at_once_on_a_balance_that_covers_ten(
    wallet: RunningWallet, player_id: str
) -> None:
    calls = [wallet.game.Bet(bet(player_id, 1_000)) for _ in range(100)]
    ended = await asyncio.gather(*calls, return_exceptions=True)
    accepted = [each for each in ended if not isinstance(each, BaseException)]
    assert len(accepted) == 10
    assert await cash(wallet, player_id) == 0


async def test_rollback_returns_the_stake_once(wallet: RunningWallet, player_id: str) -> None:
    await wallet.game.Bet(bet(player_id, 1_000, "b1"))
    first = (await wallet.game.Rollback(rollback(player_id, "b1"))).result
    second = (await wallet.game.Rollback(rollback(player_id, "b1"))).result
    assert first.outcome == wallet_pb2.OUTCOME_APPLIED
    assert second.outcome == wallet_pb2.OUTCOME_ALREADY_REVERSED
    assert await cash(wallet, player_id) == 10_000
    refused = await refusal(wallet.game.Win(win(player_id, 5_000, reference_transaction_id="b1")))
    assert refused.reason == "ERROR_REASON_REFERENCE_REVERSED"


async def test_bet_that_was_rolled_back_before_it_came_is_refused(
    wallet: RunningWallet, player_id: str
) -> None:
    early = (await wallet.game.Rollback(rollback(player_id, "b1"))).result
    assert early.outcome == wallet_pb2.OUTCOME_NOTHING_TO_REVERSE
    refused = await refusal(wallet.game.Bet(bet(player_id, 1_000, "b1")))
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.reason == "ERROR_REASON_TOMBSTONED"
    assert await cash(wallet, player_id) == 10_000


async def test_bet_under_an_id_that_another_player_has_barred_is_told_no_balance(
    wallet: RunningWallet, player_id: str
) -> None:
    await wallet.game.Rollback(rollback(player_id, "b1"))
    other = new_id()
    await wallet.player.OpenWallet(open_wallet(other))
    refused = await refusal(wallet.game.Bet(bet(other, 100, "b1")))
    assert refused.reason == "ERROR_REASON_TOMBSTONED"
    assert not refused.detail(wallet_pb2.Result).HasField("available_after")


async def test_closed_round_takes_wins_and_no_bets(wallet: RunningWallet, player_id: str) -> None:
    await wallet.game.Bet(bet(player_id, 1_000))
    request = wallet_service_pb2.CloseRoundRequest(
        source="acme",
        transaction_id="c1",
        player_id=player_id,
        currency_code="EUR",
        round_id="round-1",
        game_id="plinko",
    )
    assert (await wallet.game.CloseRound(request)).result.outcome == wallet_pb2.OUTCOME_APPLIED
    request.transaction_id = "c2"
    closed = (await wallet.game.CloseRound(request)).result
    assert closed.outcome == wallet_pb2.OUTCOME_ALREADY_CLOSED
    refused = await refusal(wallet.game.Bet(bet(player_id, 1_000)))
    assert refused.reason == "ERROR_REASON_ROUND_CLOSED"
    late = (await wallet.game.Win(win(player_id, 300))).result
    assert late.outcome == wallet_pb2.OUTCOME_APPLIED_LATE
    assert await cash(wallet, player_id) == 9_300


async def test_restrictions_are_stored_with_who_wanted_them_and_why(
    wallet: RunningWallet, player_id: str
) -> None:
    request = wallet_service_pb2.SetRestrictionsRequest(
        request_id=new_id(),
        player_id=player_id,
        restrictions=[wallet_pb2.RESTRICTION_NO_BET],
        actor_id="0198c0de-0000-7000-8000-00000000000a",
        reason="責" * 500,
    )
    first = await wallet.player.SetRestrictions(request)
    database = Database(wallet.database_url, schema="wallet")
    async with database.snapshot() as connection:
        details = await connection.execute(text("SELECT detail FROM transfer WHERE kind = 2"))
        told = json.loads(details.scalar_one())
    await database.close()
    assert told == {
        "scope": Scope.OPERATOR,
        "restrictions": Restriction.NO_BET,
        "actor": request.actor_id,
        "reason": request.reason,
    }
    # A process of Player that is older says neither.
    request.ClearField("actor_id")
    request.ClearField("reason")
    repeated = wallet.player.SetRestrictions(request)
    assert await repeated == first
    assert REPLAYED in tuple(await repeated.trailing_metadata())
    request.reason = "x" * 501
    refused = await refusal(wallet.player.SetRestrictions(request))
    assert refused.metadata == {"fields": "reason"}


async def test_player_excluded_in_mid_round_is_paid_and_may_leave_with_the_money(
    wallet: RunningWallet, player_id: str, tokens: TokenIssuer
) -> None:
    operator = tokens.operator("cashier")
    await wallet.game.Bet(bet(player_id, 1_000, "b1"))
    await wallet.game.Bet(bet(player_id, 500, "b2", round_id="round-2"))
    await wallet.player.SetRestrictions(
        wallet_service_pb2.SetRestrictionsRequest(
            request_id=new_id(),
            player_id=player_id,
            restrictions=[wallet_pb2.RESTRICTION_NO_BET, wallet_pb2.RESTRICTION_NO_DEPOSIT],
        )
    )
    paying_in = wallet.edge.Deposit(deposit(player_id, 500), metadata=operator)
    for refused in (wallet.game.Bet(bet(player_id, 1_000)), paying_in):
        assert (await refusal(refused)).reason == "ERROR_REASON_PLAYER_RESTRICTED"
    await wallet.game.Win(win(player_id, 2_000, reference_transaction_id="b1"))
    await wallet.game.Rollback(rollback(player_id, "b2", round_id="round-2"))
    assert await cash(wallet, player_id) == 11_000
    leaving = back_office_service_pb2.HoldWithdrawalRequest(
        request_id=new_id(), player_id=player_id, amount=euros(11_000)
    )
    held = (await wallet.back_office.HoldWithdrawal(leaving, metadata=operator)).result
    payment = back_office_service_pb2.CaptureHoldRequest(
        request_id=new_id(), player_id=player_id, hold_id=held.hold_id
    )
    paid = (await wallet.back_office.CaptureHold(payment, metadata=operator)).result
    assert paid.outcome == wallet_pb2.OUTCOME_APPLIED
    assert await cash(wallet, player_id) == 0


async def test_unknown_player_currency_and_transfer_are_told_apart(
    wallet: RunningWallet, player_id: str
) -> None:
    nobody = new_id()
    refused = await refusal(wallet.game.Bet(bet(nobody, 1)))
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.reason == "ERROR_REASON_PLAYER_NOT_FOUND"
    assert refused.metadata["player_id"] == nobody
    dollars = money_pb2.Money(currency_code="USD", minor_units=1)
    refused = await refusal(wallet.game.Bet(bet(player_id, 1, amount=dollars)))
    assert refused.reason == "ERROR_REASON_ACCOUNT_NOT_FOUND"
    unknown = money_pb2.Money(currency_code="XQZ", minor_units=1)
    refused = await refusal(wallet.game.Bet(bet(player_id, 1, amount=unknown)))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.reason == "ERROR_REASON_CURRENCY_UNKNOWN"
    assert refused.metadata == {"currency_code": "XQZ"}
    refused = await refusal(
        wallet.game.GetTransfer(
            wallet_service_pb2.GetTransferRequest(source="acme", transaction_id="nothing")
        )
    )
    assert refused.code is grpc.StatusCode.NOT_FOUND
    assert refused.reason == "ERROR_REASON_TRANSFER_NOT_FOUND"
    for request in (
        wallet_service_pb2.GetBalanceRequest(player_id=nobody, currency_code="EUR"),
        wallet_service_pb2.GetBalanceRequest(player_id=player_id, currency_code="USD"),
    ):
        assert (await refusal(wallet.game.GetBalance(request))).code is grpc.StatusCode.NOT_FOUND


async def test_caller_who_may_not_bet_is_told_so_before_the_form_is_read(
    wallet: RunningWallet, player_id: str
) -> None:
    stub = wallet_service_pb2_grpc.WalletServiceStub(wallet.analytics_channel)
    for request in (bet(player_id, 1), bet(player_id, -1), wallet_service_pb2.BetRequest()):
        refused = await refusal(stub.Bet(request))
        assert refused.code is grpc.StatusCode.PERMISSION_DENIED
    refused = await refusal(wallet.game.Bet(bet(player_id, -1)))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_provider_named_wallet_has_keys_of_its_own(
    wallet: RunningWallet, player_id: str, tokens: TokenIssuer
) -> None:
    lapsed = back_office_service_pb2.HoldDepositRequest(
        request_id=new_id(),
        player_id=player_id,
        amount=euros(500),
        expire_time=Timestamp(seconds=1_000_000_000),
    )
    operator = tokens.operator("cashier")
    held = (await wallet.back_office.HoldDeposit(lapsed, metadata=operator)).result
    # The ledger ends the hold before it books the bet, under an id of its own that is the same.
    taken = bet(player_id, 100, f"expire_hold:{held.hold_id}", source="wallet")
    first = await wallet.game.Bet(taken)
    assert first.result.outcome == wallet_pb2.OUTCOME_APPLIED
    assert first.result.source == "wallet"
    assert await wallet.game.Bet(taken) == first
    request = wallet_service_pb2.GetBalanceRequest(player_id=player_id, currency_code="EUR")
    balance = (await wallet.game.GetBalance(request)).balance
    assert (balance.cash_minor_units, balance.pending_minor_units) == (9_900, 0)


async def test_source_of_the_ledgers_own_transfers_is_nobody_elses(
    wallet: RunningWallet, player_id: str
) -> None:
    for source in ("wallet:rules", "psp:sandbox", "service:player"):
        calls = (
            wallet.game.Bet(bet(player_id, 100, source=source)),
            wallet.game.Win(win(player_id, 100, source=source)),
            wallet.game.Rollback(rollback(player_id, "b1", source=source)),
        )
        for call in calls:
            refused = await refusal(call)
            assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert await cash(wallet, player_id) == 10_000


async def test_transfer_is_found_by_its_key(wallet: RunningWallet, player_id: str) -> None:
    made = await wallet.game.Bet(bet(player_id, 100, "b1"))
    found = await wallet.game.GetTransfer(
        wallet_service_pb2.GetTransferRequest(source="acme", transaction_id="b1")
    )
    assert found.result == made.result


async def test_statement_lists_entries_newest_first_over_pages(
    wallet: RunningWallet, player_id: str, tokens: TokenIssuer
) -> None:
    for number in range(4):
        await wallet.game.Bet(bet(player_id, 100, f"b{number}"))
    request = wallet_service_pb2.ListEntriesRequest(currency_code="EUR", page_size=2)
    seen: list[wallet_pb2.Entry] = []
    for _ in range(10):
        page = await wallet.edge.ListEntries(request, metadata=tokens.player(player_id))
        seen += page.entries
        request.page_token = page.next_page_token
        if not page.next_page_token:
            break
    assert [entry.account_version for entry in seen] == [5, 4, 3, 2, 1]
    assert [entry.change_minor_units for entry in seen] == [-100, -100, -100, -100, 10_000]
    assert seen[0].transaction_id == "b3"
    assert seen[0].balance_after_minor_units == 9_600
    assert seen[-1].kind == wallet_pb2.TRANSFER_KIND_DEPOSIT
    refused = await refusal(
        wallet.edge.ListEntries(
            wallet_service_pb2.ListEntriesRequest(currency_code="EUR", page_token="AAAAAAAAAAAA"),
            metadata=tokens.player(player_id),
        )
    )
    assert refused.reason == "ERROR_REASON_PAGE_TOKEN_INVALID"


async def test_stream_shows_each_change_and_only_ones_own(
    wallet: RunningWallet, player_id: str, tokens: TokenIssuer
) -> None:
    stream = wallet.edge.WatchBalances(
        wallet_service_pb2.WatchBalancesRequest(), metadata=tokens.player(player_id)
    )
    assert (await stream.read()).balance.cash_minor_units == 10_000
    other = new_id()
    await wallet.player.OpenWallet(open_wallet(other))
    await wallet.game.Bet(bet(player_id, 100, "b1"))
    changed = (await stream.read()).balance
    assert changed.cash_minor_units == 9_900
    stream.cancel()
    resumed = wallet.edge.WatchBalances(
        wallet_service_pb2.WatchBalancesRequest(after_seq=changed.seq),
        metadata=tokens.player(player_id),
    )
    waiting = asyncio.ensure_future(resumed.read())
    await wallet.game.Win(win(player_id, 50, reference_transaction_id="b1"))
    assert (await waiting).balance.cash_minor_units == 9_950
    resumed.cancel()


async def test_stream_ends_with_the_token(
    wallet: RunningWallet, player_id: str, tokens: TokenIssuer
) -> None:
    metadata = tokens.player(player_id, exp=int(time.time()) + 2)
    stream = wallet.edge.WatchBalances(wallet_service_pb2.WatchBalancesRequest(), metadata=metadata)
    messages = [message async for message in stream]
    assert messages[-1].end.cause == wallet_service_pb2.StreamEnd.CAUSE_TOKEN_EXPIRED


async def test_feed_serves_applied_and_refused_transfers_in_order(
    wallet: RunningWallet, player_id: str
) -> None:
    await wallet.game.Bet(bet(player_id, 700, "b1"))
    with contextlib.suppress(grpc.aio.AioRpcError):
        await wallet.game.Bet(bet(player_id, 1_000_000, "b2"))
    await wallet.game.Rollback(rollback(player_id, "b1"))
    stub = feed_service_pb2_grpc.FeedServiceStub(wallet.analytics_channel)
    stream = stub.Subscribe(feed_service_pb2.SubscribeRequest())
    events: list[Any] = []
    async for message in stream:
        events += message.events
        if len(events) >= 5:
            break
    stream.cancel()
    assert [event.seq for event in events] == [1, 2, 3, 4, 5]
    transfers = [event.transfer_recorded for event in events]
    assert [Kind(transfer.kind) for transfer in transfers] == [
        Kind.OPEN_WALLET,
        Kind.DEPOSIT,
        Kind.BET,
        Kind.BET,
        Kind.ROLLBACK,
    ]
    assert transfers[2].cash_change_minor_units == -700
    assert (transfers[2].game_id, transfers[2].round_id) == ("plinko", "round-1")
    assert transfers[3].result.outcome == wallet_pb2.OUTCOME_INSUFFICIENT_FUNDS
    assert transfers[3].cash_change_minor_units == 0
    assert transfers[4].original_seq == transfers[2].result.seq
    assert transfers[4].original_kind == wallet_pb2.TRANSFER_KIND_BET


async def test_ledger_row_stores_the_trace_that_brought_it(
    wallet: RunningWallet, player_id: str
) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    for flag in ("00", "01"):
        traceparent = f"00-{trace_id}-00f067aa0ba902b7-{flag}"
        await wallet.game.Bet(bet(player_id, 1), metadata=(("traceparent", traceparent),))
    stub = feed_service_pb2_grpc.FeedServiceStub(wallet.analytics_channel)
    stream = stub.Subscribe(feed_service_pb2.SubscribeRequest(after_seq=2))
    events: list[Any] = []
    async for message in stream:
        events += message.events
        if len(events) >= 2:
            break
    stream.cancel()
    assert [event.trace_id for event in events] == [trace_id, trace_id]


def test_numbers_of_the_ledger_are_those_of_the_contract() -> None:
    pairs: list[tuple[Any, Any]] = [
        (Outcome, wallet_pb2.Outcome),
        (Kind, wallet_pb2.TransferKind),
        (Bucket, wallet_pb2.Bucket),
        (RoundState, wallet_pb2.RoundState),
    ]
    for ours, theirs in pairs:
        prefix = theirs.Name(0).removesuffix("UNSPECIFIED")
        told = {name.removeprefix(prefix): number for name, number in theirs.items() if number}
        assert told == {member.name: member.value for member in ours}
