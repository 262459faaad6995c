import asyncio
import traceback
from datetime import timedelta
from typing import Any

import grpc
import pytest
from croupier.player.v1 import player_service_pb2
from structlog.testing import capture_logs

from services.kit.database import Database
from services.player.domain import IdentityState, State
from services.player.store import players
from tests.factories.player import changed, registration
from tests.kit.refusals import told
from tests.kit.waiting import until
from tests.player.world import Player, World

HOLD = timedelta(minutes=15)


async def test_registration_makes_credential_and_wallet(world: World) -> None:
    request = registration()
    player = (await world.stub().RegisterPlayer(request)).player

    assert player.state == Player.STATE_ACTIVE
    assert player.identity_state == Player.IDENTITY_STATE_PENDING
    assert player.email == request.email
    assert player.given_name == request.given_name
    assert player.family_name == request.family_name
    assert player.date_of_birth == request.date_of_birth
    assert player.country_code == request.country_code
    assert player.currency_code == request.currency_code
    assert player.create_time.ToDatetime() == world.clock.now().replace(tzinfo=None)
    assert not player.HasField("exclusion")
    assert world.security.credentials == {request.email: (player.player_id, request.password)}
    assert world.wallet.wallets == {player.player_id: "EUR"}
    assert await world.get(player.player_id) == player


async def test_repeat_is_answered_as_the_first_call_and_asks_nobody(world: World) -> None:
    request = registration()
    first = await world.stub().RegisterPlayer(request)
    await world.verify(first.player.player_id)
    await world.block(first.player.player_id)
    calls = dict(world.security.faults.calls)

    assert await world.stub().RegisterPlayer(request) == first
    assert dict(world.security.faults.calls) == calls
    upper = changed(request, request_id=request.request_id.upper())
    assert await world.stub().RegisterPlayer(upper) == first


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "other@example.com"),
        ("password", "another long password"),
        ("given_name", "Erik"),
        ("family_name", "Musterfrau"),
        ("date_of_birth", "1990-08-13"),
        ("country_code", "AT"),
        ("postal_address", "Heidestraße 18"),
        ("currency_code", "SEK"),
    ],
)
async def test_request_id_with_other_content_is_refused(
    world: World, field: str, value: str
) -> None:
    request = registration()
    await world.stub().RegisterPlayer(request)
    found = await told(world.stub().RegisterPlayer(changed(request, **{field: value})))
    assert found.code is grpc.StatusCode.ALREADY_EXISTS
    assert found.reason == "REQUEST_ID_REUSED"
    assert found.metadata == {"request_id": request.request_id}
    assert len(world.wallet.wallets) == 1


@pytest.mark.parametrize(
    "same",
    [
        {},
        {"email": "OTHER@example.com"},
        {"email": "o@example.com", "given_name": "ERIKA", "postal_address": "elsewhere"},
        {"email": "o@example.com", "given_name": " Érika ", "currency_code": "SEK"},
        {"family_name": "Somebody Else"},
    ],
)
async def test_person_or_address_with_an_account_is_refused(
    world: World, same: dict[str, str]
) -> None:
    first = registration(email="erika@example.com")
    await world.stub().RegisterPlayer(first)
    again = changed(first, request_id=registration().request_id, **same)
    found = await told(world.stub().RegisterPlayer(again))
    assert found.code is grpc.StatusCode.ALREADY_EXISTS
    assert found.reason == "ALREADY_REGISTERED"
    assert found.metadata == {}
    assert len(world.wallet.wallets) == 1


async def test_namesake_of_another_birth_date_or_country_is_taken(world: World) -> None:
    first = registration()
    await world.stub().RegisterPlayer(first)
    for change in ({"date_of_birth": "1990-08-13"}, {"country_code": "AT"}):
        fresh = registration()
        other = changed(first, request_id=fresh.request_id, email=fresh.email, **change)
        await world.stub().RegisterPlayer(other)
    assert len(world.wallet.wallets) == 3


@pytest.mark.parametrize(
    ("changes", "code", "reason", "metadata"),
    [
        # The clock of the tests says 2027-01-15 12:00 UTC.
        ({"date_of_birth": "2009-01-16"}, "FAILED_PRECONDITION", "UNDER_AGE", {"age_min": "18"}),
        (
            {"date_of_birth": "2006-01-16", "country_code": "EE"},
            "FAILED_PRECONDITION",
            "UNDER_AGE",
            {"age_min": "21"},
        ),
        (
            {"country_code": "KP"},
            "FAILED_PRECONDITION",
            "COUNTRY_NOT_ALLOWED",
            {"country_code": "KP"},
        ),
        (
            {"country_code": "XX"},
            "FAILED_PRECONDITION",
            "COUNTRY_NOT_ALLOWED",
            {"country_code": "XX"},
        ),
        (
            {"date_of_birth": "2015-01-01", "country_code": "KP"},
            "FAILED_PRECONDITION",
            "UNDER_AGE",
            {"age_min": "18"},
        ),
        (
            {"currency_code": "XXY", "country_code": "KP"},
            "INVALID_ARGUMENT",
            "CURRENCY_UNKNOWN",
            {"currency_code": "XXY"},
        ),
        ({"date_of_birth": "2001-02-29"}, "INVALID_ARGUMENT", "INVALID_REQUEST", "date_of_birth"),
        ({"date_of_birth": "1990-13-01"}, "INVALID_ARGUMENT", "INVALID_REQUEST", "date_of_birth"),
        ({"date_of_birth": "2027-01-16"}, "INVALID_ARGUMENT", "INVALID_REQUEST", "date_of_birth"),
        ({"date_of_birth": "1900-01-01"}, "INVALID_ARGUMENT", "INVALID_REQUEST", "date_of_birth"),
        ({"date_of_birth": "01.02.1990"}, "INVALID_ARGUMENT", "INVALID_REQUEST", "date_of_birth"),
        ({"given_name": "-"}, "INVALID_ARGUMENT", "INVALID_REQUEST", "given_name"),
        ({"given_name": "a\x00b"}, "INVALID_ARGUMENT", "INVALID_REQUEST", "given_name"),
        ({"family_name": "a\nb"}, "INVALID_ARGUMENT", "INVALID_REQUEST", "family_name"),
        ({"postal_address": "a\u2028b"}, "INVALID_ARGUMENT", "INVALID_REQUEST", "postal_address"),
        ({"email": "nobody"}, "INVALID_ARGUMENT", "INVALID_REQUEST", "email"),
        ({"password": "short"}, "INVALID_ARGUMENT", "INVALID_REQUEST", "password"),
        ({"terms_accepted": False}, "INVALID_ARGUMENT", "INVALID_REQUEST", "terms_accepted"),
        ({"request_id": "1"}, "INVALID_ARGUMENT", "INVALID_REQUEST", "request_id"),
    ],
)
async def test_registration_that_may_not_be_is_refused_and_leaves_nothing(
    world: World,
    changes: dict[str, Any],
    code: str,
    reason: str,
    metadata: dict[str, str] | str,
) -> None:
    request = registration(**changes)
    found = await told(world.stub().RegisterPlayer(request))
    wanted = {"fields": metadata} if isinstance(metadata, str) else metadata
    assert (found.code.name, found.reason, found.metadata) == (code, reason, wanted)
    assert world.security.credentials == {}
    assert world.wallet.wallets == {}


async def test_birthday_decides_in_utc(world: World) -> None:
    # 2027-01-14 23:59 UTC is the 15th in Berlin already.
    world.clock.advance(-timedelta(hours=12, minutes=1))
    request = registration(date_of_birth="2009-01-15")
    assert (await told(world.stub().RegisterPlayer(request))).reason == "UNDER_AGE"
    world.clock.advance(timedelta(minutes=1))
    answer = await world.stub().RegisterPlayer(request)
    assert answer.player.state == Player.STATE_ACTIVE


@pytest.mark.parametrize("method", ["CreateCredential", "OpenWallet"])
@pytest.mark.parametrize("fault", ["fail", "lose_answer"])
async def test_registration_that_was_cut_is_completed_by_a_repeat(
    world: World, method: str, fault: str
) -> None:
    double = world.security if method == "CreateCredential" else world.wallet
    getattr(double.faults, fault)(method)
    request = registration()
    found = await told(world.stub().RegisterPlayer(request))
    assert found.code is grpc.StatusCode.UNAVAILABLE
    assert found.reason == "UNAVAILABLE"
    assert found.metadata == {"dependency": double.__class__.__name__.lower()[: -len("double")]}

    # Another process goes on, as after a crash of the first.
    player = (await world.stub(port=await world.start()).RegisterPlayer(request)).player
    assert player.state == Player.STATE_ACTIVE
    assert world.security.credentials == {request.email: (player.player_id, request.password)}
    assert world.wallet.wallets == {player.player_id: "EUR"}
    other = await world.register()
    registered = [event.player_registered.player_id for event in await world.events(2)]
    assert registered == [player.player_id, other.player_id]


async def test_registration_outlives_a_security_that_is_too_slow(world: World) -> None:
    port = await world.start(security_timeout=timedelta(seconds=0.3))
    gate = world.security.faults.hold("CreateCredential")
    request = registration()
    found = await told(world.stub(port=port).RegisterPlayer(request))
    assert found.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert found.reason == "DEADLINE_EXCEEDED"
    gate.set()
    player = (await world.stub().RegisterPlayer(request)).player
    assert world.security.credentials == {request.email: (player.player_id, request.password)}


async def test_fault_of_a_peer_is_told_without_detail_and_logged_without_the_person(
    world: World,
) -> None:
    world.security.faults.fail("CreateCredential", times=1, error=ValueError("rubbish"))
    request = registration(given_name="Notinlogs", password="not-in-logs-either")
    with capture_logs() as logged:
        found = await told(world.stub().RegisterPlayer(request))
    assert found.code is grpc.StatusCode.INTERNAL
    assert found.reason == "INTERNAL"
    faults = [entry for entry in logged if entry["event"] == "call failed"]
    assert len(faults) == 2, "the double's fault and Player's"
    shown = repr(faults) + "".join(
        "".join(traceback.format_exception(entry["exc_info"])) for entry in faults
    )
    for private in (request.given_name, request.password, request.email, request.postal_address):
        assert private not in shown
    assert (await world.stub().RegisterPlayer(request)).player.state == Player.STATE_ACTIVE


async def test_wallet_is_opened_later_when_nobody_repeats(world: World) -> None:
    world.wallet.faults.fail("OpenWallet")
    request = registration()
    assert (await told(world.stub().RegisterPlayer(request))).reason == "UNAVAILABLE"
    player_id, _ = world.security.credentials[request.email]
    assert (await world.get(player_id)).state == Player.STATE_REGISTERING
    world.clock.advance(timedelta(seconds=10))

    async def active() -> bool:
        player = await world.get(player_id)
        return bool(player.state == Player.STATE_ACTIVE)

    await until(active)
    assert world.wallet.wallets == {player_id: "EUR"}
    assert (await world.stub().RegisterPlayer(request)).player.player_id == player_id


async def test_player_who_can_log_in_completes_the_registration(world: World) -> None:
    world.security.faults.lose_answer("CreateCredential")
    request = registration()
    assert (await told(world.stub().RegisterPlayer(request))).reason == "UNAVAILABLE"
    player_id, _ = world.security.credentials[request.email]
    assert (await world.get(player_id)).state == Player.STATE_REGISTERING
    found = await told(world.check_play(player_id))
    assert (found.reason, found.metadata) == ("NOT_ACTIVE", {"state": "STATE_REGISTERING"})

    player = await world.verify(player_id)
    assert player.state == Player.STATE_ACTIVE
    assert world.wallet.wallets == {player_id: "EUR"}
    assert (await world.check_play(player_id)).player_id == player_id


@pytest.mark.parametrize("at_once", [5])
async def test_equal_registrations_at_once_make_one_player(world: World, at_once: int) -> None:
    request = registration()
    stubs = [world.stub(port=port) for port in (world.port, await world.start())]
    answers = await asyncio.gather(
        *(stubs[index % 2].RegisterPlayer(request) for index in range(at_once))
    )
    assert {answer.player.player_id for answer in answers} == set(world.wallet.wallets)
    assert len(world.wallet.wallets) == 1


async def test_one_of_several_requests_for_a_person_wins(world: World) -> None:
    first = registration()
    stubs = [world.stub(port=port) for port in (world.port, await world.start())]
    requests = [changed(first, request_id=registration().request_id) for _ in range(4)]
    outcomes = await asyncio.gather(
        *(stubs[index % 2].RegisterPlayer(each) for index, each in enumerate(requests)),
        return_exceptions=True,
    )
    won = [each for each in outcomes if not isinstance(each, BaseException)]
    lost = [each for each in outcomes if isinstance(each, grpc.aio.AioRpcError)]
    assert (len(won), len(lost)) == (1, 3)
    assert {error.code() for error in lost} == {grpc.StatusCode.ALREADY_EXISTS}
    assert set(world.wallet.wallets) == {won[0].player.player_id}


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("PASSWORD_TOO_COMMON", grpc.StatusCode.INVALID_ARGUMENT),
        ("LOGIN_TAKEN", grpc.StatusCode.ALREADY_EXISTS),
    ],
)
async def test_refused_credential_bars_nobody(
    world: World, reason: str, code: grpc.StatusCode
) -> None:
    request = registration(email="taken@example.com")
    refused = request
    if reason == "LOGIN_TAKEN":
        world.security.credentials["taken@example.com"] = ("somebody", "else")
    else:
        refused = changed(request, password="password1234")
    for _ in range(2):
        found = await told(world.stub().RegisterPlayer(refused))
        assert (found.code, found.reason) == (code, reason)
    # The same person, with what was wrong corrected: under the same id, since nothing is recorded.
    better = changed(request, email="free@example.com")
    assert (await world.stub().RegisterPlayer(better)).player.state == Player.STATE_ACTIVE


async def abandon(world: World, request: player_service_pb2.RegisterPlayerRequest) -> None:
    """Leaves a registration behind whose credential exists and is not known to exist."""
    world.security.faults.lose_answer("CreateCredential")
    assert (await told(world.stub().RegisterPlayer(request))).reason == "UNAVAILABLE"


async def test_registration_under_way_holds_person_and_address(world: World) -> None:
    request = registration()
    await abandon(world, request)
    world.clock.advance(HOLD - timedelta(seconds=1))
    fresh = registration()
    for taken in (
        changed(request, request_id=fresh.request_id, email=fresh.email),
        changed(fresh, email=request.email),
    ):
        found = await told(world.stub().RegisterPlayer(taken))
        assert found.reason == "ALREADY_REGISTERED"


async def test_abandoned_registration_gives_way_to_another_address(world: World) -> None:
    request = registration()
    await abandon(world, request)
    world.clock.advance(HOLD)
    fresh = registration()
    again = changed(request, request_id=fresh.request_id, email=fresh.email)
    player = (await world.stub().RegisterPlayer(again)).player
    assert player.email == fresh.email
    # Who comes back to the first one finds the person taken.
    found = await told(world.stub().RegisterPlayer(request))
    assert found.reason == "ALREADY_REGISTERED"


async def test_abandoned_registration_goes_on_for_who_knows_the_password(world: World) -> None:
    request = registration()
    await abandon(world, request)
    player_id, _ = world.security.credentials[request.email]
    world.clock.advance(HOLD)
    corrected = changed(registration(), email=request.email, given_name="Corrected")
    player = (await world.stub().RegisterPlayer(corrected)).player
    assert (player.player_id, player.given_name) == (player_id, "Corrected")
    assert player.state == Player.STATE_ACTIVE
    assert (await world.stub().RegisterPlayer(corrected)).player == player
    found = await told(world.stub().RegisterPlayer(request))
    assert found.reason == "ALREADY_REGISTERED"


async def test_abandoned_registration_is_safe_from_who_does_not_know_the_password(
    world: World,
) -> None:
    request = registration()
    await abandon(world, request)
    world.clock.advance(HOLD)
    stranger = changed(registration(), email=request.email, password="not the password")
    found = await told(world.stub().RegisterPlayer(stranger))
    assert found.reason == "LOGIN_TAKEN"
    player = (await world.stub().RegisterPlayer(request)).player
    assert player.given_name == request.given_name
    assert world.security.credentials[request.email] == (player.player_id, request.password)


async def test_two_who_follow_an_abandoned_registration_do_not_both_get_it(world: World) -> None:
    request = registration()
    world.security.faults.fail("CreateCredential")
    assert (await told(world.stub().RegisterPlayer(request))).reason == "UNAVAILABLE"
    world.clock.advance(HOLD)
    followers = [changed(request, request_id=registration().request_id) for _ in range(3)]
    outcomes = await asyncio.gather(
        *(world.stub().RegisterPlayer(each) for each in followers), return_exceptions=True
    )
    won = [each for each in outcomes if not isinstance(each, BaseException)]
    lost = [each for each in outcomes if isinstance(each, grpc.aio.AioRpcError)]
    assert (len(won), len(lost)) == (1, 2)
    assert {error.code() for error in lost} == {grpc.StatusCode.ALREADY_EXISTS}
    assert set(world.wallet.wallets) == {won[0].player.player_id}


async def test_credential_that_comes_after_the_hold_does_not_displace_who_came_later(
    world: World,
) -> None:
    gate = world.security.faults.hold("CreateCredential")
    request = registration()
    late = asyncio.ensure_future(world.stub().RegisterPlayer(request))
    await asyncio.wait_for(world.security.faults.entered.wait(), 20)
    world.clock.advance(HOLD)
    fresh = registration()
    winner = await world.stub().RegisterPlayer(
        changed(request, request_id=fresh.request_id, email=fresh.email)
    )
    gate.set()
    assert (await told(late)).reason == "ALREADY_REGISTERED"
    assert set(world.wallet.wallets) == {winner.player.player_id}


async def test_password_is_stored_only_as_a_slow_salted_hash(world: World) -> None:
    request = registration()
    player = (await world.stub().RegisterPlayer(request)).player
    database = Database(world.database_url, schema="player")
    async with database.snapshot() as connection:
        found = await players.find_by_request(connection, request.request_id)
    await database.close()
    assert found is not None
    stored, content_hash = found
    assert content_hash.startswith("$argon2id$v=19$m=47104,")
    assert stored.player_id == player.player_id
    shown = repr(stored)
    for private in (request.email, request.given_name, request.postal_address):
        assert private not in shown
    assert (stored.state, stored.identity_state) == (State.ACTIVE, IdentityState.PENDING)


@pytest.mark.parametrize(
    ("settings", "country", "allowed"),
    [
        ({"countries_allowed": frozenset({"DE"})}, "DE", True),
        ({"countries_allowed": frozenset({"DE"})}, "AT", False),
        ({"countries_blocked": frozenset({"AT"})}, "AT", False),
        ({"countries_blocked": frozenset({"AT"})}, "KP", True),
        ({"countries_allowed": frozenset({"DE"}), "countries_blocked": frozenset({"DE"})}, "DE",
         False),
    ],
)  # fmt: skip
async def test_operator_decides_on_countries(
    world: World, settings: dict[str, Any], country: str, *, allowed: bool
) -> None:
    stub = world.stub(port=await world.start(**settings))
    call = stub.RegisterPlayer(registration(country_code=country))
    if allowed:
        assert (await call).player.country_code == country
    else:
        found = await told(call)
        assert (found.reason, found.metadata) == ("COUNTRY_NOT_ALLOWED", {"country_code": country})
