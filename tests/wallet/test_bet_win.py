"""A bet and its win in one call: booked as two movements, whole or not at all."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from croupier.type.v1 import money_pb2
from croupier.wallet.v1 import back_office_pb2, wallet_pb2, wallet_service_pb2
from croupier.wallet.v1 import back_office_service_pb2 as office
from google.protobuf.timestamp_pb2 import Timestamp

from scripts.mesh.pki import DevelopmentAuthority
from services.kit.ids import new_id
from tests.conftest import Templates
from tests.kit.refusals import refusal
from tests.kit.tokens import TokenIssuer
from tests.wallet.requests import bet, bet_win, cash, euros, funded_player, rollback, win
from tests.wallet.running import RunningWallet, shared_wallet

# One wallet for the module, so one loop too.
pytestmark = pytest.mark.asyncio(loop_scope="module")
APPLIED, CLOSED = wallet_pb2.OUTCOME_APPLIED, wallet_pb2.ROUND_STATE_CLOSED
LARGEST = 10**15


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)],
)
async def wallet(
    request: pytest.FixtureRequest,
    authority: DevelopmentAuthority,
    tokens: TokenIssuer,
    templates: Templates,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[RunningWallet]:
    async with shared_wallet(
        engine_name=request.param,
        authority=authority,
        tokens=tokens,
        templates=templates,
        folder=tmp_path_factory.mktemp("wallet"),
    ) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def player_id(wallet: RunningWallet, tokens: TokenIssuer) -> str:
    """A player with 100.00 EUR."""
    return await funded_player(wallet, tokens)


async def find(wallet: RunningWallet, transaction_id: str, **fields: Any) -> wallet_pb2.Result:
    request = wallet_service_pb2.GetTransferRequest(
        source=fields.pop("source", "acme"), transaction_id=transaction_id, **fields
    )
    answer: wallet_service_pb2.GetTransferResponse = await wallet.game.GetTransfer(request)
    return answer.result


async def test_only_game_may_call_it(wallet: RunningWallet, player_id: str) -> None:
    for stub in (wallet.player, wallet.edge):
        refused = await refusal(stub.BetWin(bet_win(player_id, 100, 250)))
        assert refused.reason == "ERROR_REASON_CALLER_NOT_ALLOWED"
    assert await cash(wallet, player_id) == 10_000


async def test_both_are_booked_one_after_the_other(wallet: RunningWallet, player_id: str) -> None:
    request = bet_win(player_id, 100, 250)
    answer = await wallet.game.BetWin(request)
    stake, won = answer.bet, answer.win
    assert (stake.transaction_id, stake.outcome) == (request.bet_transaction_id, APPLIED)
    assert (won.transaction_id, won.outcome) == (request.win_transaction_id, APPLIED)
    assert (stake.available_after.cash_minor_units, won.available_after.cash_minor_units) == (
        9_900,
        10_150,
    )
    assert [each.minor_units for each in (*stake.changes, *won.changes)] == [-100, 250]
    assert won.seq == stake.seq + 1
    assert won.create_time == stake.create_time
    for result in (stake, won):
        assert await find(wallet, result.transaction_id) == result
    assert await cash(wallet, player_id) == 10_150


@pytest.mark.parametrize(
    ("stake", "won", "left"), [(0, 0, 10_000), (0, 70, 10_070), (70, 0, 9_930), (10_000, 1, 1)]
)
async def test_either_amount_may_be_nothing(
    wallet: RunningWallet, player_id: str, stake: int, won: int, left: int
) -> None:
    answer = await wallet.game.BetWin(bet_win(player_id, stake, won))
    assert (answer.bet.outcome, answer.win.outcome) == (APPLIED, APPLIED)
    assert await cash(wallet, player_id) == left


async def test_win_cannot_pay_for_its_bet(wallet: RunningWallet, player_id: str) -> None:
    request = bet_win(player_id, 10_001, 20_000)
    refused = await refusal(wallet.game.BetWin(request))
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.reason == "ERROR_REASON_INSUFFICIENT_FUNDS"
    assert refused.metadata["transaction_id"] == request.bet_transaction_id
    assert refused.metadata["available_minor_units"] == "10000"
    assert refused.metadata["requested_minor_units"] == "10001"
    result = refused.detail(wallet_pb2.Result)
    assert result.available_after.cash_minor_units == 10_000
    assert list(result.changes) == []
    other = await find(wallet, request.win_transaction_id)
    assert other.outcome == wallet_pb2.OUTCOME_LINKED_FAILED
    assert other.available_after.cash_minor_units == 10_000
    assert await cash(wallet, player_id) == 10_000


async def test_win_that_is_refused_takes_its_bet_along(
    wallet: RunningWallet, player_id: str
) -> None:
    request = bet_win(player_id, 100, 250)
    # Rolled back before it came: the win is barred.
    await wallet.game.Rollback(rollback(player_id, request.win_transaction_id))
    refused = await refusal(wallet.game.BetWin(request))
    assert refused.reason == "ERROR_REASON_TOMBSTONED"
    assert refused.metadata["transaction_id"] == request.win_transaction_id
    stake = await find(wallet, request.bet_transaction_id)
    assert stake.outcome == wallet_pb2.OUTCOME_LINKED_FAILED
    assert await cash(wallet, player_id) == 10_000


async def test_refusal_of_the_player_or_the_round_is_told(
    wallet: RunningWallet, player_id: str
) -> None:
    await wallet.game.BetWin(bet_win(player_id, 100, 50, close_round=True))
    refused = await refusal(wallet.game.BetWin(bet_win(player_id, 100, 50)))
    assert refused.reason == "ERROR_REASON_ROUND_CLOSED"
    assert refused.metadata["round_id"] == "round-1"
    await wallet.player.SetRestrictions(
        wallet_service_pb2.SetRestrictionsRequest(
            request_id=new_id(),
            player_id=player_id,
            restrictions=[wallet_pb2.RESTRICTION_NO_BET],
        )
    )
    refused = await refusal(wallet.game.BetWin(bet_win(player_id, 100, 50, round_id="r-2")))
    assert refused.reason == "ERROR_REASON_PLAYER_RESTRICTED"
    refused = await refusal(wallet.game.BetWin(bet_win(new_id(), 100, 50)))
    assert refused.reason == "ERROR_REASON_PLAYER_NOT_FOUND"
    assert await cash(wallet, player_id) == 9_950


async def test_round_is_closed_after_the_win(wallet: RunningWallet, player_id: str) -> None:
    answer = await wallet.game.BetWin(bet_win(player_id, 100, 50, close_round=True))
    assert (answer.bet.round_state, answer.win.round_state) == (
        wallet_pb2.ROUND_STATE_OPEN,
        CLOSED,
    )
    assert answer.win.outcome == APPLIED
    refused = await refusal(wallet.game.Bet(bet(player_id, 1)))
    assert refused.reason == "ERROR_REASON_ROUND_CLOSED"


# Repeats.


async def test_repeat_gets_the_same_two_answers(wallet: RunningWallet, player_id: str) -> None:
    request = bet_win(player_id, 100, 250, close_round=True)
    first = await wallet.game.BetWin(request)
    await wallet.game.Bet(bet(player_id, 5_000, round_id="r-2"))
    call = wallet.game.BetWin(request)
    again = await call
    assert again.SerializeToString(deterministic=True) == first.SerializeToString(
        deterministic=True
    )
    assert dict(await call.trailing_metadata())["croupier-replayed"] == "1"
    assert await cash(wallet, player_id) == 5_150


async def test_refusal_is_repeated_whatever_has_changed(
    wallet: RunningWallet, tokens: TokenIssuer, player_id: str
) -> None:
    request = bet_win(player_id, 10_001, 0)
    first = await refusal(wallet.game.BetWin(request))
    await funded_player(wallet, tokens, 5_000, player_id=player_id)
    again = await refusal(wallet.game.BetWin(request))
    assert again.status == first.status
    assert again.trailing["croupier-replayed"] == "1"
    alone = await refusal(wallet.game.Bet(bet(player_id, 10_001, request.bet_transaction_id)))
    assert alone.detail(wallet_pb2.Result) == first.detail(wallet_pb2.Result)


async def test_half_that_came_alone_is_not_booked_again(
    wallet: RunningWallet, player_id: str
) -> None:
    request = bet_win(player_id, 100, 250)
    stake = await wallet.game.Bet(bet(player_id, 100, request.bet_transaction_id))
    call = wallet.game.BetWin(request)
    answer = await call
    assert answer.bet == stake.result
    assert answer.win.outcome == APPLIED
    # One of the two is new.
    assert "croupier-replayed" not in dict(await call.trailing_metadata())
    assert await cash(wallet, player_id) == 10_150


@pytest.mark.parametrize(
    ("changes", "reused", "fields"),
    [
        ({"bet_amount": euros(101)}, "bet", "amount"),
        ({"win_amount": euros(251)}, "win", "amount"),
        ({"round_id": "r-2"}, "bet", "round_key"),
        ({"close_round": True}, "win", "close_round"),
    ],
    ids=str,
)
async def test_ids_with_other_content_move_nothing(
    wallet: RunningWallet, player_id: str, changes: dict[str, Any], reused: str, fields: str
) -> None:
    request = bet_win(player_id, 100, 250)
    await wallet.game.BetWin(request)
    changed = wallet_service_pb2.BetWinRequest()
    changed.CopyFrom(request)
    changed.MergeFrom(wallet_service_pb2.BetWinRequest(**changes))
    refused = await refusal(wallet.game.BetWin(changed))
    assert refused.code is grpc.StatusCode.ALREADY_EXISTS
    assert refused.reason == "ERROR_REASON_KEY_REUSED"
    assert refused.metadata["transaction_id"] == getattr(request, f"{reused}_transaction_id")
    assert refused.metadata["fields"] == fields
    assert await cash(wallet, player_id) == 10_150


async def test_new_bet_beside_a_win_that_was_used_is_not_taken(
    wallet: RunningWallet, player_id: str
) -> None:
    first = bet_win(player_id, 100, 250)
    await wallet.game.BetWin(first)
    second = bet_win(player_id, 100, 999, win_transaction_id=first.win_transaction_id)
    refused = await refusal(wallet.game.BetWin(second))
    assert refused.reason == "ERROR_REASON_KEY_REUSED"
    stake = await find(wallet, second.bet_transaction_id)
    assert stake.outcome == wallet_pb2.OUTCOME_LINKED_FAILED
    assert await cash(wallet, player_id) == 10_150


# Each by itself.


async def test_each_can_be_rolled_back_by_its_id(wallet: RunningWallet, player_id: str) -> None:
    request = bet_win(player_id, 100, 250)
    await wallet.game.BetWin(request)
    await wallet.game.Rollback(rollback(player_id, request.win_transaction_id))
    assert await cash(wallet, player_id) == 9_900
    await wallet.game.Rollback(rollback(player_id, request.bet_transaction_id))
    assert await cash(wallet, player_id) == 10_000


async def test_win_names_its_bet(
    wallet: RunningWallet, tokens: TokenIssuer, player_id: str
) -> None:
    policy = office.SetPolicyRequest(
        request_id=new_id(),
        source="strict",
        switches=back_office_pb2.PolicySwitches(
            win_without_reference=back_office_pb2.STANCE_REFUSE
        ),
        reason="its wins always name a bet",
    )
    await wallet.back_office.SetPolicy(policy, metadata=tokens.operator("admin"))
    refused = await refusal(wallet.game.Win(win(player_id, 250, source="strict")))
    assert refused.reason == "ERROR_REASON_REFERENCE_NOT_FOUND"
    answer = await wallet.game.BetWin(bet_win(player_id, 100, 250, source="strict"))
    assert answer.win.outcome == APPLIED


async def test_bonus_share_of_the_stake_wins_its_share(
    wallet: RunningWallet, tokens: TokenIssuer, player_id: str
) -> None:
    grant = office.GrantBonusRequest(
        request_id=new_id(),
        player_id=player_id,
        amount=euros(5_000),
        wager_required_minor_units=LARGEST,
        expire_time=Timestamp(seconds=4_000_000_000),
        rules_version=1,
        reason="welcome",
    )
    await wallet.back_office.GrantBonus(grant, metadata=tokens.operator("marketing"))
    answer = await wallet.game.BetWin(bet_win(player_id, 12_500, 100))
    changes = {each.bucket: each.minor_units for each in answer.bet.changes}
    assert changes == {wallet_pb2.BUCKET_CASH: -10_000, wallet_pb2.BUCKET_BONUS: -2_500}
    changes = {each.bucket: each.minor_units for each in answer.win.changes}
    assert changes == {wallet_pb2.BUCKET_CASH: 80, wallet_pb2.BUCKET_BONUS: 20}


# Ids and form.


async def test_one_id_is_for_sources_whose_ids_are_unique_within_a_kind(
    wallet: RunningWallet, tokens: TokenIssuer, player_id: str
) -> None:
    ids = {"bet_transaction_id": "t-1", "win_transaction_id": "t-1", "source": "one-id"}
    refused = await refusal(wallet.game.BetWin(bet_win(player_id, 100, 250, **ids)))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.reason == "ERROR_REASON_INVALID_REQUEST"
    assert refused.metadata["fields"] == "win_transaction_id"
    # Nothing was recorded: the source has not used a key yet.
    policy = office.SetPolicyRequest(
        request_id=new_id(),
        source="one-id",
        switches=back_office_pb2.PolicySwitches(
            key_scope=back_office_pb2.KEY_SCOPE_SOURCE_AND_KIND
        ),
        reason="one id for a bet and its win",
    )
    await wallet.back_office.SetPolicy(policy, metadata=tokens.operator("admin"))
    answer = await wallet.game.BetWin(bet_win(player_id, 100, 250, **ids))
    for kind, result in (("BET", answer.bet), ("WIN", answer.win)):
        kinds = {"kind": wallet_pb2.TransferKind.Value(f"TRANSFER_KIND_{kind}")}
        assert await find(wallet, "t-1", source="one-id", **kinds) == result
    assert await wallet.game.BetWin(bet_win(player_id, 100, 250, **ids)) == answer
    assert await cash(wallet, player_id) == 10_150


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"source": "A"}, "source"),
        ({"bet_transaction_id": ""}, "bet_transaction_id"),
        ({"win_transaction_id": "t" * 129}, "win_transaction_id"),
        ({"bet_amount": None}, "bet_amount"),
        ({"win_amount": None}, "win_amount"),
        ({"bet_amount": euros(-1)}, "bet_amount.minor_units"),
        ({"win_amount": euros(LARGEST + 1)}, "win_amount.minor_units"),
        ({"win_amount": money_pb2.Money(currency_code="USD", minor_units=1)}, "win_amount"),
        ({"round_id": ""}, "round_id"),
        ({"wager_weight_bp": 10_001}, "wager_weight_bp"),
    ],
    ids=str,
)
async def test_request_of_wrong_form_moves_nothing(
    wallet: RunningWallet, player_id: str, changes: dict[str, Any], field: str
) -> None:
    refused = await refusal(wallet.game.BetWin(bet_win(player_id, 100, 250, **changes)))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.reason == "ERROR_REASON_INVALID_REQUEST"
    assert refused.metadata["fields"] == field
    assert await cash(wallet, player_id) == 10_000


async def test_hundred_at_once_take_no_more_than_there_is(
    wallet: RunningWallet, player_id: str
) -> None:
    requests = [bet_win(player_id, 1_000, 0, round_id=f"r-{number}") for number in range(50)]
    # Each is sent twice, as by a caller that got no answer.
    calls = [wallet.game.BetWin(each) for each in requests * 2]
    ended = await asyncio.gather(*calls, return_exceptions=True)
    first, second = ended[:50], ended[50:]
    taken = [each for each in first if not isinstance(each, BaseException)]
    assert len(taken) == 10
    assert [each for each in second if not isinstance(each, BaseException)] == taken
    assert await cash(wallet, player_id) == 0
