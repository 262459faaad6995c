import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import grpc
import pytest
from croupier.event.v1 import feed_service_pb2, feed_service_pb2_grpc
from croupier.game.v1 import game_pb2, game_service_pb2
from sqlalchemy import func, select

from services.game.tables import GAME_SESSION, LOGIN_SESSION, OUTBOX
from tests.factories import game as factory
from tests.game.doubles import refused, unavailable
from tests.game.house import ACME, LOGIN_ID, House, new_uuid
from tests.kit.refusals import Told, told
from tests.kit.tokens import TokenIssuer
from tests.kit.waiting import until

ENDED = Told(grpc.StatusCode.FAILED_PRECONDITION, "SESSION_ENDED", {})


def launching(house: House, *, login_id: str = LOGIN_ID, **changes: Any) -> Any:
    return house.games.LaunchGame(
        factory.launch(**changes), metadata=house.login(login_id=login_id), timeout=20
    )


async def sessions(house: House) -> dict[str, int]:
    """Counts the stored sessions by their state."""
    async with house.database.snapshot() as connection:
        rows = await connection.execute(
            select(GAME_SESSION.c.state, func.count().label("sessions")).group_by(
                GAME_SESSION.c.state
            )
        )
        return {row.state: row.sessions for row in rows}


# The launch itself.


async def test_launch_opens_a_session_and_asks_the_provider(stocked: House) -> None:
    response = await launching(
        stocked, locale="de-DE", return_url="https://casino.example/lobby", currency_code="USD"
    )
    session = response.game_session
    now = stocked.clock.now()
    assert session.player_id == factory.PLAYER_ID
    assert (session.game_id, session.provider_id) == ("plinko", "acme")
    assert (session.currency_code, session.state) == ("USD", game_pb2.GameSession.STATE_OPEN)
    assert session.create_time.ToDatetime(now.tzinfo) == now
    assert session.expire_time.ToDatetime(now.tzinfo) == now + timedelta(hours=8)
    (asked,) = stocked.acme.opened
    assert stocked.acme.callers == ["game"]
    assert (asked.game_id, asked.currency_code) == ("plinko", "USD")
    assert (asked.locale, asked.return_url) == ("de-DE", "https://casino.example/lobby")
    assert (asked.player.player_id, asked.player.country_code) == (factory.PLAYER_ID, "MT")
    assert asked.player.currency_code == "EUR"
    assert response.launch_url == f"https://games.example/plinko?token={asked.session_token}"
    assert stocked.player.checked == [factory.PLAYER_ID]
    assert stocked.bolt.opened == []


async def test_locale_is_english_unless_told(stocked: House) -> None:
    await launching(stocked)
    assert stocked.acme.opened[0].locale == "en"


async def test_token_has_256_bits_and_is_stored_only_as_a_hash(stocked: House) -> None:
    tokens = {await stocked.launch(login_id=new_uuid()) for _ in range(3)}
    assert len(tokens) == 3
    assert all(len(token) == 43 for token in tokens)
    async with stocked.database.snapshot() as connection:
        stored = list(await connection.scalars(select(GAME_SESSION.c.token_hash)))
    assert len({bytes(each) for each in stored}) == 3
    assert all(len(each) == 32 for each in stored)
    assert not {token.encode() for token in tokens} & {bytes(each) for each in stored}


async def test_provider_may_use_the_session_before_it_answers(stocked: House) -> None:
    stocked.acme.held = asyncio.Event()
    launch = asyncio.ensure_future(launching(stocked))
    await asyncio.wait_for(stocked.acme.entered.wait(), 10)
    movement = await stocked.place_bet(stocked.acme.session_token)
    assert movement.outcome == "APPLIED"
    stocked.acme.held.set()
    await launch


async def test_session_of_the_settings_life(closed_house: House) -> None:
    await closed_house.open(session_life=timedelta(minutes=5))
    await closed_house.stock()
    session = (await launching(closed_house)).game_session
    assert session.expire_time.seconds - session.create_time.seconds == 300


# Whom it refuses.


async def test_launch_is_for_players_only(stocked: House) -> None:
    request = factory.launch()
    anonymous = await told(stocked.games.LaunchGame(request))
    assert anonymous[:2] == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_MISSING")
    operator = await told(stocked.games.LaunchGame(request, metadata=stocked.operator()))
    assert operator[:2] == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ALLOWED")
    forged = TokenIssuer("test-key").player(factory.PLAYER_ID)
    forger = await told(stocked.games.LaunchGame(request, metadata=forged))
    assert forger[:2] == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_INVALID")
    assert stocked.acme.opened == []


async def test_unknown_game_is_refused(stocked: House) -> None:
    assert await told(launching(stocked, game_id="chess")) == (
        grpc.StatusCode.NOT_FOUND,
        "GAME_NOT_FOUND",
        {"game_id": "chess"},
    )


async def test_disabled_game_is_refused(stocked: House) -> None:
    await stocked.games.DisableGame(
        game_service_pb2.DisableGameRequest(game_id="plinko"), metadata=stocked.operator()
    )
    assert await told(launching(stocked)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "GAME_DISABLED",
        {"game_id": "plinko"},
    )


async def test_currency_that_is_not_offered_is_refused(stocked: House) -> None:
    assert await told(launching(stocked, currency_code="JPY")) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "CURRENCY_NOT_OFFERED",
        {"game_id": "plinko", "currency_code": "JPY"},
    )


@pytest.mark.parametrize("return_url", ["http://casino.example", "javascript:alert(1)"])
async def test_return_url_that_is_not_https_is_refused(stocked: House, return_url: str) -> None:
    code, reason, metadata = await told(launching(stocked, return_url=return_url))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert metadata == {"fields": "return_url"}


@pytest.mark.parametrize(
    ("code", "reason", "metadata"),
    [
        (grpc.StatusCode.FAILED_PRECONDITION, "EXCLUDED", {"end_time": "2027-02-01T00:00:00Z"}),
        (grpc.StatusCode.FAILED_PRECONDITION, "NOT_ACTIVE", {"state": "STATE_BLOCKED"}),
        (grpc.StatusCode.NOT_FOUND, "PLAYER_NOT_FOUND", {"player_id": factory.PLAYER_ID}),
    ],
)
async def test_players_reason_is_passed_on_and_nothing_opens(
    stocked: House, code: grpc.StatusCode, reason: str, metadata: dict[str, str]
) -> None:
    stocked.player.refusal = refused(code, reason, **metadata)
    assert await told(launching(stocked)) == (code, reason, metadata)
    assert stocked.acme.opened == []
    assert await sessions(stocked) == {}


async def test_player_service_that_is_away_is_unavailable(stocked: House) -> None:
    stocked.player.refusal = unavailable()
    assert await told(launching(stocked)) == (
        grpc.StatusCode.UNAVAILABLE,
        "UNAVAILABLE",
        {"dependency": "player"},
    )
    assert await sessions(stocked) == {}


# What providers do wrong.

PROVIDER_UNAVAILABLE = Told(
    grpc.StatusCode.UNAVAILABLE,
    "PROVIDER_UNAVAILABLE",
    {"provider_id": "acme"},
)


@pytest.mark.parametrize(
    "failure",
    [
        unavailable(),
        refused(grpc.StatusCode.FAILED_PRECONDITION, "INSUFFICIENT_FUNDS", secret="x"),
        ValueError("a fault of the provider"),
    ],
    ids=["unavailable", "refusal", "fault"],
)
async def test_provider_that_answers_with_an_error_ends_the_session(
    stocked: House, failure: Exception
) -> None:
    stocked.acme.failure = failure
    assert await told(launching(stocked)) == PROVIDER_UNAVAILABLE
    assert await sessions(stocked) == {"ended": 1}
    assert await told(stocked.place_bet(stocked.acme.session_token)) == ENDED


@pytest.mark.parametrize(
    "url", ["", "http://games.example", "javascript:alert(1)", "https://", "https://" + "x" * 2000]
)
async def test_launch_url_that_breaks_the_contract_ends_the_session(
    stocked: House, url: str
) -> None:
    stocked.acme.launch_url = url
    assert await told(launching(stocked)) == PROVIDER_UNAVAILABLE
    assert await sessions(stocked) == {"ended": 1}


async def test_provider_that_does_not_answer_in_time_ends_the_session(stocked: House) -> None:
    stocked.acme.held = asyncio.Event()
    assert await told(launching(stocked)) == PROVIDER_UNAVAILABLE
    assert await told(stocked.place_bet(stocked.acme.session_token)) == ENDED


async def test_provider_that_nobody_reaches_ends_the_session(stocked: House) -> None:
    await stocked.servers["acme"].stop()
    assert await told(launching(stocked)) == PROVIDER_UNAVAILABLE
    assert await sessions(stocked) == {"ended": 1}


async def test_provider_with_the_certificate_of_another_is_not_trusted(stocked: House) -> None:
    await stocked.games.CreateProvider(
        factory.provider(provider_id="cuckoo", launch_address=stocked.addresses["bolt"]),
        metadata=stocked.operator(),
    )
    await stocked.games.CreateGame(
        factory.game(game_id="nest", provider_id="cuckoo"), metadata=stocked.operator()
    )
    code, reason, metadata = await told(launching(stocked, game_id="nest"))
    assert (code, reason) == (grpc.StatusCode.UNAVAILABLE, "PROVIDER_UNAVAILABLE")
    assert metadata == {"provider_id": "cuckoo"}
    assert stocked.bolt.opened == []


async def test_launch_that_the_player_leaves_ends_the_session(stocked: House) -> None:
    stocked.acme.held = asyncio.Event()
    launch = launching(stocked)
    await asyncio.wait_for(stocked.acme.entered.wait(), 10)
    launch.cancel()

    async def ended() -> bool:
        return await sessions(stocked) == {"ended": 1}

    await until(ended)
    assert await told(stocked.place_bet(stocked.acme.session_token)) == ENDED


# A second launch.


async def test_second_launch_of_a_game_ends_the_first_session(stocked: House) -> None:
    first = await stocked.launch()
    await stocked.place_bet(first)
    second = await stocked.launch(login_id=new_uuid())
    assert await told(stocked.place_bet(first)) == ENDED
    assert (await stocked.place_bet(second)).outcome == "APPLIED"


async def test_launch_of_another_game_leaves_the_first_session(stocked: House) -> None:
    await stocked.games.CreateGame(factory.game(game_id="dice"), metadata=stocked.operator())
    first = await stocked.launch()
    second = await stocked.launch(game_id="dice")
    other = await stocked.launch(player_id=factory.OTHER_PLAYER_ID, login_id=new_uuid())
    for token in (first, second, other):
        assert (await stocked.place_bet(token)).outcome == "APPLIED"


async def test_launches_at_once_leave_one_open_session(stocked: House) -> None:
    await asyncio.gather(*(launching(stocked) for _ in range(8)))
    assert await sessions(stocked) == {"open": 1, "ended": 7}
    admitted = []
    for opened in stocked.acme.opened:
        try:
            admitted.append(await stocked.place_bet(opened.session_token))
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.FAILED_PRECONDITION  # noqa: PT017 (counted)
    assert len(admitted) == 1


@pytest.mark.parametrize("opened_before", [0, 1])
async def test_launches_from_many_logins_at_once_are_all_answered(
    stocked: House, opened_before: int
) -> None:
    for _ in range(opened_before):
        await launching(stocked)
    await meet(stocked, [launching(stocked, login_id=new_uuid()) for _ in range(10)])
    assert await sessions(stocked) == {"open": 1, "ended": 9 + opened_before}


async def test_launches_from_one_login_at_once_are_all_answered(stocked: House) -> None:
    await meet(stocked, [launching(stocked) for _ in range(10)])
    assert await sessions(stocked) == {"open": 1, "ended": 9}


async def test_launches_of_many_players_at_once_are_all_answered(stocked: House) -> None:
    await meet(
        stocked,
        [
            stocked.games.LaunchGame(
                factory.launch(),
                metadata=stocked.login(player_id=new_uuid(), login_id=new_uuid()),
                timeout=20,
            )
            for _ in range(10)
        ],
    )
    assert await sessions(stocked) == {"open": 10}


async def meet(house: House, launches: Sequence[Any]) -> None:
    """Holds launches until each has passed the checks, lets them go, and sees all succeed."""
    house.player.held = asyncio.Event()
    before = len(house.player.checked)
    answers = asyncio.gather(*launches)

    async def all_held() -> bool:
        return len(house.player.checked) == before + len(launches)

    await until(all_held)
    house.player.held.set()
    await answers


async def test_feed_of_launches_is_pruned_as_the_settings_say(closed_house: House) -> None:
    await closed_house.open(
        feed_consumers=["analytics"],
        feed_keep=timedelta(minutes=1),
        feed_prune_every=timedelta(milliseconds=20),
    )
    await closed_house.stock()
    await launching(closed_house)
    await launching(closed_house, login_id=new_uuid())
    closed_house.clock.advance(timedelta(minutes=2))
    feed: Any = feed_service_pb2_grpc.FeedServiceStub(
        closed_house.connect(closed_house.port, to="game", as_service="analytics")
    )
    handled = feed.Subscribe(feed_service_pb2.SubscribeRequest(after_seq=1), timeout=20)
    await handled.read()
    assert [event.seq for event in (await handled.read()).events] == [2]
    handled.cancel()

    async def pruned() -> bool:
        async with closed_house.database.snapshot() as connection:
            kept = await connection.scalars(select(OUTBOX.event.c.seq))
            return list(kept) == [2]

    await until(pruned)
    late = feed.Subscribe(feed_service_pb2.SubscribeRequest(after_seq=0), timeout=20)
    assert await told(late.read()) == (
        grpc.StatusCode.OUT_OF_RANGE,
        "SEQ_NOT_AVAILABLE",
        {"first_seq": "2", "last_seq": "2"},
    )


# The logout.


async def test_only_security_ends_sessions(stocked: House) -> None:
    request = game_service_pb2.EndGameSessionsRequest(login_session_ids=[LOGIN_ID])
    request.token_expire_time.FromDatetime(stocked.clock.now())
    code, reason, metadata = await told(stocked.games.EndGameSessions(request))
    assert (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ALLOWED")
    assert metadata["caller"] == "edge"


async def test_logout_ends_the_sessions_of_its_login(stocked: House) -> None:
    await stocked.games.CreateGame(factory.game(game_id="dice"), metadata=stocked.operator())
    other_login = new_uuid()
    tokens = [await stocked.launch(), await stocked.launch(game_id="dice")]
    other = await stocked.launch(player_id=factory.OTHER_PLAYER_ID, login_id=other_login)
    for token in (*tokens, other):
        await stocked.place_bet(token)
    assert await stocked.log_out() == 2
    for token in tokens:
        assert await told(stocked.place_bet(token)) == ENDED
    assert (await stocked.place_bet(other)).outcome == "APPLIED"


async def test_logout_twice_counts_once(stocked: House) -> None:
    token = await stocked.launch()
    assert await stocked.log_out(LOGIN_ID, new_uuid()) == 1
    assert await stocked.log_out(LOGIN_ID) == 0
    assert await told(stocked.place_bet(token)) == ENDED


async def test_logout_written_in_capitals_is_the_same_login(stocked: House) -> None:
    await stocked.launch()
    assert await stocked.log_out(LOGIN_ID.upper()) == 1


async def test_launch_after_logout_is_refused_with_a_token_that_is_still_valid(
    stocked: House,
) -> None:
    await stocked.log_out()
    stocked.clock.advance(timedelta(minutes=14))
    assert await told(launching(stocked)) == (
        grpc.StatusCode.UNAUTHENTICATED,
        "LOGIN_ENDED",
        {},
    )
    assert stocked.player.checked == []
    await launching(stocked, login_id=new_uuid())


async def test_logout_while_the_player_is_checked_refuses_the_launch(stocked: House) -> None:
    stocked.player.held = asyncio.Event()
    launch = launching(stocked)
    await asyncio.wait_for(stocked.player.entered.wait(), 10)
    assert await stocked.log_out() == 0
    stocked.player.held.set()
    assert await told(launch) == (grpc.StatusCode.UNAUTHENTICATED, "LOGIN_ENDED", {})
    assert stocked.acme.opened == []
    assert await sessions(stocked) == {}


async def test_game_that_is_disabled_while_the_player_is_checked_is_refused(
    stocked: House,
) -> None:
    stocked.player.held = asyncio.Event()
    launch = launching(stocked)
    await asyncio.wait_for(stocked.player.entered.wait(), 10)
    await stocked.games.DisableGame(
        game_service_pb2.DisableGameRequest(game_id="plinko"), metadata=stocked.operator()
    )
    stocked.player.held.set()
    assert (await told(launch))[1] == "GAME_DISABLED"
    assert await sessions(stocked) == {}


async def test_logout_while_the_provider_opens_the_game_ends_the_session(stocked: House) -> None:
    stocked.acme.held = asyncio.Event()
    launch = launching(stocked)
    await asyncio.wait_for(stocked.acme.entered.wait(), 10)
    assert await stocked.log_out() == 1
    stocked.acme.held.set()
    await launch
    assert await told(stocked.place_bet(stocked.acme.session_token)) == ENDED


async def test_launches_and_logouts_at_once_leave_no_open_session(stocked: House) -> None:
    for _ in range(5):
        login_id = new_uuid()
        launches = [launching(stocked, login_id=login_id) for _ in range(3)]
        await asyncio.gather(*launches, stocked.log_out(login_id), return_exceptions=True)
        assert "open" not in await sessions(stocked)


async def test_bet_after_the_logout_answered_is_never_accepted(stocked: House) -> None:
    """Bets run all the time; whichever begins after the answer is refused."""
    token = await stocked.launch()
    done = asyncio.Event()
    after: list[Any] = []

    async def play() -> None:
        while True:
            ended = done.is_set()
            try:
                await stocked.place_bet(token)
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.FAILED_PRECONDITION  # noqa: PT017 (counted)
                return
            if ended:
                after.append("accepted")
                return

    playing = [asyncio.ensure_future(play()) for _ in range(6)]

    async def under_way() -> bool:
        return len(stocked.wallet.calls) >= 20

    await until(under_way)
    assert await stocked.log_out() == 1
    done.set()
    await asyncio.wait_for(asyncio.gather(*playing), 20)
    assert after == []


async def test_login_is_forgotten_once_its_tokens_have_expired(stocked: House) -> None:
    first, second = new_uuid(), new_uuid()
    await stocked.log_out(first)
    stocked.clock.advance(timedelta(minutes=21))
    await stocked.log_out(second)
    async with stocked.database.snapshot() as connection:
        kept = list(await connection.scalars(select(LOGIN_SESSION.c.login_session_id)))
    assert kept == [second]


async def test_shorter_token_life_does_not_shorten_an_earlier_logout(stocked: House) -> None:
    hour = stocked.clock.now() + timedelta(hours=1)
    await stocked.log_out(token_expire_time=hour)
    await stocked.log_out(token_expire_time=stocked.clock.now())
    stocked.clock.advance(timedelta(minutes=59))
    await stocked.log_out(new_uuid())
    code, reason, _ = await told(launching(stocked))
    assert (code, reason) == (grpc.StatusCode.UNAUTHENTICATED, "LOGIN_ENDED")


@pytest.mark.parametrize("count", [0, 1001])
async def test_logout_of_none_or_too_many_is_refused(stocked: House, count: int) -> None:
    request = game_service_pb2.EndGameSessionsRequest(
        login_session_ids=[new_uuid() for _ in range(count)]
    )
    request.token_expire_time.FromDatetime(stocked.clock.now())
    code, reason, metadata = await told(stocked.from_security.EndGameSessions(request))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert metadata == {"fields": "login_session_ids"}


async def test_thousand_logins_end_in_one_call(stocked: House) -> None:
    token = await stocked.launch()
    await stocked.place_bet(token)
    assert await stocked.log_out(LOGIN_ID, *(new_uuid() for _ in range(999))) == 1
    assert await told(stocked.place_bet(token)) == ENDED


# The log of events.


async def test_launch_is_an_event_for_analytics(stocked: House) -> None:
    session = (await launching(stocked)).game_session
    analytics: Any = feed_service_pb2_grpc.FeedServiceStub(
        stocked.connect(stocked.port, to="game", as_service="analytics")
    )
    stream = analytics.Subscribe(feed_service_pb2.SubscribeRequest(after_seq=0), timeout=20)
    events: list[Any] = []
    async for response in stream:
        events += response.events
        if events:
            break
    stream.cancel()
    (event,) = events
    assert event.seq == 1
    launched = event.game_launched
    assert launched.game_session_id == session.game_session_id
    assert (launched.player_id, launched.game_id) == (factory.PLAYER_ID, "plinko")
    assert (launched.provider_id, launched.currency_code) == ("acme", "EUR")


async def test_feed_is_not_for_everybody(stocked: House) -> None:
    edge: Any = feed_service_pb2_grpc.FeedServiceStub(
        stocked.connect(stocked.port, to="game", as_service="edge")
    )

    async def first() -> Any:
        return await edge.Subscribe(feed_service_pb2.SubscribeRequest(), metadata=ACME).read()

    code, reason, _ = await told(first())
    assert (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ALLOWED")
