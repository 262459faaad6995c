"""Batches, linked groups and streams, through the front door."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from croupier.type.v1 import money_pb2
from croupier.wallet.v1 import posting_service_pb2, posting_service_pb2_grpc, wallet_pb2
from google.rpc import error_details_pb2

from services.kit.ids import new_id
from tests.kit.refusals import at_once, refusal
from tests.kit.tokens import TokenIssuer
from tests.wallet.requests import bet, cash, funded_player, reason_of, rollback, unit, win
from tests.wallet.running import RunningWallet

# One wallet for the module, so one loop too.
pytestmark = pytest.mark.asyncio(loop_scope="module")
PATIENCE_S = 60
INT64_MAX = 2**63 - 1
APPLIED = wallet_pb2.OUTCOME_APPLIED
SHORT = wallet_pb2.OUTCOME_INSUFFICIENT_FUNDS
LINKED_FAILED = wallet_pb2.OUTCOME_LINKED_FAILED

_Batch = posting_service_pb2.PostBatchRequest
_Message = posting_service_pb2.PostStreamRequest


@pytest.fixture
def wallet(module_wallet: RunningWallet) -> RunningWallet:
    return module_wallet


@pytest_asyncio.fixture(loop_scope="module")
async def player_id(wallet: RunningWallet, tokens: TokenIssuer) -> str:
    """A player with 100.00 EUR."""
    return await funded_player(wallet, tokens)


async def post(wallet: RunningWallet, *units: posting_service_pb2.Unit) -> list[Any]:
    answer = await wallet.posting.PostBatch(_Batch(units=units), timeout=PATIENCE_S)
    return list(answer.outcomes)


def told(outcomes: list[Any]) -> list[int]:
    return [each.result.outcome for each in outcomes]


# Who may.


@pytest.mark.parametrize("service", ["edge", "player", "analytics"])
async def test_only_game_posts_batches_and_streams(wallet: RunningWallet, service: str) -> None:
    channel = wallet.connect(service)
    stub = posting_service_pb2_grpc.PostingServiceStub(channel)
    request = unit(bet(new_id(), 1))
    refused = await refusal(stub.PostBatch(_Batch(units=[request])))
    assert refused.code is grpc.StatusCode.PERMISSION_DENIED
    assert refused.reason == "ERROR_REASON_CALLER_NOT_ALLOWED"
    method = "/croupier.wallet.v1.PostingService/PostStream"
    refused = await refusal(at_once(channel, method, _Message(unit=request)))
    assert refused.reason == "ERROR_REASON_CALLER_NOT_ALLOWED"


# Batches.


async def test_batch_books_the_movements_of_a_player_in_their_order(
    wallet: RunningWallet, player_id: str
) -> None:
    stake = bet(player_id, 10_000)
    outcomes = await post(
        wallet,
        unit(bet(player_id, 10_001)),
        unit(stake),
        unit(bet(player_id, 1)),
        unit(win(player_id, 300)),
        unit(bet(player_id, 300)),
        unit(rollback(player_id, stake.transaction_id)),
    )
    assert told(outcomes) == [SHORT, APPLIED, SHORT, APPLIED, APPLIED, APPLIED]
    seqs = [each.result.seq for each in outcomes]
    assert seqs == sorted(set(seqs))
    assert await cash(wallet, player_id) == 10_000


async def test_batch_answers_many_players_each_for_themselves(
    wallet: RunningWallet, tokens: TokenIssuer
) -> None:
    rich, poor = await funded_player(wallet, tokens), await funded_player(wallet, tokens, 100)
    units = [unit(bet(each, 101)) for _ in range(5) for each in (rich, poor)]
    assert told(await post(wallet, *units)) == [APPLIED, SHORT] * 5
    assert (await cash(wallet, rich), await cash(wallet, poor)) == (10_000 - 505, 100)


async def test_batch_that_is_repeated_is_answered_the_same(
    wallet: RunningWallet, player_id: str
) -> None:
    units = [unit(bet(player_id, 100)), unit(bet(player_id, 10**6)), unit(win(player_id, 5))]
    first = await post(wallet, *units)
    again = await post(wallet, *units)
    assert [each.replayed for each in first] == [False] * 3
    assert [each.replayed for each in again] == [True] * 3
    assert [each.result for each in again] == [each.result for each in first]
    assert await cash(wallet, player_id) == 9_905


async def test_key_with_other_content_is_an_error_of_its_movement_alone(
    wallet: RunningWallet, player_id: str
) -> None:
    one = bet(player_id, 100)
    other = bet(player_id, 200, one.transaction_id)
    first, reused, third = await post(wallet, unit(one), unit(other), unit(bet(player_id, 1)))
    assert told([first, third]) == [APPLIED, APPLIED]
    assert reused.error.code == grpc.StatusCode.ALREADY_EXISTS.value[0]
    assert reason_of(reused.error).reason == "ERROR_REASON_KEY_REUSED"
    assert dict(reason_of(reused.error).metadata) == {
        "source": "acme",
        "transaction_id": one.transaction_id,
        "fields": "amount",
    }
    assert await cash(wallet, player_id) == 9_899


async def test_batch_of_1000_is_booked_and_one_of_1001_is_not(
    wallet: RunningWallet, player_id: str
) -> None:
    units = [unit(*(bet(player_id, 1) for _ in range(100))) for _ in range(10)]
    one_more = unit(bet(player_id, 1))
    refused = await refusal(wallet.posting.PostBatch(_Batch(units=[*units, one_more])))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.reason == "ERROR_REASON_INVALID_REQUEST"
    assert refused.metadata == {"fields": "units"}
    assert await cash(wallet, player_id) == 10_000
    outcomes = await post(wallet, *units)
    assert told(outcomes) == [APPLIED] * 1_000
    assert await cash(wallet, player_id) == 9_000


@pytest.mark.parametrize(
    ("units", "field"),
    [
        ([], "units"),
        ([posting_service_pb2.Unit()], "units.operations"),
        ([unit(*(bet(new_id(), 1) for _ in range(101)))], "units.operations"),
        (
            [posting_service_pb2.Unit(operations=[posting_service_pb2.Operation()])],
            "units.operations.operation",
        ),
        ([unit(bet("nobody", 1))], "units.operations.bet.player_id"),
        ([unit(bet(new_id().upper(), 1))], "player_id"),
        ([unit(bet(new_id(), -1))], "units.operations.bet.amount.minor_units"),
        ([unit(bet(new_id(), INT64_MAX))], "units.operations.bet.amount.minor_units"),
        ([unit(bet(new_id(), 1), bet(new_id(), 1))], "units[0].operations"),
    ],
)
async def test_batch_of_wrong_form_moves_nothing(
    wallet: RunningWallet, player_id: str, units: list[Any], field: str
) -> None:
    refused = await refusal(wallet.posting.PostBatch(_Batch(units=[*units])))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.metadata == {"fields": field}
    if units:
        sound = unit(bet(player_id, 1))
        await refusal(wallet.posting.PostBatch(_Batch(units=[sound, *units])))
        assert await cash(wallet, player_id) == 10_000


async def test_currencies_that_do_not_fit_are_told_apart(
    wallet: RunningWallet, player_id: str
) -> None:
    dollars = money_pb2.Money(currency_code="USD", minor_units=1)
    unknown = money_pb2.Money(currency_code="XQZ", minor_units=1)
    [outcome] = await post(wallet, unit(bet(player_id, 1, amount=dollars)))
    assert outcome.result.outcome == wallet_pb2.OUTCOME_ACCOUNT_NOT_FOUND
    [outcome] = await post(wallet, unit(bet(new_id(), 1)))
    assert outcome.result.outcome == wallet_pb2.OUTCOME_PLAYER_NOT_FOUND
    refused = await refusal(
        wallet.posting.PostBatch(
            _Batch(units=[unit(bet(player_id, 1)), unit(bet(player_id, 1, amount=unknown))])
        )
    )
    assert refused.reason == "ERROR_REASON_CURRENCY_UNKNOWN"
    assert await cash(wallet, player_id) == 10_000


# Linked groups.


async def test_group_is_refused_whole(wallet: RunningWallet, player_id: str) -> None:
    group = unit(bet(player_id, 4_000), bet(player_id, 6_001), win(player_id, 5))
    after = unit(bet(player_id, 1))
    outcomes = await post(wallet, group, after)
    assert told(outcomes) == [LINKED_FAILED, SHORT, LINKED_FAILED, APPLIED]
    assert outcomes[1].result.available_after.cash_minor_units == 10_000
    assert await cash(wallet, player_id) == 9_999
    again = await post(wallet, group)
    assert [each.result for each in again] == [each.result for each in outcomes[:3]]
    assert [each.replayed for each in again] == [True] * 3


async def test_win_of_a_group_cannot_pay_for_the_bet_before_it(
    wallet: RunningWallet, player_id: str
) -> None:
    outcomes = await post(wallet, unit(bet(player_id, 10_001), win(player_id, 20_000)))
    assert told(outcomes) == [SHORT, LINKED_FAILED]
    outcomes = await post(wallet, unit(bet(player_id, 10_000), win(player_id, 20_000)))
    assert told(outcomes) == [APPLIED, APPLIED]
    assert await cash(wallet, player_id) == 20_000


async def test_reused_key_in_a_group_fails_the_others(
    wallet: RunningWallet, player_id: str
) -> None:
    known = bet(player_id, 10)
    await post(wallet, unit(known))
    other = bet(player_id, 20, known.transaction_id)
    failed, reused = await post(wallet, unit(win(player_id, 50), other))
    assert failed.result.outcome == LINKED_FAILED
    assert reason_of(reused.error).reason == "ERROR_REASON_KEY_REUSED"
    assert await cash(wallet, player_id) == 9_990


# Streams.


async def test_stream_of_2000_movements_to_a_slow_reader_is_answered_in_order(
    wallet: RunningWallet, tokens: TokenIssuer
) -> None:
    players = [await funded_player(wallet, tokens) for _ in range(4)]
    sent = 0

    async def messages() -> AsyncIterator[Any]:
        nonlocal sent
        for number in range(2_000):
            sent += 1
            yield _Message(tag=number, unit=unit(bet(players[number % 4], 1)))

    stream = wallet.posting.PostStream(messages(), timeout=PATIENCE_S)
    tags: list[int] = []
    seqs: list[int] = []
    while response := await stream.read():
        tags.append(response.tag)
        assert told(response.outcomes) == [APPLIED]
        seqs.append(response.outcomes[0].result.seq)
        if len(tags) % 100 == 0:
            # Lets the others go first, as a reader does that is busy with something else.
            await cash(wallet, players[0])
    assert sent == 2_000
    assert tags == list(range(2_000))
    assert seqs == sorted(set(seqs))
    assert await stream.code() is grpc.StatusCode.OK
    assert [await cash(wallet, each) for each in players] == [9_500] * 4


async def test_stream_tells_the_fault_of_a_unit_and_goes_on(
    wallet: RunningWallet, player_id: str, tokens: TokenIssuer
) -> None:
    other = await funded_player(wallet, tokens)
    unknown = money_pb2.Money(currency_code="XQZ", minor_units=1)
    known = bet(player_id, 10)
    messages = [
        _Message(tag=7, unit=unit(known)),
        _Message(tag=7, unit=unit(known)),
        _Message(tag=8, unit=unit(bet(player_id, 11, known.transaction_id))),
        _Message(tag=-1, unit=unit(bet(player_id, 1), bet(other, 1))),
        _Message(tag=INT64_MAX, unit=unit(bet(player_id, 1, amount=unknown))),
        _Message(tag=0, unit=unit(bet(player_id, 10**6), win(player_id, 1))),
    ]
    stream = wallet.posting.PostStream(iter(messages), timeout=PATIENCE_S)
    answers = [response async for response in stream]
    assert [each.tag for each in answers] == [7, 7, 8, -1, INT64_MAX, 0]
    assert [each.outcomes[0].replayed for each in answers[:2]] == [False, True]
    assert answers[0].outcomes[0].result == answers[1].outcomes[0].result
    assert [
        [reason_of(outcome.error).reason for outcome in each.outcomes] for each in answers[2:5]
    ] == [
        ["ERROR_REASON_KEY_REUSED"],
        ["ERROR_REASON_INVALID_REQUEST"] * 2,
        ["ERROR_REASON_CURRENCY_UNKNOWN"],
    ]
    assert told(answers[5].outcomes) == [SHORT, LINKED_FAILED]
    assert await cash(wallet, player_id) == 9_990
    assert await cash(wallet, other) == 10_000


async def test_stream_answers_a_unit_of_wrong_form_under_its_tag_and_goes_on(
    wallet: RunningWallet, player_id: str
) -> None:
    empty = posting_service_pb2.Operation()
    wrong = [
        ([], "unit.operations"),
        ([bet("nobody", 10)], "unit.operations.bet.player_id"),
        ([bet(player_id, 10), bet(player_id, -1)], "unit.operations.bet.amount.minor_units"),
        ([bet(player_id, 1)] * 101, "unit.operations"),
    ]
    messages = []
    for tag, (requests, _) in enumerate(wrong):
        messages += [
            _Message(tag=tag, unit=unit(*requests)),
            _Message(tag=100 + tag, unit=unit(bet(player_id, 10))),
        ]
    messages += [_Message(tag=4), _Message(unit=posting_service_pb2.Unit(operations=[empty] * 2))]
    stream = wallet.posting.PostStream(iter(messages), timeout=PATIENCE_S)
    answers = [response async for response in stream]
    assert [each.tag for each in answers] == [0, 100, 1, 101, 2, 102, 3, 103, 4, 0]
    assert await stream.code() is grpc.StatusCode.OK
    assert [told(each.outcomes) for each in answers[1:8:2]] == [[APPLIED]] * 4
    fields = [field for _, field in wrong] + ["unit", "unit.operations.operation"]
    refused = [*answers[0:8:2], *answers[8:]]
    assert [len(each.outcomes) for each in refused] == [1, 1, 2, 1, 1, 2]
    for answer, field in zip(refused, fields, strict=True):
        for outcome in answer.outcomes:
            assert outcome.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
            assert reason_of(outcome.error).reason == "ERROR_REASON_INVALID_REQUEST"
            assert set(reason_of(outcome.error).metadata["fields"].split(",")) == {field}
            bad = error_details_pb2.BadRequest()
            assert any(detail.Unpack(bad) for detail in outcome.error.details)
            assert {each.field for each in bad.field_violations} == {field}
    assert await cash(wallet, player_id) == 9_960


async def test_units_of_wrong_form_keep_their_place_among_hundreds_of_others(
    wallet: RunningWallet, player_id: str
) -> None:
    def sent(tag: int) -> Any:
        return _Message(tag=tag, unit=unit(bet(player_id if tag % 3 else "nobody", 1)))

    stream = wallet.posting.PostStream(map(sent, range(900)), timeout=PATIENCE_S)
    answers = [response async for response in stream]
    assert [each.tag for each in answers] == list(range(900))
    wrong = [each.tag for each in answers if each.outcomes[0].WhichOneof("outcome") == "error"]
    assert wrong == list(range(0, 900, 3))
    seqs = [each.outcomes[0].result.seq for each in answers if each.tag not in wrong]
    assert seqs == sorted(set(seqs))
    assert await cash(wallet, player_id) == 10_000 - 600


async def test_stream_ends_after_what_came_before_a_message_that_cannot_be_read(
    wallet: RunningWallet, player_id: str
) -> None:
    call = wallet.connect("game").stream_stream(
        "/croupier.wallet.v1.PostingService/PostStream",
        request_serializer=bytes,
        response_deserializer=posting_service_pb2.PostStreamResponse.FromString,
    )
    messages = [
        _Message(tag=1, unit=unit(bet(player_id, 10))).SerializeToString(),
        b"\x12\xff\xff",
        _Message(tag=3, unit=unit(bet(player_id, 10))).SerializeToString(),
    ]
    stream: Any = call(iter(messages), timeout=PATIENCE_S)
    answered = await stream.read()
    assert (answered.tag, told(answered.outcomes)) == (1, [APPLIED])
    refused = await refusal(stream.read())
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.reason == "ERROR_REASON_INVALID_REQUEST"
    assert await cash(wallet, player_id) == 9_990


async def test_stream_without_units_ends_well(wallet: RunningWallet) -> None:
    stream = wallet.posting.PostStream(iter(()), timeout=PATIENCE_S)
    assert [response async for response in stream] == []
    assert await stream.code() is grpc.StatusCode.OK
