from datetime import timedelta
from typing import Any

import grpc
import pytest
from croupier.game.v1 import game_pb2, game_service_pb2, provider_service_pb2
from croupier.wallet.v1 import wallet_pb2

from tests.factories import game as factory
from tests.factories.game import euros
from tests.game.doubles import unavailable
from tests.game.house import ACME, BOLT, House, new_uuid
from tests.kit.clock import ManualClock
from tests.kit.refusals import Told, told

UNKNOWN = Told(grpc.StatusCode.UNAUTHENTICATED, "SESSION_NOT_FOUND", {})
ENDED = Told(grpc.StatusCode.FAILED_PRECONDITION, "SESSION_ENDED", {})
EXPIRED = Told(
    grpc.StatusCode.FAILED_PRECONDITION,
    "SESSION_EXPIRED",
    {"expire_time": "2027-01-15T20:00:00Z"},
)
DISABLED = Told(grpc.StatusCode.FAILED_PRECONDITION, "GAME_DISABLED", {"game_id": "plinko"})


def calls(token: str) -> dict[str, Any]:
    """One request of each method that a provider calls."""
    return {
        "AuthenticateSession": provider_service_pb2.AuthenticateSessionRequest(session_token=token),
        "GetPlayerBalance": provider_service_pb2.GetPlayerBalanceRequest(session_token=token),
        "PlaceBet": factory.bet(token),
        "PayWin": factory.win(token),
        "PlaceAndSettle": factory.settled_bet(token),
        "RollBack": factory.rollback(token, "t-1"),
        "EndRound": factory.round_end(token),
    }


async def logged_out(house: House) -> None:
    await house.log_out()


async def launched_again(house: House) -> None:
    await house.launch()


async def expired(house: House) -> None:
    house.clock.advance(timedelta(hours=8))


async def disabled(house: House) -> None:
    await house.games.DisableGame(
        game_service_pb2.DisableGameRequest(game_id="plinko"), metadata=house.operator()
    )


ENDINGS = [
    pytest.param(logged_out, ENDED, id="logged out"),
    pytest.param(launched_again, ENDED, id="launched again"),
    pytest.param(expired, EXPIRED, id="expired"),
    pytest.param(disabled, DISABLED, id="game disabled"),
]


# Who may call.


async def test_provider_calls_climb_the_ladder(stocked: House) -> None:
    token = await stocked.launch()
    for name, request in calls(token).items():
        call = getattr(stocked.providers, name)
        anonymous = await told(call(request))
        assert anonymous == (
            grpc.StatusCode.UNAUTHENTICATED,
            "CREDENTIAL_MISSING",
            {"level": "AUTH_LEVEL_PROVIDER"},
        ), name
        forged = await told(call(request, metadata=(("x-api-key", "made-up"),)))
        assert forged == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_INVALID", {}), name
        player = await told(call(request, metadata=stocked.login()))
        assert player[:2] == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_MISSING"), name
        other = await told(call(request, metadata=BOLT))
        assert other == UNKNOWN, name
        await call(request, metadata=ACME)


async def test_session_of_another_provider_looks_unknown_although_it_is_cached(
    stocked: House,
) -> None:
    token = await stocked.launch()
    await stocked.place_bet(token)
    before = list(stocked.wallet.calls)
    for name, request in calls(token).items():
        call = getattr(stocked.providers, name)
        assert await told(call(request, metadata=BOLT)) == UNKNOWN, name
    assert stocked.wallet.calls == before


async def test_token_that_was_never_given_out_is_unknown(stocked: House) -> None:
    for name, request in calls("x" * 43).items():
        call = getattr(stocked.providers, name)
        assert await told(call(request, metadata=ACME)) == UNKNOWN, name
    assert stocked.wallet.calls == []


async def test_service_may_not_use_a_providers_key(stocked: House) -> None:
    from_wallet = stocked.provider_stub(as_service="wallet")
    code, reason, metadata = await told(from_wallet.PlaceBet(factory.bet("x" * 43), metadata=ACME))
    assert (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ALLOWED")
    assert metadata["caller"] == "acme"


# Reading.


async def test_authenticated_session_says_who_plays_what(
    stocked: House, clock: ManualClock
) -> None:
    token = await stocked.launch(currency_code="USD")
    request = provider_service_pb2.AuthenticateSessionRequest(session_token=token)
    response = await stocked.providers.AuthenticateSession(request, metadata=ACME)
    session = response.game_session
    assert (session.player_id, session.game_id) == (factory.PLAYER_ID, "plinko")
    assert (session.currency_code, session.state) == ("USD", game_pb2.GameSession.STATE_OPEN)
    assert session.expire_time.ToDatetime(clock.now().tzinfo) == clock.now() + timedelta(hours=8)
    assert response.balance.currency_code == "USD"
    assert response.balance.minor_units == 10_500
    (asked,) = stocked.wallet.requests
    assert (asked.player_id, asked.currency_code) == (factory.PLAYER_ID, "USD")


@pytest.mark.parametrize(
    ("end", "expected"), [each for each in ENDINGS if each.id != "game disabled"]
)
async def test_session_that_is_over_is_not_authenticated(
    stocked: House, end: Any, expected: Any
) -> None:
    token = await stocked.launch()
    await stocked.place_bet(token)
    await end(stocked)
    request = provider_service_pb2.AuthenticateSessionRequest(session_token=token)
    assert await told(stocked.providers.AuthenticateSession(request, metadata=ACME)) == expected


@pytest.mark.parametrize("end", [logged_out, expired, disabled])
async def test_balance_is_cash_and_bonus_also_after_the_session(stocked: House, end: Any) -> None:
    token = await stocked.launch()
    await end(stocked)
    request = provider_service_pb2.GetPlayerBalanceRequest(session_token=token)
    response = await stocked.providers.GetPlayerBalance(request, metadata=ACME)
    assert response.balance == euros(10_500)


# Moving money.


async def test_bet_reaches_the_ledger_under_the_providers_name(stocked: House) -> None:
    token = await stocked.launch()
    movement = await stocked.place_bet(
        token, transaction_id="t-1", round_id="r-7", amount=euros(250), end_round=True
    )
    (asked,) = stocked.wallet.requests
    assert (asked.source, asked.transaction_id, asked.round_id) == ("acme", "t-1", "r-7")
    assert (asked.player_id, asked.game_id) == (factory.PLAYER_ID, "plinko")
    assert asked.amount == euros(250)
    assert asked.close_round
    assert asked.wager_weight_bp == 5000
    assert (movement.seq, movement.outcome) == (1, "APPLIED")
    assert movement.balance == euros(10_250)
    now = stocked.clock.now()
    assert movement.create_time.ToDatetime(now.tzinfo) == now


async def test_bet_is_one_call_of_the_wallet(stocked: House) -> None:
    token = await stocked.launch()
    for _ in range(3):
        await stocked.place_bet(token)
    assert stocked.wallet.calls == ["Bet"] * 3


async def test_win_reaches_the_ledger_with_its_bet(stocked: House) -> None:
    token = await stocked.launch()
    await stocked.place_bet(token, transaction_id="t-1")
    request = factory.win(token, transaction_id="t-2", bet_transaction_id="t-1", end_round=True)
    movement = (await stocked.providers.PayWin(request, metadata=ACME)).movement
    asked = stocked.wallet.requests[-1]
    assert (asked.source, asked.transaction_id) == ("acme", "t-2")
    assert (asked.reference_transaction_id, asked.round_id) == ("t-1", "r-1")
    assert (asked.player_id, asked.game_id) == (factory.PLAYER_ID, "plinko")
    assert asked.amount == euros(250)
    assert asked.close_round
    assert (movement.seq, movement.outcome, movement.balance) == (2, "APPLIED", euros(10_650))


async def test_bet_with_its_win_reaches_the_ledger_in_one_call(stocked: House) -> None:
    token = await stocked.launch()
    request = factory.settled_bet(
        token,
        bet_transaction_id="t-1",
        win_transaction_id="t-2",
        round_id="r-7",
        bet_amount=euros(100),
        win_amount=euros(250),
        end_round=True,
    )
    answer = await stocked.providers.PlaceAndSettle(request, metadata=ACME)
    assert stocked.wallet.calls == ["BetWin"]
    (asked,) = stocked.wallet.requests
    assert (asked.source, asked.round_id) == ("acme", "r-7")
    assert (asked.bet_transaction_id, asked.win_transaction_id) == ("t-1", "t-2")
    assert (asked.player_id, asked.game_id) == (factory.PLAYER_ID, "plinko")
    assert (asked.bet_amount, asked.win_amount) == (euros(100), euros(250))
    assert asked.close_round
    assert asked.wager_weight_bp == 5000
    assert [(each.seq, each.outcome) for each in (answer.bet, answer.win)] == [
        (1, "APPLIED"),
        (2, "APPLIED"),
    ]
    assert (answer.bet.balance, answer.win.balance) == (euros(10_400), euros(10_650))
    [found] = await stocked.followed()
    assert (found.staked, found.won) == (euros(100), euros(250))
    assert found.state == game_pb2.Round.STATE_COMPLETE


async def test_bet_that_is_refused_with_its_win_tells_the_balance_before_both(
    stocked: House,
) -> None:
    token = await stocked.launch()
    request = factory.settled_bet(token, bet_amount=euros(10_001), win_amount=euros(20_000))
    for _ in range(2):
        assert await told(stocked.providers.PlaceAndSettle(request, metadata=ACME)) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "INSUFFICIENT_FUNDS",
            {"available_minor_units": "10000"},
        )
    assert await stocked.followed() == []


async def test_rollback_reaches_the_ledger_with_its_original(stocked: House) -> None:
    token = await stocked.launch()
    await stocked.place_bet(token, transaction_id="t-1")
    request = factory.rollback(token, "t-1", transaction_id="t-2", end_round=True)
    movement = (await stocked.providers.RollBack(request, metadata=ACME)).movement
    asked = stocked.wallet.requests[-1]
    assert (asked.source, asked.transaction_id) == ("acme", "t-2")
    assert (asked.original_transaction_id, asked.round_id) == ("t-1", "r-1")
    assert (asked.player_id, asked.currency_code) == (factory.PLAYER_ID, "EUR")
    assert asked.game_id == "plinko"
    assert asked.close_round
    assert (movement.outcome, movement.balance) == ("APPLIED", euros(10_500))


async def test_rollback_of_an_unknown_id_succeeds(stocked: House) -> None:
    token = await stocked.launch()
    request = factory.rollback(token, "never-seen")
    movement = (await stocked.providers.RollBack(request, metadata=ACME)).movement
    assert (movement.outcome, movement.balance) == ("NOTHING_TO_REVERSE", euros(10_500))


async def test_part_that_is_rolled_back_reaches_the_ledger(stocked: House) -> None:
    token = await stocked.launch()
    await stocked.place_bet(token, transaction_id="t-1")
    request = factory.rollback(
        token, "t-1", amount=euros(30), original_kind=game_pb2.MOVEMENT_KIND_BET
    )
    movement = (await stocked.providers.RollBack(request, metadata=ACME)).movement
    asked = stocked.wallet.requests[-1]
    assert asked.amount == euros(30)
    assert asked.original_kind == wallet_pb2.TRANSFER_KIND_BET
    assert (movement.outcome, movement.balance) == ("APPLIED", euros(10_430))
    for kind, expected in (
        (game_pb2.MOVEMENT_KIND_WIN, wallet_pb2.TRANSFER_KIND_WIN),
        (game_pb2.MOVEMENT_KIND_UNSPECIFIED, wallet_pb2.TRANSFER_KIND_UNSPECIFIED),
    ):
        request = factory.rollback(token, "t-1", original_kind=kind)
        await stocked.providers.RollBack(request, metadata=ACME)
        asked = stocked.wallet.requests[-1]
        assert asked.original_kind == expected
        assert not asked.HasField("amount")


@pytest.mark.parametrize("amount", [euros(0), euros(-1), euros(10**15 + 1)], ids=str)
async def test_part_that_breaks_the_contract_is_refused(stocked: House, amount: Any) -> None:
    token = await stocked.launch()
    request = factory.rollback(token, "t-1", amount=amount)
    code, reason, metadata = await told(stocked.providers.RollBack(request, metadata=ACME))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert metadata["fields"].startswith("amount")
    assert stocked.wallet.calls == []


async def test_round_end_reaches_the_ledger(stocked: House) -> None:
    token = await stocked.launch()
    request = factory.round_end(token, transaction_id="t-9", round_id="r-7")
    movement = (await stocked.providers.EndRound(request, metadata=ACME)).movement
    (asked,) = stocked.wallet.requests
    assert (asked.source, asked.transaction_id, asked.round_id) == ("acme", "t-9", "r-7")
    assert (asked.player_id, asked.currency_code) == (factory.PLAYER_ID, "EUR")
    assert asked.game_id == "plinko"
    assert (movement.outcome, movement.balance) == ("APPLIED", euros(10_500))
    again = factory.round_end(token, round_id="r-7")
    movement = (await stocked.providers.EndRound(again, metadata=ACME)).movement
    assert movement.outcome == "ALREADY_CLOSED"


async def test_amount_in_another_currency_is_refused(stocked: House) -> None:
    token = await stocked.launch()
    dollars = euros(100)
    dollars.currency_code = "USD"
    expected = (
        grpc.StatusCode.INVALID_ARGUMENT,
        "CURRENCY_MISMATCH",
        {"currency_code": "USD", "session_currency_code": "EUR"},
    )
    assert await told(stocked.place_bet(token, amount=dollars)) == expected
    win = factory.win(token, amount=dollars)
    assert await told(stocked.providers.PayWin(win, metadata=ACME)) == expected
    for amounts in ({"bet_amount": dollars}, {"win_amount": dollars}):
        settled = factory.settled_bet(token, **amounts)
        assert await told(stocked.providers.PlaceAndSettle(settled, metadata=ACME)) == expected
    back = factory.rollback(token, "t-1", amount=dollars)
    assert await told(stocked.providers.RollBack(back, metadata=ACME)) == expected
    assert stocked.wallet.calls == []


async def test_refusal_of_the_wallet_is_passed_on_whole(stocked: House) -> None:
    token = await stocked.launch()
    expected = (
        grpc.StatusCode.FAILED_PRECONDITION,
        "INSUFFICIENT_FUNDS",
        {"available_minor_units": "10000"},
    )
    request = factory.bet(token, amount=euros(10_001))
    for _ in range(2):
        assert await told(stocked.providers.PlaceBet(request, metadata=ACME)) == expected


async def test_wallet_that_is_away_is_unavailable(stocked: House) -> None:
    token = await stocked.launch()
    stocked.wallet.failure = unavailable()
    for name, request in calls(token).items():
        call = getattr(stocked.providers, name)
        assert await told(call(request, metadata=ACME)) == (
            grpc.StatusCode.UNAVAILABLE,
            "UNAVAILABLE",
            {"dependency": "wallet"},
        ), name


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"transaction_id": ""}, "transaction_id"),
        ({"transaction_id": "ü" * 65}, "transaction_id"),
        ({"round_id": ""}, "round_id"),
        ({"amount": None}, "amount"),
        ({"amount": euros(-1)}, "amount.minor_units"),
        ({"amount": euros(10**15 + 1)}, "amount.minor_units"),
    ],
)
async def test_bet_that_breaks_the_contract_is_refused(
    stocked: House, changes: Any, field: str
) -> None:
    token = await stocked.launch()
    code, reason, metadata = await told(stocked.place_bet(token, **changes))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert metadata == {"fields": field}
    assert stocked.wallet.calls == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"bet_transaction_id": ""}, "bet_transaction_id"),
        ({"win_transaction_id": "t" * 129}, "win_transaction_id"),
        ({"round_id": ""}, "round_id"),
        ({"bet_amount": None}, "bet_amount"),
        ({"win_amount": None}, "win_amount"),
        ({"bet_amount": euros(-1)}, "bet_amount.minor_units"),
        ({"win_amount": euros(10**15 + 1)}, "win_amount.minor_units"),
    ],
)
async def test_bet_with_its_win_that_breaks_the_contract_is_refused(
    stocked: House, changes: Any, field: str
) -> None:
    token = await stocked.launch()
    request = factory.settled_bet(token, **changes)
    code, reason, metadata = await told(stocked.providers.PlaceAndSettle(request, metadata=ACME))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert metadata == {"fields": field}
    assert stocked.wallet.calls == []


# What becomes of a session that is over.


@pytest.mark.parametrize("bets_before", [0, 1])
@pytest.mark.parametrize(("end", "expected"), ENDINGS)
async def test_new_bet_in_a_session_that_is_over_is_refused(
    stocked: House, end: Any, expected: Any, bets_before: int
) -> None:
    token = await stocked.launch()
    for _ in range(bets_before):
        await stocked.place_bet(token)
    await end(stocked)
    before = stocked.wallet.calls.count("Bet")
    assert await told(stocked.place_bet(token)) == expected
    settled = factory.settled_bet(token)
    assert await told(stocked.providers.PlaceAndSettle(settled, metadata=ACME)) == expected
    assert stocked.wallet.calls.count("Bet") == before
    assert stocked.wallet.calls.count("BetWin") == 0


@pytest.mark.parametrize("end", [logged_out, launched_again, expired, disabled])
async def test_what_is_owed_is_paid_after_the_session(stocked: House, end: Any) -> None:
    token = await stocked.launch()
    await stocked.place_bet(token, transaction_id="t-1")
    await end(stocked)
    win = factory.win(token, bet_transaction_id="t-1")
    assert (await stocked.providers.PayWin(win, metadata=ACME)).movement.outcome == "APPLIED"
    back = factory.rollback(token, "t-1")
    assert (await stocked.providers.RollBack(back, metadata=ACME)).movement.outcome == "APPLIED"
    close = factory.round_end(token)
    assert (await stocked.providers.EndRound(close, metadata=ACME)).movement.outcome == "APPLIED"
    late = factory.win(token)
    assert (await stocked.providers.PayWin(late, metadata=ACME)).movement.outcome == "APPLIED_LATE"


@pytest.mark.parametrize("end", [logged_out, launched_again, expired, disabled])
async def test_replay_gets_the_first_answer_also_after_the_session(
    stocked: House, end: Any
) -> None:
    token = await stocked.launch()
    bet = factory.bet(token)
    requests = [
        ("PlaceBet", bet),
        ("PayWin", factory.win(token)),
        ("PlaceAndSettle", factory.settled_bet(token)),
        ("RollBack", factory.rollback(token, bet.transaction_id)),
        ("EndRound", factory.round_end(token)),
    ]
    first = [await getattr(stocked.providers, name)(r, metadata=ACME) for name, r in requests]
    await end(stocked)
    for (name, request), answer in zip(requests, first, strict=True):
        call = getattr(stocked.providers, name)(request, metadata=ACME)
        assert await call == answer, name
        assert ("croupier-replayed", "1") in tuple(await call.trailing_metadata()), name


@pytest.mark.parametrize("end", [logged_out, launched_again, expired, disabled])
async def test_win_of_a_recorded_bet_is_paid_with_it_after_the_session(
    stocked: House, end: Any
) -> None:
    token = await stocked.launch()
    settled = factory.settled_bet(token)
    await stocked.place_bet(token, transaction_id=settled.bet_transaction_id)
    await end(stocked)
    call = stocked.providers.PlaceAndSettle(settled, metadata=ACME)
    answer = await call
    assert (answer.bet.outcome, answer.win.outcome) == ("APPLIED", "APPLIED")
    assert answer.win.balance == euros(10_650)
    assert ("croupier-replayed", "1") not in tuple(await call.trailing_metadata())


@pytest.mark.parametrize("end", [logged_out, launched_again, expired, disabled])
async def test_refused_bet_is_refused_the_same_way_after_the_session(
    stocked: House, end: Any
) -> None:
    token = await stocked.launch()
    request = factory.bet(token, amount=euros(20_000))
    first = await told(stocked.providers.PlaceBet(request, metadata=ACME))
    assert first[1] == "INSUFFICIENT_FUNDS"
    await end(stocked)
    assert await told(stocked.providers.PlaceBet(request, metadata=ACME)) == first


@pytest.mark.parametrize("end", [logged_out, launched_again, expired, disabled])
async def test_used_id_with_other_content_is_reused_also_after_the_session(
    stocked: House, end: Any
) -> None:
    token = await stocked.launch()
    await stocked.place_bet(token, transaction_id="t-1")
    await end(stocked)
    changed = stocked.place_bet(token, transaction_id="t-1", amount=euros(101))
    code, reason, _ = await told(changed)
    assert (code, reason) == (grpc.StatusCode.ALREADY_EXISTS, "KEY_REUSED")


async def test_bet_in_an_ended_session_is_not_refused_while_nobody_knows_whether_it_is_recorded(
    stocked: House,
) -> None:
    """FAILED_PRECONDITION is final for an id; a wallet that is away decides nothing."""
    token = await stocked.launch()
    await stocked.log_out()
    stocked.wallet.failure = unavailable()
    code, reason, _ = await told(stocked.place_bet(token))
    assert (code, reason) == (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")


async def test_first_answer_says_nothing_of_a_replay(stocked: House) -> None:
    token = await stocked.launch()
    call = stocked.providers.PlaceBet(factory.bet(token), metadata=ACME)
    await call
    assert "croupier-replayed" not in dict(tuple(await call.trailing_metadata()))


async def test_ended_is_told_before_expired_and_expired_before_disabled(stocked: House) -> None:
    ended = await stocked.launch()
    open_still = await stocked.launch(player_id=factory.OTHER_PLAYER_ID, login_id=new_uuid())
    await stocked.log_out()
    await expired(stocked)
    await disabled(stocked)
    assert await told(stocked.place_bet(ended)) == ENDED
    assert await told(stocked.place_bet(open_still)) == EXPIRED


async def test_game_that_is_enabled_again_takes_bets_again(stocked: House) -> None:
    token = await stocked.launch()
    await stocked.place_bet(token)
    await disabled(stocked)
    assert await told(stocked.place_bet(token)) == DISABLED
    await stocked.games.EnableGame(
        game_service_pb2.EnableGameRequest(game_id="plinko"), metadata=stocked.operator()
    )
    assert (await stocked.place_bet(token)).outcome == "APPLIED"


async def test_session_admits_bets_to_its_last_microsecond(stocked: House) -> None:
    token = await stocked.launch()
    stocked.clock.advance(timedelta(hours=8) - timedelta(microseconds=1))
    assert (await stocked.place_bet(token)).outcome == "APPLIED"
    stocked.clock.advance(timedelta(microseconds=1))
    assert await told(stocked.place_bet(token)) == EXPIRED


@pytest.mark.parametrize("sessions_cached_max", [0, 1])
async def test_bets_are_the_same_without_a_cache_and_with_a_small_one(
    closed_house: House, sessions_cached_max: int
) -> None:
    await closed_house.open(sessions_cached_max=sessions_cached_max)
    await closed_house.stock()
    await closed_house.games.CreateGame(
        factory.game(game_id="dice"), metadata=closed_house.operator()
    )
    tokens = [await closed_house.launch(), await closed_house.launch(game_id="dice")]
    for _ in range(2):
        for token in tokens:
            assert (await closed_house.place_bet(token)).outcome == "APPLIED"
    await closed_house.log_out()
    for token in tokens:
        assert await told(closed_house.place_bet(token)) == ENDED


async def test_sessions_outlive_a_restart(closed_house: House) -> None:
    await closed_house.start_neighbours()
    first = await closed_house.start_game()
    await closed_house.stock()
    token = await closed_house.launch()
    bet = factory.bet(token)
    answer = await closed_house.providers.PlaceBet(bet, metadata=ACME)
    await first.aclose()
    await closed_house.start_game()
    assert await closed_house.providers.PlaceBet(bet, metadata=ACME) == answer
    await closed_house.log_out()
    assert await told(closed_house.place_bet(token)) == ENDED
