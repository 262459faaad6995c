import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest
from croupier.player.v1 import player_service_pb2
from sqlalchemy import update

from services.kit.database import Database
from services.player.tables import WALLET_CHANGE
from tests.factories.player import registration
from tests.kit.refusals import told
from tests.kit.waiting import until
from tests.player.doubles import refused
from tests.player.world import Player, World

UNKNOWN = "0198c0de-0000-7000-8000-000000000001"
DAY = timedelta(days=1)
EXCLUDED = frozenset({"NO_BET", "NO_DEPOSIT", "NO_BONUS"})
BLOCKED = EXCLUDED | {"NO_WITHDRAW"}
FREE: frozenset[str] = frozenset()
# Longer than a call may still be at work on what is not confirmed.
LATER = timedelta(seconds=11)


async def test_excluded_player_is_restricted_before_the_answer(world: World) -> None:
    player_id = (await world.verified()).player_id
    player = await world.exclude(player_id, 7 * DAY)
    assert world.wallet.of(player_id) == EXCLUDED
    assert player.state == Player.STATE_ACTIVE
    now = world.clock.now().replace(tzinfo=None)
    assert player.exclusion.start_time.ToDatetime() == now
    assert player.exclusion.end_time.ToDatetime() == now + 7 * DAY
    assert await world.get(player_id) == player
    event = (await world.events(3))[2].player_excluded
    assert (event.player_id, event.end_time) == (player_id, player.exclusion.end_time)


async def test_exclusion_without_end_is_for_ever(world: World) -> None:
    player_id = (await world.verified()).player_id
    player = await world.exclude(player_id, None)
    assert player.HasField("exclusion")
    assert not player.exclusion.HasField("end_time")
    world.clock.advance(timedelta(days=36_500))
    assert await world.get(player_id) == player
    found = await told(world.check_play(player_id))
    assert (found.reason, found.metadata) == ("EXCLUDED", {"end_time": ""})
    found = await told(world.exclude(player_id, 10 * DAY))
    assert (found.reason, found.metadata) == ("EXCLUSION_NOT_SHORTENED", {"end_time": ""})


async def test_exclusion_is_prolonged_and_never_shortened(world: World) -> None:
    player_id = (await world.verified()).player_id
    first = await world.exclude(player_id, 7 * DAY)
    found = await told(world.exclude(player_id, 7 * DAY - timedelta(microseconds=1)))
    assert found.code is grpc.StatusCode.FAILED_PRECONDITION
    assert found.reason == "EXCLUSION_NOT_SHORTENED"
    assert found.metadata == {"end_time": "2027-01-22T12:00:00Z"}
    world.clock.advance(DAY)
    longer = await world.exclude(player_id, 7 * DAY)
    assert longer.exclusion.start_time == first.exclusion.start_time
    assert longer.exclusion.end_time.seconds == first.exclusion.end_time.seconds + 86_400
    # The wallet was told once: its restrictions are the same.
    assert world.wallet.faults.calls["SetRestrictions"] == 1


@pytest.mark.parametrize(
    ("seconds", "nanos"), [(0, 0), (86_399, 999_999_000), (-1, 0), (10**12, 0), (86_400 * 9, -1)]
)
async def test_exclusion_that_ends_too_soon_or_never_was_a_time_is_refused(
    world: World, seconds: int, nanos: int
) -> None:
    player_id = (await world.register()).player_id
    request = player_service_pb2.ExcludePlayerRequest()
    request.end_time.seconds = int(world.clock.now().timestamp()) + seconds
    request.end_time.nanos = nanos
    found = await told(world.stub().ExcludePlayer(request, metadata=world.tokens.player(player_id)))
    assert found.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (found.reason, found.metadata) == ("INVALID_REQUEST", {"fields": "end_time"})
    assert world.wallet.of(player_id) == FREE


async def test_repeated_exclusion_changes_nothing(world: World) -> None:
    player_id = (await world.verified()).player_id
    first = await world.exclude(player_id, DAY)
    world.clock.advance(timedelta(hours=1))
    # Less than 24 hours are left, and the same end is still the same wish.
    assert await world.exclude(player_id, DAY - timedelta(hours=1)) == first
    await world.register()
    kinds = [event.WhichOneof("payload") for event in await world.events(4)]
    assert kinds.count("player_excluded") == 1


async def test_exclusion_ends_by_itself(world: World) -> None:
    player_id = (await world.verified()).player_id
    await world.exclude(player_id, DAY)
    world.clock.advance(DAY - timedelta(microseconds=1))
    assert (await told(world.check_play(player_id))).reason == "EXCLUDED"
    assert world.wallet.of(player_id) == EXCLUDED
    world.clock.advance(timedelta(microseconds=1))
    assert not (await world.get(player_id)).HasField("exclusion")
    await until(lambda: world.wallet.of(player_id) == FREE)
    await world.check_play(player_id)
    again = await world.exclude(player_id, DAY)
    assert again.exclusion.start_time.ToDatetime() == world.clock.now().replace(tzinfo=None)
    assert world.wallet.of(player_id) == EXCLUDED


async def test_blocked_player_is_restricted_and_logged_out_before_the_answer(world: World) -> None:
    player_id = (await world.verified()).player_id
    player = await world.block(player_id, sub="operator-7")
    assert player.state == Player.STATE_BLOCKED
    assert world.wallet.of(player_id) == BLOCKED
    assert world.security.ended == [player_id]
    found = await told(world.check_play(player_id))
    assert found.code is grpc.StatusCode.FAILED_PRECONDITION
    assert (found.reason, found.metadata) == ("NOT_ACTIVE", {"state": "STATE_BLOCKED"})

    free = await world.unblock(player_id, sub="operator-8")
    assert free.state == Player.STATE_ACTIVE
    assert world.wallet.of(player_id) == FREE
    await world.check_play(player_id)
    blocked, unblocked = (await world.events(4))[2:]
    assert blocked.player_blocked.player_id == player_id
    assert blocked.player_blocked.operator_id == "operator-7"
    assert blocked.player_blocked.reason == "chargebacks"
    assert unblocked.player_unblocked.operator_id == "operator-8"
    assert unblocked.player_unblocked.reason == "settled"


async def test_wallet_learns_who_wanted_a_restriction_and_why(world: World) -> None:
    player_id = (await world.verified()).player_id
    await world.exclude(player_id, DAY)
    await world.block(player_id, sub="operator-7")
    await world.unblock(player_id, sub="operator-8")
    world.clock.advance(DAY)
    await until(lambda: world.wallet.of(player_id) == FREE)
    assert world.wallet.told == [
        (player_id, "self-exclusion"),
        ("operator-7", "chargebacks"),
        ("operator-8", "settled"),
        ("", "exclusion is over"),
    ]


async def test_origin_of_a_restriction_is_told_again_as_it_was_told_before(world: World) -> None:
    player_id = (await world.verified()).player_id
    world.wallet.faults.lose_answer("SetRestrictions")
    await told(world.block(player_id, sub="operator-7"))
    # Another operator repeats it: the change in doubt is still the first one's.
    await world.block(player_id, sub="operator-8")
    assert world.wallet.told == [("operator-7", "chargebacks")] * 4


async def test_change_that_an_older_version_left_is_told_without_origin(world: World) -> None:
    player_id = (await world.verified()).player_id
    world.wallet.faults.fail("SetRestrictions")
    await told(world.block(player_id))
    database = Database(world.database_url, schema="player")
    async with database.transaction() as connection:
        await connection.execute(update(WALLET_CHANGE).values(actor_id=None, reason=None))
    await database.close()
    world.clock.advance(LATER)
    await until(lambda: world.wallet.of(player_id) == BLOCKED)
    assert world.wallet.told == [("", "")]


async def test_repeated_block_and_unblock_change_nothing(world: World) -> None:
    player_id = (await world.register()).player_id
    assert (await world.unblock(player_id)).state == Player.STATE_ACTIVE
    first = await world.block(player_id)
    assert await world.block(player_id) == first
    assert world.security.ended == [player_id, player_id]
    assert world.wallet.faults.calls["SetRestrictions"] == 1
    await world.unblock(player_id)
    await world.unblock(player_id)
    await world.register()
    kinds = [event.WhichOneof("payload") for event in await world.events(4)]
    assert kinds == ["player_registered", "player_blocked", "player_unblocked", "player_registered"]


async def test_exclusion_outlives_a_block(world: World) -> None:
    player_id = (await world.verified()).player_id
    await world.block(player_id)
    assert (await world.exclude(player_id, DAY)).state == Player.STATE_BLOCKED
    assert world.wallet.of(player_id) == BLOCKED
    await world.unblock(player_id)
    assert world.wallet.of(player_id) == EXCLUDED
    assert (await told(world.check_play(player_id))).reason == "EXCLUDED"


async def test_exclusion_that_ends_during_a_block_leaves_the_block(world: World) -> None:
    player_id = (await world.verified()).player_id
    await world.exclude(player_id, DAY)
    await world.block(player_id)
    world.clock.advance(2 * DAY)
    await world.unblock(player_id)
    assert world.wallet.of(player_id) == FREE


async def test_operator_methods_admit_the_declared_roles_only(world: World) -> None:
    player_id = (await world.register()).player_id
    requests: dict[str, Any] = {
        "BlockPlayer": player_service_pb2.BlockPlayerRequest(
            player_id=player_id, reason="chargebacks"
        ),
        "UnblockPlayer": player_service_pb2.UnblockPlayerRequest(
            player_id=player_id, reason="settled"
        ),
    }
    rows = [
        ((), grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_MISSING"),
        (
            world.tokens.player(player_id),
            grpc.StatusCode.PERMISSION_DENIED,
            "CALLER_NOT_ALLOWED",
        ),
        (world.tokens.operator("cashier"), grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ALLOWED"),
    ]
    for method, request in requests.items():
        for metadata, code, reason in rows:
            found = await told(getattr(world.stub(), method)(request, metadata=metadata))
            assert (found.code, found.reason) == (code, reason), method
        for role in ("admin", "compliance"):
            await getattr(world.stub(), method)(request, metadata=world.tokens.operator(role))


@pytest.mark.parametrize(
    ("player_id", "reason", "code", "refused_as", "metadata"),
    [
        (UNKNOWN, "fraud", grpc.StatusCode.NOT_FOUND, "PLAYER_NOT_FOUND", {"player_id": UNKNOWN}),
        (
            UNKNOWN,
            "no",
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_REQUEST",
            {"fields": "reason"},
        ),
        (
            UNKNOWN,
            "a\x00b",
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_REQUEST",
            {"fields": "reason"},
        ),
        (
            "7",
            "fraud",
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_REQUEST",
            {"fields": "player_id"},
        ),
    ],
)
async def test_block_and_unblock_of_nobody_or_without_reason_are_refused(
    world: World,
    player_id: str,
    reason: str,
    code: grpc.StatusCode,
    refused_as: str,
    metadata: dict[str, str],
) -> None:
    operator = world.tokens.operator("compliance")
    for call in (
        world.stub().BlockPlayer(
            player_service_pb2.BlockPlayerRequest(player_id=player_id, reason=reason),
            metadata=operator,
        ),
        world.stub().UnblockPlayer(
            player_service_pb2.UnblockPlayerRequest(player_id=player_id, reason=reason),
            metadata=operator,
        ),
    ):
        found = await told(call)
        assert (found.code, found.reason, found.metadata) == (code, refused_as, metadata)


@pytest.mark.parametrize("fault", ["fail", "lose_answer"])
async def test_exclusion_is_completed_by_a_repeat(world: World, fault: str) -> None:
    player_id = (await world.verified()).player_id
    getattr(world.wallet.faults, fault)("SetRestrictions")
    found = await told(world.exclude(player_id, DAY))
    assert found.code is grpc.StatusCode.UNAVAILABLE
    assert (found.reason, found.metadata) == ("UNAVAILABLE", {"dependency": "wallet"})
    assert (await told(world.check_play(player_id))).reason == "EXCLUDED"
    player = await world.exclude(player_id, DAY)
    assert player.HasField("exclusion")
    assert world.wallet.of(player_id) == EXCLUDED


async def test_exclusion_reaches_the_wallet_when_nobody_repeats(world: World) -> None:
    player_id = (await world.verified()).player_id
    world.wallet.faults.fail("SetRestrictions")
    assert (await told(world.exclude(player_id, DAY))).reason == "UNAVAILABLE"
    assert world.wallet.of(player_id) == FREE
    world.clock.advance(LATER)
    await until(lambda: world.wallet.of(player_id) == EXCLUDED)


async def test_block_stops_money_even_if_sessions_cannot_be_ended(world: World) -> None:
    player_id = (await world.verified()).player_id
    world.security.faults.fail("EndLoginSessions")
    found = await told(world.block(player_id))
    assert (found.reason, found.metadata) == ("UNAVAILABLE", {"dependency": "security"})
    assert world.wallet.of(player_id) == BLOCKED
    assert world.security.ended == []
    world.clock.advance(LATER)
    await until(lambda: world.security.ended == [player_id])
    assert (await world.block(player_id)).state == Player.STATE_BLOCKED


async def test_block_ends_sessions_even_if_the_wallet_is_away(world: World) -> None:
    player_id = (await world.verified()).player_id
    world.wallet.faults.fail("SetRestrictions")
    found = await told(world.block(player_id))
    assert (found.reason, found.metadata) == ("UNAVAILABLE", {"dependency": "wallet"})
    assert world.security.ended == [player_id]
    assert (await world.block(player_id)).state == Player.STATE_BLOCKED
    assert world.wallet.of(player_id) == BLOCKED


async def test_block_stands_before_and_after_a_registration_is_completed(world: World) -> None:
    world.security.faults.fail("CreateCredential")
    request = registration()
    assert (await told(world.stub().RegisterPlayer(request))).reason == "UNAVAILABLE"
    database = Database(world.database_url, schema="player")
    async with database.snapshot() as connection:
        rows = await connection.exec_driver_sql("SELECT player_id FROM player")
        player_id = rows.scalar_one()
    await database.close()

    assert (await world.block(player_id)).state == Player.STATE_BLOCKED
    assert world.wallet.of(player_id) == BLOCKED
    # What an operator has acted upon gives way to nobody.
    world.clock.advance(timedelta(days=1))
    other = registration(email=request.email)
    assert (await told(world.stub().RegisterPlayer(other))).reason == "ALREADY_REGISTERED"
    player = (await world.stub().RegisterPlayer(request)).player
    assert (player.player_id, player.state) == (player_id, Player.STATE_BLOCKED)
    assert world.wallet.of(player_id) == BLOCKED


async def test_exclusion_of_a_half_registered_player_opens_the_wallet_first(world: World) -> None:
    world.wallet.faults.fail("OpenWallet")
    request = registration()
    assert (await told(world.stub().RegisterPlayer(request))).reason == "UNAVAILABLE"
    player_id, _ = world.security.credentials[request.email]
    await world.exclude(player_id, DAY)
    assert world.wallet.of(player_id) == EXCLUDED
    assert (await world.get(player_id)).state == Player.STATE_ACTIVE


async def test_change_that_arrives_late_does_not_undo_a_newer_one(world: World) -> None:
    slow = await world.start(wallet_timeout=timedelta(seconds=0.3))
    player_id = (await world.verified()).player_id
    gate = world.wallet.faults.hold("SetRestrictions")
    found = await told(world.block(player_id, port=slow))
    assert (found.reason, found.metadata) == ("UNAVAILABLE", {"dependency": "wallet"})
    # The block is in doubt: it is settled before anything newer may go.
    await world.unblock(player_id)
    assert world.wallet.of(player_id) == FREE
    gate.set()
    await world.exclude(player_id, DAY)
    assert world.wallet.of(player_id) == EXCLUDED
    assert world.wallet.faults.calls["SetRestrictions"] == 4


async def test_changes_that_never_left_are_skipped(world: World) -> None:
    world.wallet.faults.fail("OpenWallet", times=100)
    request = registration()
    assert (await told(world.stub().RegisterPlayer(request))).reason == "UNAVAILABLE"
    player_id, _ = world.security.credentials[request.email]
    for change in (world.block, world.unblock, world.block):
        assert (await told(change(player_id))).reason == "UNAVAILABLE"
    world.wallet.faults.heal()
    await world.exclude(player_id, DAY)
    assert world.wallet.of(player_id) == BLOCKED
    assert world.wallet.faults.calls["SetRestrictions"] == 1


async def test_block_and_exclusion_at_once_both_count(world: World) -> None:
    second = await world.start()
    for _ in range(5):
        player_id = (await world.register()).player_id
        await asyncio.gather(world.block(player_id), world.exclude(player_id, DAY, port=second))
        assert world.wallet.of(player_id) == BLOCKED
        await world.unblock(player_id)
        assert world.wallet.of(player_id) == EXCLUDED


async def test_wallet_ends_with_the_newest_of_many_changes_at_once(world: World) -> None:
    second = await world.start()
    player_id = (await world.register()).player_id
    outcomes = await asyncio.gather(
        *(
            (world.block if index % 3 else world.unblock)(player_id, port=port)
            for index, port in enumerate([world.port, second] * 10)
        ),
        return_exceptions=True,
    )
    # A call that was overtaken too often may give up; none may fail otherwise.
    assert {each.code() for each in outcomes if isinstance(each, grpc.aio.AioRpcError)} <= {
        grpc.StatusCode.UNAVAILABLE
    }
    blocked = (await world.get(player_id)).state == Player.STATE_BLOCKED
    await (world.block if blocked else world.unblock)(player_id)
    assert world.wallet.of(player_id) == (BLOCKED if blocked else FREE)


async def test_player_whose_change_is_refused_keeps_nobody_waiting(world: World) -> None:
    stuck, other = sorted([(await world.register()).player_id, (await world.register()).player_id])
    world.wallet.faults.fail("SetRestrictions")
    assert (await told(world.exclude(stuck, DAY))).reason == "UNAVAILABLE"
    world.wallet.faults.fail("SetRestrictions")
    assert (await told(world.exclude(other, DAY))).reason == "UNAVAILABLE"
    # The wallet that knows nothing of the first player refuses for good.
    del world.wallet.wallets[stuck]
    found = await told(world.exclude(stuck, DAY))
    assert (found.code, found.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    world.clock.advance(LATER)
    await until(lambda: world.wallet.of(other) == EXCLUDED)


async def test_upkeep_survives_faults_of_all_kinds(world: World) -> None:
    player_id = (await world.register()).player_id
    world.wallet.faults.fail("SetRestrictions")
    assert (await told(world.exclude(player_id, DAY))).reason == "UNAVAILABLE"
    error = refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    world.wallet.faults.fail("SetRestrictions", times=2, error=error)
    world.clock.advance(LATER)
    await until(lambda: world.wallet.of(player_id) == EXCLUDED)
