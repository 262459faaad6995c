import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import grpc
import pytest
from croupier.player.v1 import player_service_pb2
from croupier.wallet.v1 import back_office_pb2

from services.kit.ids import new_id
from services.player.domain import LimitKind, LimitPeriod
from tests.factories.player import registration
from tests.kit.refusals import told
from tests.kit.waiting import until
from tests.player.doubles import refused
from tests.player.world import World

DAY = timedelta(hours=24)
TICK = timedelta(microseconds=1)
# Longer than a call may still be at work on what is not confirmed.
LATER = timedelta(seconds=11)
EXCLUDED = frozenset({"NO_BET", "NO_DEPOSIT", "NO_BONUS"})


def shown(limit: Any) -> tuple[int | None, int | None, bool]:
    """What is in force, what is to come, and whether anything is."""
    return (
        limit.max_minor_units if limit.HasField("max_minor_units") else None,
        limit.pending.max_minor_units if limit.pending.HasField("max_minor_units") else None,
        limit.HasField("pending"),
    )


async def accepted(call: Awaitable[Any]) -> bool:
    """Whether a call succeeds; one that gave up may be made again."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise
        return False
    return True


def in_wallet(world: World, player_id: str, kind: str = "DEPOSIT", period: str = "DAY") -> Any:
    return world.wallet.limit(player_id, world.clock.now(), kind, period)


def test_kinds_and_periods_are_those_of_the_contract() -> None:
    assert list(LimitKind) == back_office_pb2.LimitKind.keys()[1:]
    assert list(LimitPeriod) == back_office_pb2.LimitPeriod.keys()[1:]


async def test_limit_is_in_the_wallet_before_the_answer(world: World) -> None:
    player_id = (await world.register()).player_id
    limit = await world.set_limit(player_id, 5_000)
    assert in_wallet(world, player_id) == 5_000
    assert shown(limit) == (5_000, None, False)
    assert (limit.currency_code, limit.kind, limit.period) == ("EUR", 1, 1)
    assert await world.list_limits(player_id) == [limit]
    event = (await world.events(2))[1].player_limit_set
    assert (event.player_id, event.currency_code, event.kind, event.period) == (
        player_id,
        "EUR",
        back_office_pb2.LIMIT_KIND_DEPOSIT,
        back_office_pb2.LIMIT_PERIOD_DAY,
    )
    assert event.max_minor_units == 5_000
    assert not event.HasField("previous_max_minor_units")
    assert event.start_time.ToDatetime() == world.clock.now().replace(tzinfo=None)


async def test_tighter_limit_counts_at_once_and_looser_one_after_a_day(world: World) -> None:
    player_id = (await world.register()).player_id
    await world.set_limit(player_id, 5_000)
    assert shown(await world.set_limit(player_id, 1_000)) == (1_000, None, False)
    assert in_wallet(world, player_id) == 1_000

    looser = await world.set_limit(player_id, 9_000)
    assert shown(looser) == (1_000, 9_000, True)
    begins = world.clock.now() + DAY
    assert looser.pending.start_time.ToDatetime() == begins.replace(tzinfo=None)
    event = (await world.events(4))[3].player_limit_set
    assert (event.max_minor_units, event.previous_max_minor_units) == (9_000, 1_000)
    assert event.start_time == looser.pending.start_time

    world.clock.advance(DAY - TICK)
    assert await world.list_limits(player_id) == [looser]
    assert in_wallet(world, player_id) == 1_000
    world.clock.advance(TICK)
    [begun] = await world.list_limits(player_id)
    assert shown(begun) == (9_000, None, False)
    # The wallet was told in time, and is not told again.
    assert in_wallet(world, player_id) == 9_000
    assert world.wallet.faults.calls["SetLimit"] == 3


async def test_lifted_limit_counts_for_another_day_and_then_is_not_listed(world: World) -> None:
    player_id = (await world.register()).player_id
    await world.set_limit(player_id, 5_000, "LOSS", "WEEK")
    lifted = await world.set_limit(player_id, None, "LOSS", "WEEK")
    assert shown(lifted) == (5_000, None, True)
    assert in_wallet(world, player_id, "LOSS", "WEEK") == 5_000
    world.clock.advance(DAY)
    assert await world.list_limits(player_id) == []
    assert in_wallet(world, player_id, "LOSS", "WEEK") is None
    assert shown(await world.set_limit(player_id, 7_000, "LOSS", "WEEK")) == (7_000, None, False)
    assert in_wallet(world, player_id, "LOSS", "WEEK") == 7_000


@pytest.mark.parametrize("wish", [5_000, 4_999])
async def test_tighter_or_equal_wish_cancels_what_is_to_come(world: World, wish: int) -> None:
    player_id = (await world.register()).player_id
    await world.set_limit(player_id, 5_000)
    await world.set_limit(player_id, 9_000)
    assert shown(await world.set_limit(player_id, wish)) == (wish, None, False)
    world.clock.advance(2 * DAY)
    assert in_wallet(world, player_id) == wish
    assert [shown(limit) for limit in await world.list_limits(player_id)] == [(wish, None, False)]


async def test_other_looser_wish_waits_a_day_of_its_own(world: World) -> None:
    player_id = (await world.register()).player_id
    await world.set_limit(player_id, 5_000)
    await world.set_limit(player_id, 9_000)
    world.clock.advance(DAY - TICK)
    await world.set_limit(player_id, 8_000)
    world.clock.advance(TICK)
    assert in_wallet(world, player_id) == 5_000
    world.clock.advance(DAY)
    assert in_wallet(world, player_id) == 8_000


async def test_same_wish_again_changes_nothing(world: World) -> None:
    player_id = (await world.register()).player_id
    await world.set_limit(player_id, 5_000)
    await world.set_limit(player_id, 5_000)
    first = await world.set_limit(player_id, 9_000)
    world.clock.advance(timedelta(hours=23))
    assert await world.set_limit(player_id, 9_000) == first
    assert world.wallet.faults.calls["SetLimit"] == 2
    await world.register()
    kinds = [event.WhichOneof("payload") for event in await world.events(4)]
    assert kinds.count("player_limit_set") == 2


async def test_each_kind_and_period_is_a_limit_of_its_own(world: World) -> None:
    player_id = (await world.register()).player_id
    wanted = [
        (kind, period, 1_000 * number)
        for kind in ("DEPOSIT", "WAGER", "LOSS")
        for number, period in enumerate(("DAY", "WEEK", "MONTH"))
    ]
    for kind, period, most in reversed(wanted):
        await world.set_limit(player_id, most, kind, period)
    assert [in_wallet(world, player_id, kind, period) for kind, period, _ in wanted] == [
        most for _, _, most in wanted
    ]
    listed = await world.list_limits(player_id)
    assert [limit.max_minor_units for limit in listed] == [most for _, _, most in wanted]
    assert [limit.kind for limit in listed] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    other = (await world.register()).player_id
    assert await world.list_limits(other) == []


async def test_repeated_request_has_no_effect_later(world: World) -> None:
    player_id = (await world.register()).player_id
    request_id = new_id()
    await world.set_limit(player_id, 5_000, request_id=request_id)
    await world.set_limit(player_id, 1_000)
    # A copy that comes late is no wish for a looser limit.
    late = await world.set_limit(player_id, 5_000, request_id=request_id.upper())
    assert shown(late) == (1_000, None, False)
    world.clock.advance(2 * DAY)
    assert in_wallet(world, player_id) == 1_000


@pytest.mark.parametrize(
    "changes",
    [
        {"max_minor_units": 4_999},
        {"max_minor_units": None},
        {"kind": "WAGER"},
        {"period": "WEEK"},
        {"currency_code": "USD"},
    ],
)
async def test_request_id_with_other_content_is_refused(
    world: World, changes: dict[str, Any]
) -> None:
    player_id = (await world.register()).player_id
    request_id = new_id()
    await world.set_limit(player_id, 5_000, request_id=request_id)
    found = await told(
        world.set_limit(player_id, **{"max_minor_units": 5_000, **changes}, request_id=request_id)
    )
    assert found.code is grpc.StatusCode.ALREADY_EXISTS
    assert (found.reason, found.metadata) == ("REQUEST_ID_REUSED", {"request_id": request_id})
    assert in_wallet(world, player_id) == 5_000
    # The ids of two players have nothing to do with each other.
    other = (await world.register()).player_id
    await world.set_limit(other, 4_999, request_id=request_id)


async def test_limit_in_a_currency_without_wallet_is_refused(world: World) -> None:
    player_id = (await world.register()).player_id
    found = await told(world.set_limit(player_id, 5_000, currency_code="USD"))
    assert found.code is grpc.StatusCode.FAILED_PRECONDITION
    assert (found.reason, found.metadata) == ("CURRENCY_NOT_HELD", {"currency_code": "USD"})
    assert await world.list_limits(player_id) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("request_id", "7"),
        ("currency_code", "euro"),
        ("kind", 0),
        ("kind", 4),
        ("period", 0),
        ("period", 4),
        ("max_minor_units", -1),
        ("max_minor_units", 10**15 + 1),
    ],
)
async def test_limit_of_a_wrong_form_is_refused(world: World, field: str, value: Any) -> None:
    request = player_service_pb2.SetLimitRequest(
        request_id=new_id(),
        currency_code="EUR",
        kind=back_office_pb2.LIMIT_KIND_LOSS,
        period=back_office_pb2.LIMIT_PERIOD_DAY,
        max_minor_units=1,
    )
    setattr(request, field, value)
    metadata = world.tokens.player(new_id())
    found = await told(world.stub().SetLimit(request, metadata=metadata))
    assert found.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (found.reason, found.metadata) == ("INVALID_REQUEST", {"fields": field})


async def test_limits_are_for_the_player_alone(world: World) -> None:
    nobody = new_id()
    requests = {
        "SetLimit": player_service_pb2.SetLimitRequest(
            request_id=new_id(),
            currency_code="EUR",
            kind=back_office_pb2.LIMIT_KIND_LOSS,
            period=back_office_pb2.LIMIT_PERIOD_DAY,
            max_minor_units=1,
        ),
        "ListLimits": player_service_pb2.ListLimitsRequest(),
    }
    rows = [
        ((), grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_MISSING"),
        (
            world.tokens.operator("admin"),
            grpc.StatusCode.PERMISSION_DENIED,
            "CALLER_NOT_ALLOWED",
        ),
        (world.tokens.player(nobody), grpc.StatusCode.NOT_FOUND, "PLAYER_NOT_FOUND"),
    ]
    for method, request in requests.items():
        for metadata, code, reason in rows:
            found = await told(getattr(world.stub(), method)(request, metadata=metadata))
            assert (found.code, found.reason) == (code, reason), method


@pytest.mark.parametrize("fault", ["fail", "lose_answer"])
async def test_limit_is_completed_by_a_repeat(world: World, fault: str) -> None:
    player_id = (await world.register()).player_id
    request_id = new_id()
    getattr(world.wallet.faults, fault)("SetLimit")
    found = await told(world.set_limit(player_id, 5_000, request_id=request_id))
    assert found.code is grpc.StatusCode.UNAVAILABLE
    assert (found.reason, found.metadata) == ("UNAVAILABLE", {"dependency": "wallet"})
    assert shown(await world.set_limit(player_id, 5_000, request_id=request_id)) == (
        5_000,
        None,
        False,
    )
    assert in_wallet(world, player_id) == 5_000


async def test_limit_reaches_the_wallet_when_nobody_repeats(world: World) -> None:
    player_id = (await world.register()).player_id
    world.wallet.faults.fail("SetLimit")
    assert (await told(world.set_limit(player_id, 5_000))).reason == "UNAVAILABLE"
    assert in_wallet(world, player_id) is None
    world.clock.advance(LATER)
    await until(lambda: in_wallet(world, player_id) == 5_000)


async def test_limits_that_never_left_arrive_as_they_were_meant(world: World) -> None:
    world.wallet.faults.fail("OpenWallet", times=100)
    request = registration()
    assert (await told(world.stub().RegisterPlayer(request))).reason == "UNAVAILABLE"
    player_id, _ = world.security.credentials[request.email]
    for wish in (9_000, 5_000, 7_000):
        assert (await told(world.set_limit(player_id, wish))).reason == "UNAVAILABLE"
    world.wallet.faults.heal()
    # The first is skipped; the second counts until the third begins.
    assert shown(await world.set_limit(player_id, 7_000)) == (5_000, 7_000, True)
    assert world.wallet.faults.calls["SetLimit"] == 2
    assert in_wallet(world, player_id) == 5_000
    world.clock.advance(DAY)
    assert in_wallet(world, player_id) == 7_000


async def test_limit_that_arrives_late_does_not_undo_a_newer_one(world: World) -> None:
    slow = await world.start(wallet_timeout=timedelta(seconds=0.3))
    player_id = (await world.register()).player_id
    gate = world.wallet.faults.hold("SetLimit")
    found = await told(world.set_limit(player_id, 5_000, port=slow))
    assert (found.reason, found.metadata) == ("UNAVAILABLE", {"dependency": "wallet"})
    await world.set_limit(player_id, 1_000)
    assert in_wallet(world, player_id) == 1_000
    gate.set()
    await world.set_limit(player_id, 800)
    assert in_wallet(world, player_id) == 800
    assert world.wallet.faults.calls["SetLimit"] == 4


async def test_exclusion_does_not_wait_for_a_limit_that_the_wallet_refuses(world: World) -> None:
    player_id = (await world.register()).player_id
    error = refused(grpc.StatusCode.FAILED_PRECONDITION, "ACCOUNT_NOT_FOUND")
    world.wallet.faults.fail("SetLimit", times=100, error=error)
    found = await told(world.set_limit(player_id, 5_000))
    assert (found.code, found.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    await world.exclude(player_id, DAY)
    assert world.wallet.of(player_id) == EXCLUDED
    # Nor does what is left of it: the upkeep ends the exclusion all the same.
    world.clock.advance(DAY)
    await until(lambda: world.wallet.of(player_id) == frozenset())
    world.wallet.faults.heal()
    await until(lambda: in_wallet(world, player_id) == 5_000)


async def test_limits_and_restrictions_of_one_player_at_once_all_count(world: World) -> None:
    second = await world.start()
    for _ in range(3):
        player_id = (await world.register()).player_id
        await asyncio.gather(
            world.exclude(player_id, DAY, port=second),
            world.set_limit(player_id, 1_000, "DEPOSIT"),
            world.set_limit(player_id, 2_000, "WAGER", port=second),
            world.set_limit(player_id, 3_000, "LOSS"),
        )
        assert world.wallet.of(player_id) == EXCLUDED
        assert [in_wallet(world, player_id, kind) for kind in ("DEPOSIT", "WAGER", "LOSS")] == [
            1_000,
            2_000,
            3_000,
        ]


async def test_wallet_ends_with_what_the_record_says_after_many_wishes_at_once(
    world: World,
) -> None:
    second = await world.start()
    player_id = (await world.register()).player_id
    outcomes = await asyncio.gather(
        *(
            world.set_limit(player_id, 1_000 + index * 7 % 20, port=port)
            for index, port in enumerate([world.port, second] * 10)
        ),
        return_exceptions=True,
    )
    # A call that was overtaken too often may give up; none may fail otherwise.
    assert {each.code() for each in outcomes if isinstance(each, grpc.aio.AioRpcError)} <= {
        grpc.StatusCode.UNAVAILABLE
    }
    [limit] = await world.list_limits(player_id)
    # The wish that changes nothing sends what is left.
    wish = limit.pending.max_minor_units if limit.HasField("pending") else limit.max_minor_units
    await until(lambda: accepted(world.set_limit(player_id, wish)))
    assert in_wallet(world, player_id) == limit.max_minor_units == 1_000
    world.clock.advance(DAY)
    assert in_wallet(world, player_id) == wish


async def test_limit_can_be_set_by_a_player_who_is_blocked(world: World) -> None:
    player_id = (await world.register()).player_id
    await world.block(player_id)
    await world.set_limit(player_id, 0, "LOSS", "MONTH")
    assert in_wallet(world, player_id, "LOSS", "MONTH") == 0


async def test_first_wish_of_a_half_registered_player_keeps_the_registration(world: World) -> None:
    world.wallet.faults.fail("OpenWallet", times=100)
    request = registration()
    assert (await told(world.stub().RegisterPlayer(request))).reason == "UNAVAILABLE"
    player_id, _ = world.security.credentials[request.email]
    # It changes nothing, and is on record.
    assert (await told(world.set_limit(player_id, None))).reason == "UNAVAILABLE"
    world.clock.advance(timedelta(days=1))
    other = registration(email=request.email)
    assert (await told(world.stub().RegisterPlayer(other))).reason == "ALREADY_REGISTERED"
    world.wallet.faults.heal()
    assert (await world.stub().RegisterPlayer(request)).player.player_id == player_id
