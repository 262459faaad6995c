import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from croupier.wallet.v1 import (
    back_office_pb2,
    back_office_service_pb2,
    wallet_pb2,
    wallet_service_pb2,
)

from services.kit.ids import new_id
from services.wallet.domain import LimitKind, Period
from tests.kit.refusals import refusal
from tests.kit.tokens import TokenIssuer
from tests.wallet.requests import bet, cash, deposit, funded_player, open_wallet, win
from tests.wallet.running import RunningWallet

SOON = timedelta(seconds=1.5)
"""Long enough for a call or two before it, short enough to wait for."""
HOUR = timedelta(hours=1)


def limit(
    player_id: str,
    max_minor_units: int | None,
    kind: str = "DEPOSIT",
    period: str = "DAY",
    *,
    start_time: datetime | None = None,
    **fields: Any,
) -> wallet_service_pb2.SetLimitRequest:
    request = wallet_service_pb2.SetLimitRequest(
        **{
            "request_id": new_id(),
            "player_id": player_id,
            "currency_code": "EUR",
            "kind": back_office_pb2.LimitKind.Value(f"LIMIT_KIND_{kind}"),
            "period": back_office_pb2.LimitPeriod.Value(f"LIMIT_PERIOD_{period}"),
            "max_minor_units": max_minor_units,
            **fields,
        }
    )
    if start_time is not None:
        request.start_time.FromDatetime(start_time)
    return request


def now() -> datetime:
    # The server goes by the clock of the machine.
    return datetime.now(UTC)


async def give(wallet: RunningWallet, tokens: TokenIssuer, player_id: str, amount: int) -> Any:
    return await wallet.edge.Deposit(
        deposit(player_id, amount), metadata=tokens.operator("cashier")
    )


async def taken_or_refused(
    wallet: RunningWallet, request: wallet_service_pb2.BetRequest
) -> wallet_pb2.Result | None:
    """Bets, and returns None if a limit is reached."""
    ended: Any = (await asyncio.gather(wallet.game.Bet(request), return_exceptions=True))[0]
    if isinstance(ended, grpc.aio.AioRpcError):
        refused = await refusal(wallet.game.Bet(request))
        assert refused.reason == "ERROR_REASON_LIMIT_REACHED"
        return None
    result: wallet_pb2.Result = ended.result
    return result


def test_numbers_of_limits_are_those_of_the_contract() -> None:
    pairs: list[tuple[Any, Any]] = [
        (LimitKind, back_office_pb2.LimitKind),
        (Period, back_office_pb2.LimitPeriod),
    ]
    for ours, theirs in pairs:
        prefix = theirs.Name(0).removesuffix("UNSPECIFIED")
        told = {name.removeprefix(prefix): number for name, number in theirs.items() if number}
        assert told == {member.name: member.value for member in ours}


async def test_deposit_over_the_players_limit_is_refused(
    wallet: RunningWallet, tokens: TokenIssuer
) -> None:
    player_id = new_id()
    await wallet.player.OpenWallet(open_wallet(player_id))
    result = (await wallet.player.SetLimit(limit(player_id, 5_000))).result
    assert result.outcome == wallet_pb2.OUTCOME_APPLIED
    assert result.source == "service:player"
    await give(wallet, tokens, player_id, 3_000)
    request = deposit(player_id, 2_001)
    refused = await refusal(wallet.edge.Deposit(request, metadata=tokens.operator("cashier")))
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.reason == "ERROR_REASON_LIMIT_REACHED"
    assert refused.metadata == {
        "source": "service:back-office",
        "transaction_id": request.request_id,
        "kind": "deposit",
        "period": "day",
        "scope": "player",
        "max_minor_units": "5000",
        "used_minor_units": "3000",
    }
    facts = refused.detail(wallet_pb2.Result).limit
    left = facts.window_end_time.ToDatetime(tzinfo=UTC) - now()
    assert timedelta(hours=23) < left <= timedelta(hours=24)
    assert await cash(wallet, player_id) == 3_000
    await give(wallet, tokens, player_id, 2_000)


@pytest.mark.parametrize("period", ["DAY", "WEEK", "MONTH"])
async def test_deposits_are_counted_gross_in_every_period(
    wallet: RunningWallet, tokens: TokenIssuer, period: str
) -> None:
    player_id = new_id()
    await wallet.player.OpenWallet(open_wallet(player_id))
    await wallet.player.SetLimit(limit(player_id, 5_000, period=period))
    await give(wallet, tokens, player_id, 5_000)
    # Neither a loss nor a win makes room.
    await wallet.game.Bet(bet(player_id, 5_000, "b1"))
    await wallet.game.Win(win(player_id, 9_000, reference_transaction_id="b1"))
    refused = await refusal(give(wallet, tokens, player_id, 1))
    assert refused.reason == "ERROR_REASON_LIMIT_REACHED"
    assert (refused.metadata["period"], refused.metadata["used_minor_units"]) == (
        period.lower(),
        "5000",
    )


async def test_tighter_limit_counts_at_once_with_what_was_used(
    wallet: RunningWallet, tokens: TokenIssuer
) -> None:
    player_id = await funded_player(wallet, tokens)
    await wallet.player.SetLimit(limit(player_id, 1_000, "WAGER"))
    await wallet.game.Bet(bet(player_id, 600))
    await wallet.player.SetLimit(limit(player_id, 700, "WAGER", start_time=now() - HOUR))
    refused = await refusal(wallet.game.Bet(bet(player_id, 101)))
    assert refused.reason == "ERROR_REASON_LIMIT_REACHED"
    assert refused.metadata["max_minor_units"] == "700"
    await wallet.game.Bet(bet(player_id, 100))


@pytest.mark.parametrize("looser", [200, None])
async def test_looser_limit_begins_by_itself_at_its_time(
    wallet: RunningWallet, tokens: TokenIssuer, looser: int | None
) -> None:
    player_id = await funded_player(wallet, tokens)
    await wallet.player.SetLimit(limit(player_id, 100, "WAGER"))
    begins = now() + SOON
    await wallet.player.SetLimit(limit(player_id, looser, "WAGER", start_time=begins))
    await wallet.game.Bet(bet(player_id, 100))
    refusals = 0
    async with asyncio.timeout(20):
        while (taken := await taken_or_refused(wallet, bet(player_id, 100))) is None:
            refusals += 1
            await asyncio.sleep(0.05)
    assert taken.create_time.ToDatetime(tzinfo=UTC) >= begins
    assert refusals


async def test_limit_to_come_far_ahead_is_cancelled_by_a_tighter_one(
    wallet: RunningWallet, tokens: TokenIssuer
) -> None:
    player_id = await funded_player(wallet, tokens)
    await wallet.player.SetLimit(limit(player_id, 100, "LOSS"))
    await wallet.player.SetLimit(limit(player_id, None, "LOSS", start_time=now() + HOUR))
    refused = await refusal(wallet.game.Bet(bet(player_id, 101)))
    assert refused.metadata["max_minor_units"] == "100"
    await wallet.player.SetLimit(limit(player_id, 50, "LOSS"))
    refused = await refusal(wallet.game.Bet(bet(player_id, 51)))
    assert refused.metadata["max_minor_units"] == "50"


async def test_stricter_of_player_and_operator_applies(
    wallet: RunningWallet, tokens: TokenIssuer
) -> None:
    player_id = await funded_player(wallet, tokens)
    for operators, players, scope, most in (
        (100, 300, "operator", 100),
        (300, 200, "player", 200),
        (150, 200, "operator", 150),
    ):
        await wallet.back_office.SetOperatorLimit(
            back_office_service_pb2.SetOperatorLimitRequest(
                request_id=new_id(),
                player_id=player_id,
                currency_code="EUR",
                kind=back_office_pb2.LIMIT_KIND_WAGER,
                period=back_office_pb2.LIMIT_PERIOD_DAY,
                max_minor_units=operators,
                reason="affordability",
            ),
            metadata=tokens.operator("compliance"),
        )
        await wallet.player.SetLimit(limit(player_id, players, "WAGER"))
        refused = await refusal(wallet.game.Bet(bet(player_id, 301)))
        assert (refused.metadata["scope"], refused.metadata["max_minor_units"]) == (
            scope,
            str(most),
        )
    # The player's own choice lifts nothing of the operator's.
    await wallet.player.SetLimit(limit(player_id, None, "WAGER"))
    refused = await refusal(wallet.game.Bet(bet(player_id, 151)))
    assert refused.metadata["scope"] == "operator"


async def test_same_request_has_one_effect_and_other_content_is_refused(
    wallet: RunningWallet, tokens: TokenIssuer
) -> None:
    player_id = await funded_player(wallet, tokens)
    request = limit(player_id, 100, "WAGER")
    first = await wallet.player.SetLimit(request)
    await wallet.player.SetLimit(limit(player_id, 50, "WAGER"))
    call = wallet.player.SetLimit(request)
    assert await call == first
    assert ("croupier-replayed", "1") in tuple(await call.trailing_metadata())
    refused = await refusal(wallet.game.Bet(bet(player_id, 51)))
    assert refused.metadata["max_minor_units"] == "50"
    request.max_minor_units = 101
    refused = await refusal(wallet.player.SetLimit(request))
    assert refused.code is grpc.StatusCode.ALREADY_EXISTS
    assert refused.reason == "ERROR_REASON_KEY_REUSED"
    assert refused.metadata == {
        "source": "service:player",
        "transaction_id": request.request_id,
        "fields": "max_amount",
    }


async def test_limit_of_nobody_or_of_a_wallet_that_is_not_open_is_refused(
    wallet: RunningWallet, tokens: TokenIssuer
) -> None:
    player_id = await funded_player(wallet, tokens)
    for request, code, reason in (
        (limit(new_id(), 1), grpc.StatusCode.FAILED_PRECONDITION, "PLAYER_NOT_FOUND"),
        (
            limit(player_id, 1, currency_code="USD"),
            grpc.StatusCode.FAILED_PRECONDITION,
            "ACCOUNT_NOT_FOUND",
        ),
        (
            limit(player_id, 1, currency_code="XQZ"),
            grpc.StatusCode.INVALID_ARGUMENT,
            "CURRENCY_UNKNOWN",
        ),
    ):
        refused = await refusal(wallet.player.SetLimit(request))
        assert (refused.code, refused.reason) == (code, f"ERROR_REASON_{reason}")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("request_id", "7"),
        ("player_id", "7"),
        ("currency_code", "euro"),
        ("kind", 0),
        ("kind", 4),
        ("period", 0),
        ("period", 4),
        ("max_minor_units", -1),
        ("max_minor_units", 10**15 + 1),
    ],
)
async def test_limit_of_a_wrong_form_is_refused(
    wallet: RunningWallet, field: str, value: Any
) -> None:
    request = limit(new_id(), 1)
    setattr(request, field, value)
    refused = await refusal(wallet.player.SetLimit(request))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.metadata == {"fields": field}


async def test_limit_that_begins_before_the_calendar_is_refused(wallet: RunningWallet) -> None:
    early = datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)
    refused = await refusal(wallet.player.SetLimit(limit(new_id(), 1, start_time=early)))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.metadata == {"fields": "start_time"}


async def test_player_service_alone_sets_players_limits(
    wallet: RunningWallet, tokens: TokenIssuer
) -> None:
    player_id = await funded_player(wallet, tokens)
    for stub, metadata in ((wallet.game, ()), (wallet.edge, tokens.player(player_id))):
        refused = await refusal(stub.SetLimit(limit(player_id, 1), metadata=metadata))
        assert refused.code is grpc.StatusCode.PERMISSION_DENIED


async def test_no_bet_after_the_answer_passes_a_limit_that_was_tightened(
    wallet: RunningWallet, tokens: TokenIssuer
) -> None:
    player_id = await funded_player(wallet, tokens)
    await wallet.player.SetLimit(limit(player_id, 10_000, "WAGER"))
    tightened = asyncio.Event()
    accepted: list[tuple[int, bool]] = []

    async def play() -> None:
        for _ in range(30):
            after = tightened.is_set()
            result = await taken_or_refused(wallet, bet(player_id, 10))
            if result is None:
                return
            accepted.append((result.seq, after))

    async def tighten() -> int:
        while len(accepted) < 20:  # noqa: ASYNC110 (the bets tell nobody; the players' loops are bounded)
            await asyncio.sleep(0)
        answer = await wallet.player.SetLimit(limit(player_id, 0, "WAGER"))
        tightened.set()
        return int(answer.result.seq)

    async with asyncio.timeout(30):
        playing = asyncio.gather(*(play() for _ in range(8)))
        seq = await tighten()
        await playing
    assert accepted
    assert not any(after for _, after in accepted)
    # Nor is there one that the ledger has after it, whenever its caller heard of it.
    assert max(number for number, _ in accepted) < seq
    assert await cash(wallet, player_id) == 10_000 - 10 * len(accepted)
