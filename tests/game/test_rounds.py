import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, timedelta
from typing import Any

import grpc
import pytest
from croupier.event.v1.event_pb2 import Event
from croupier.game.v1 import game_pb2, game_service_pb2
from sqlalchemy import func, select

from services.game.clients import WalletClient, steps_of
from services.game.service import Rounds
from services.game.tables import FEED_CURSOR, ROUND
from services.kit.database import Transaction
from services.kit.feed import Follower
from tests.factories import game as factory
from tests.factories.game import euros
from tests.game.doubles import unavailable
from tests.game.house import ACME, House, new_uuid
from tests.game.ledger import Traffic
from tests.kit.refusals import told
from tests.kit.waiting import until

State = game_pb2.Round.State
SEED = 20270115


async def listed(house: House, player_id: str = factory.PLAYER_ID, **changes: Any) -> Any:
    return await house.games.ListRounds(
        game_service_pb2.ListRoundsRequest(**changes), metadata=house.login(player_id)
    )


def shown(rounds: Sequence[game_pb2.Round]) -> list[tuple[str, str, str, int, int, int]]:
    return [
        (
            each.provider_id,
            each.provider_round_id,
            State.Name(each.state),
            each.staked.minor_units,
            each.won.minor_units,
            each.bet_count,
        )
        for each in rounds
    ]


async def all_rounds(house: House, player_id: str) -> list[game_pb2.Round]:
    found: list[game_pb2.Round] = []
    token = ""
    while True:
        page = await listed(house, player_id, page_size=500, page_token=token)
        found += page.rounds
        token = page.next_page_token
        if not token:
            return found


# What a round shows.


async def test_round_follows_its_movements(stocked: House) -> None:
    token = await stocked.launch()
    began = stocked.clock.now()
    await stocked.place_bet(token, amount=euros(100))
    (round_,) = await stocked.followed()
    assert (round_.provider_round_id, round_.provider_id) == ("r-1", "acme")
    assert (round_.game_id, round_.state) == ("plinko", State.STATE_IN_PROGRESS)
    assert (round_.staked, round_.won, round_.bet_count) == (euros(100), euros(0), 1)
    assert round_.start_time.ToDatetime(UTC) == began
    assert not round_.HasField("end_time")
    stocked.clock.advance(timedelta(seconds=3))
    await stocked.place_bet(token, amount=euros(50))
    win = factory.win(token, amount=euros(400), end_round=True)
    await stocked.providers.PayWin(win, metadata=ACME)
    (ended,) = await stocked.followed()
    assert ended.round_id == round_.round_id
    assert ended.state == State.STATE_COMPLETE
    assert (ended.staked, ended.won, ended.bet_count) == (euros(150), euros(400), 2)
    assert ended.start_time == round_.start_time
    assert ended.end_time.ToDatetime(UTC) == stocked.clock.now()


async def test_round_whose_bets_were_all_rolled_back_is_cancelled(stocked: House) -> None:
    token = await stocked.launch()
    for number in (1, 2):
        await stocked.place_bet(token, transaction_id=f"t-{number}")
    await stocked.providers.RollBack(factory.rollback(token, "t-1"), metadata=ACME)
    (half,) = await stocked.followed()
    assert shown([half]) == [("acme", "r-1", "STATE_IN_PROGRESS", 100, 0, 2)]
    await stocked.providers.RollBack(factory.rollback(token, "t-2"), metadata=ACME)
    await stocked.providers.RollBack(factory.rollback(token, "t-2"), metadata=ACME)
    (cancelled,) = await stocked.followed()
    assert shown([cancelled]) == [("acme", "r-1", "STATE_CANCELLED", 0, 0, 2)]
    assert cancelled.HasField("end_time")


async def test_round_of_which_parts_are_rolled_back_is_cancelled_by_the_last(
    stocked: House,
) -> None:
    token = await stocked.launch()
    await stocked.place_bet(token, transaction_id="t-1")
    for amount, staked, state in (
        (30, 70, "STATE_IN_PROGRESS"),
        (50, 20, "STATE_IN_PROGRESS"),
        (20, 0, "STATE_CANCELLED"),
    ):
        back = factory.rollback(token, "t-1", amount=euros(amount))
        await stocked.providers.RollBack(back, metadata=ACME)
        assert shown(await stocked.followed()) == [("acme", "r-1", state, staked, 0, 1)]


async def test_rollback_counts_in_the_round_of_its_original(stocked: House) -> None:
    token = await stocked.launch()
    await stocked.place_bet(token, transaction_id="t-1")
    other = factory.rollback(token, "t-1", round_id="mistaken")
    await stocked.providers.RollBack(other, metadata=ACME)
    assert shown(await stocked.followed()) == [("acme", "r-1", "STATE_CANCELLED", 0, 0, 1)]


async def test_refused_bet_makes_no_round(stocked: House) -> None:
    token = await stocked.launch()
    await told(stocked.place_bet(token, amount=euros(20_000)))
    await stocked.providers.RollBack(factory.rollback(token, "never-seen"), metadata=ACME)
    assert await stocked.followed() == []


async def test_late_win_is_shown_in_a_complete_round(stocked: House) -> None:
    token = await stocked.launch()
    await stocked.place_bet(token, end_round=True)
    await stocked.log_out()
    stocked.clock.advance(timedelta(days=90))
    await stocked.providers.PayWin(factory.win(token), metadata=ACME)
    assert shown(await stocked.followed()) == [("acme", "r-1", "STATE_COMPLETE", 100, 250, 1)]


async def test_replay_counts_once(stocked: House) -> None:
    token = await stocked.launch()
    request = factory.bet(token)
    for _ in range(3):
        await stocked.providers.PlaceBet(request, metadata=ACME)
    assert shown(await stocked.followed()) == [("acme", "r-1", "STATE_IN_PROGRESS", 100, 0, 1)]


async def test_players_of_one_live_table_have_rounds_of_their_own(stocked: House) -> None:
    mine = await stocked.launch()
    await stocked.place_bet(mine, amount=euros(10))
    theirs = await stocked.launch(player_id=factory.OTHER_PLAYER_ID, login_id=new_uuid())
    await stocked.place_bet(theirs, amount=euros(20))
    assert shown(await stocked.followed()) == [("acme", "r-1", "STATE_IN_PROGRESS", 10, 0, 1)]
    other = await stocked.followed(factory.OTHER_PLAYER_ID)
    assert shown(other) == [("acme", "r-1", "STATE_IN_PROGRESS", 20, 0, 1)]


# How they are listed.


async def test_rounds_are_for_players_only(stocked: House) -> None:
    request = game_service_pb2.ListRoundsRequest()
    anonymous = await told(stocked.games.ListRounds(request))
    assert anonymous[:2] == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_MISSING")
    operator = await told(stocked.games.ListRounds(request, metadata=stocked.operator()))
    assert operator[:2] == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ALLOWED")


async def test_rounds_are_listed_newest_first_and_page_by_page(stocked: House) -> None:
    token = await stocked.launch()
    for number in range(7):
        await stocked.place_bet(token, round_id=f"r-{number}", amount=euros(1))
    whole = [each.provider_round_id for each in await stocked.followed()]
    assert whole == [f"r-{number}" for number in reversed(range(7))]
    paged: list[str] = []
    page_token = ""
    for _ in range(4):
        page = await listed(stocked, page_size=2, page_token=page_token)
        paged += [each.provider_round_id for each in page.rounds]
        page_token = page.next_page_token
    assert page_token == ""
    assert paged == whole


async def test_page_token_of_another_player_is_refused(stocked: House) -> None:
    token = await stocked.launch()
    for number in range(2):
        await stocked.place_bet(token, round_id=f"r-{number}")
    await stocked.followed()
    page_token = (await listed(stocked, page_size=1)).next_page_token
    stolen = listed(stocked, factory.OTHER_PLAYER_ID, page_size=1, page_token=page_token)
    assert (await told(stolen))[:2] == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "PAGE_TOKEN_INVALID",
    )


@pytest.mark.parametrize("page_size", [-1, 501])
async def test_page_that_is_too_large_is_refused(stocked: House, page_size: int) -> None:
    code, reason, metadata = await told(listed(stocked, page_size=page_size))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert metadata == {"fields": "page_size"}


# How they are derived.


async def test_random_traffic_makes_the_rounds_that_a_model_counts(house: House) -> None:
    traffic = Traffic(house.wallet.log, SEED)
    traffic.run(1_300)
    await house.followed()
    for player_id in (factory.PLAYER_ID, factory.OTHER_PLAYER_ID):
        assert shown(await all_rounds(house, player_id)) == traffic.listed(player_id), SEED


async def test_batch_that_fails_half_way_leaves_nothing_and_is_taken_again(
    closed_house: House,
) -> None:
    house = closed_house
    await house.start_neighbours()
    traffic = Traffic(house.wallet.log, SEED)
    traffic.run(700)
    rounds = Rounds(house.database)
    seen_after_failure: list[int] = []
    failures = 2

    async def derive(connection: Transaction, events: Sequence[Event]) -> None:
        nonlocal failures
        await rounds.apply(connection, steps_of(events))
        if failures:
            failures -= 1
            raise unavailable()
        async with house.database.snapshot() as other:
            seen_after_failure.append(
                int(await other.scalar(select(func.count()).select_from(ROUND)) or 0)
            )

    wallet = WalletClient(
        house.addresses["wallet"],
        identity=house.authority.identity("game"),
        timeout=timedelta(seconds=5),
    )
    follower = Follower(
        wallet.peer,
        house.database,
        FEED_CURSOR,
        derive,
        clock=house.clock,
        pause_max=timedelta(milliseconds=20),
    )
    following = asyncio.ensure_future(follower.run())
    try:
        await until(lambda: _is_at(house, 700))
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await wallet.close()
    assert failures == 0
    assert seen_after_failure[0] == 0
    await house.start_game()
    for player_id in (factory.PLAYER_ID, factory.OTHER_PLAYER_ID):
        assert shown(await all_rounds(house, player_id)) == traffic.listed(player_id), SEED


async def _is_at(house: House, seq: int) -> bool:
    return await _cursor(house) == seq


async def _cursor(house: House) -> int:
    async with house.database.snapshot() as connection:
        return int(await connection.scalar(select(FEED_CURSOR.c.seq)) or 0)


async def test_process_that_is_killed_again_and_again_makes_the_same_rounds(
    closed_house: House,
) -> None:
    house = closed_house
    await house.start_neighbours()
    traffic = Traffic(house.wallet.log, SEED)
    traffic.run(12_000)
    settings = house.settings()
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((".", "generated")),
        "CROUPIER_TLS_CERTIFICATE": str(settings.tls_certificate),
        "CROUPIER_TLS_KEY": str(settings.tls_key),
        "CROUPIER_TLS_AUTHORITY": str(settings.tls_authority),
        "CROUPIER_DATABASE_URL": settings.database_url,
        "CROUPIER_SECURITY_ADDRESS": settings.security_address,
        "CROUPIER_PLAYER_ADDRESS": settings.player_address,
        "CROUPIER_WALLET_ADDRESS": settings.wallet_address,
        "CROUPIER_LOG_LEVEL": "error",
    }
    killed_at: list[int] = []
    for goal in (500, 4_000, 8_000):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.game", env=environment, start_new_session=True
        )
        try:
            await until(lambda goal=goal: _is_past(house, goal), seconds=60)
        finally:
            process.send_signal(signal.SIGKILL)
            await process.wait()
        killed_at.append(await _cursor(house))
    assert killed_at == sorted(set(killed_at))
    assert killed_at[-1] < house.wallet.log.last_seq
    await house.start_game()
    await until(lambda: _is_at(house, house.wallet.log.last_seq), seconds=60)
    for player_id in (factory.PLAYER_ID, factory.OTHER_PLAYER_ID):
        assert shown(await all_rounds(house, player_id)) == traffic.listed(player_id), SEED


async def _is_past(house: House, seq: int) -> bool:
    return await _cursor(house) >= seq


async def test_wallet_that_was_away_is_followed_again(stocked: House) -> None:
    token = await stocked.launch()
    await stocked.place_bet(token)
    await stocked.followed()
    port = int(stocked.addresses["wallet"].rpartition(":")[2])
    await stocked.servers["wallet"].stop()
    await stocked.start_wallet(port=port)
    await until(lambda: _can_bet(stocked, token))
    rounds = await stocked.followed()
    assert rounds[0].bet_count == stocked.wallet.log.last_seq


async def _can_bet(house: House, token: str) -> bool:
    try:
        await house.place_bet(token)
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017 (expected for a while)
        return False
    return True
