"""How sources are judged, set by operators and felt by providers, through the front door."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
import pytest
import pytest_asyncio
from croupier.event.v1 import feed_service_pb2, feed_service_pb2_grpc
from croupier.event.v1.event_pb2 import Event
from croupier.type.v1 import money_pb2
from croupier.wallet.v1 import back_office_pb2 as nouns
from croupier.wallet.v1 import back_office_service_pb2 as office
from croupier.wallet.v1 import posting_service_pb2, wallet_pb2, wallet_service_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from scripts.mesh.pki import DevelopmentAuthority
from services.analytics import clients as analytics
from services.game.clients import feed as game
from services.kit.ids import new_id
from tests.conftest import Templates
from tests.kit.refusals import Refusal, refusal
from tests.kit.tokens import TokenIssuer
from tests.wallet import requests
from tests.wallet.requests import cash, euros, funded_player
from tests.wallet.running import RunningWallet, shared_wallet

# One wallet for the module, so one loop too.
pytestmark = pytest.mark.asyncio(loop_scope="module")
ACTOR = "0198c0de-0000-7000-8000-00000000000a"
COLLEAGUE = "0198c0de-0000-7000-8000-00000000000b"
LARGEST = 10**15
ACCEPT, REFUSE = nouns.STANCE_ACCEPT, nouns.STANCE_REFUSE
CLAMP = nouns.SHORT_WIN_ROLLBACK_CLAMP
DEBT = nouns.SHORT_WIN_ROLLBACK_DEBT
SHORT_IS_REFUSED = nouns.SHORT_WIN_ROLLBACK_REFUSE
DEFAULTS = nouns.PolicySwitches(
    rollback_unknown=ACCEPT,
    rollback_win_short=CLAMP,
    debt_limit_minor_units=0,
    rollback_settled_bet=ACCEPT,
    win_without_reference=ACCEPT,
    win_after_close=ACCEPT,
    spend_order=nouns.SPEND_ORDER_CASH_FIRST,
    split_stake=True,
    partial_rollback=False,
    key_scope=nouns.KEY_SCOPE_SOURCE,
)


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


def outcome_of(answer: Any) -> str:
    return wallet_pb2.Outcome.Name(answer.result.outcome).removeprefix("OUTCOME_")


@dataclass(frozen=True, slots=True)
class Studio:
    """A source of the test's own, one player in it, and the operator who sets its policy."""

    wallet: RunningWallet
    tokens: TokenIssuer
    player_id: str
    source: str

    def sets(self, actor: str = ACTOR, **fields: Any) -> Any:
        request = self.policy(**fields)
        metadata = self.tokens.operator("admin", sub=actor)
        return self.wallet.back_office.SetPolicy(request, metadata=metadata)

    def policy(self, **fields: Any) -> office.SetPolicyRequest:
        """A request to set a policy; what is no field of it is a switch."""
        known = office.SetPolicyRequest.DESCRIPTOR.fields_by_name
        switches = {name: fields.pop(name) for name in set(fields) - set(known)}
        usual = {"request_id": new_id(), "source": self.source, "reason": "as its protocol has it"}
        return office.SetPolicyRequest(
            **{**usual, "switches": nouns.PolicySwitches(**switches), **fields}
        )

    async def judged_by(self) -> nouns.Policy:
        request = office.GetPolicyRequest(source=self.source)
        metadata = self.tokens.operator("compliance")
        answer: office.GetPolicyResponse
        answer = await self.wallet.back_office.GetPolicy(request, metadata=metadata)
        return answer.policy

    async def lists(self, **fields: Any) -> office.ListPoliciesResponse:
        request = office.ListPoliciesRequest(**{"source": self.source, **fields})
        metadata = self.tokens.operator("compliance")
        page: office.ListPoliciesResponse
        page = await self.wallet.back_office.ListPolicies(request, metadata=metadata)
        return page

    # What the provider sends.

    def bets(self, amount: int, transaction_id: str = "", **fields: Any) -> Any:
        return self.wallet.game.Bet(self.request(requests.bet, amount, transaction_id, **fields))

    def wins(self, amount: int, transaction_id: str = "", **fields: Any) -> Any:
        return self.wallet.game.Win(self.request(requests.win, amount, transaction_id, **fields))

    def rolls_back(self, original: str, **fields: Any) -> Any:
        return self.wallet.game.Rollback(self.request(requests.rollback, original, **fields))

    def finds(self, transaction_id: str, **fields: Any) -> Any:
        request = wallet_service_pb2.GetTransferRequest(
            source=self.source, transaction_id=transaction_id, **fields
        )
        return self.wallet.game.GetTransfer(request)

    def request(self, make: Callable[..., Any], *arguments: Any, **fields: Any) -> Any:
        return make(self.player_id, *arguments, **{"source": self.source, **fields})

    async def spends_all(self) -> None:
        """Takes the player's cash out of reach of a rollback."""
        hold = office.HoldWithdrawalRequest(
            request_id=new_id(), player_id=self.player_id, amount=euros(await self.cash())
        )
        await self.wallet.back_office.HoldWithdrawal(
            hold, metadata=self.tokens.operator("cashier", sub=ACTOR)
        )

    async def charges_back(self, amount: int) -> Any:
        request = office.AdjustBalanceRequest(
            request_id=new_id(),
            player_id=self.player_id,
            currency_code="EUR",
            minor_units=-amount,
            bucket=wallet_pb2.BUCKET_CASH,
            reason="the bank took it back",
            approver_id=COLLEAGUE,
            chargeback=True,
        )
        metadata = self.tokens.operator("admin", sub=ACTOR)
        return await self.wallet.back_office.AdjustBalance(request, metadata=metadata)

    async def grants(self, amount: int) -> None:
        request = office.GrantBonusRequest(
            request_id=new_id(),
            player_id=self.player_id,
            amount=euros(amount),
            wager_required_minor_units=LARGEST,
            expire_time=Timestamp(seconds=4_000_000_000),
            rules_version=1,
            reason="welcome",
        )
        metadata = self.tokens.operator("marketing", sub=ACTOR)
        await self.wallet.back_office.GrantBonus(request, metadata=metadata)

    async def cash(self) -> int:
        return await cash(self.wallet, self.player_id)

    async def gone_from(self, answer: Any) -> dict[int, int]:
        """Tells what a stake has taken from each bucket."""
        staked = (await answer).result
        return {each.bucket: -each.minor_units for each in staked.changes}


@pytest.fixture
def studio(wallet: RunningWallet, tokens: TokenIssuer, player_id: str) -> Studio:
    return Studio(wallet, tokens, player_id, f"studio-{new_id()[-12:]}")


async def transfers_after(
    wallet: RunningWallet, seq: int, *, count: int
) -> list[wallet_pb2.Transfer]:
    """Reads transfers as followers do."""
    stub = feed_service_pb2_grpc.FeedServiceStub(wallet.analytics_channel)
    stream = stub.Subscribe(feed_service_pb2.SubscribeRequest(after_seq=seq))
    events: list[Event] = []
    async for message in stream:
        events += message.events
        if len(events) >= count:
            break
    stream.cancel()
    return [each.transfer_recorded for each in events[:count]]


# Who may.

METHODS: dict[str, tuple[Callable[[Studio], Any], set[str]]] = {
    "SetPolicy": (lambda studio: studio.policy(), {"admin"}),
    "GetPolicy": (
        lambda studio: office.GetPolicyRequest(source=studio.source),
        {"admin", "compliance"},
    ),
    "ListPolicies": (lambda _: office.ListPoliciesRequest(), {"admin", "compliance"}),
}
ROLES = {"admin", "cashier", "marketing", "compliance", "analyst", "support"}


@pytest.mark.parametrize("method", METHODS)
async def test_method_admits_its_roles_and_nobody_else(studio: Studio, method: str) -> None:
    make, roles = METHODS[method]
    call = getattr(studio.wallet.back_office, method)
    refused = await refusal(call(make(studio)))
    assert refused.reason == "ERROR_REASON_CREDENTIAL_MISSING"
    refused = await refusal(call(make(studio), metadata=studio.tokens.player(studio.player_id)))
    assert refused.reason == "ERROR_REASON_CALLER_NOT_ALLOWED"
    others = studio.tokens.operator(*(ROLES - roles))
    refused = await refusal(call(make(studio), metadata=others))
    assert refused.code is grpc.StatusCode.PERMISSION_DENIED
    assert refused.reason == "ERROR_REASON_CALLER_NOT_ALLOWED"
    for role in roles:
        await call(make(studio), metadata=studio.tokens.operator(role))


# Form.


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"request_id": "1"}, "request_id"),
        ({"source": ""}, "source"),
        ({"source": "wallet:rules"}, "source"),
        ({"source": "Acme"}, "source"),
        ({"source": "a" * 33}, "source"),
        ({"switches": None}, "switches"),
        ({"reason": "no"}, "reason"),
        ({"reason": "a\0b"}, "reason"),
        ({"rollback_unknown": 3}, "switches.rollback_unknown"),
        ({"rollback_win_short": 4}, "switches.rollback_win_short"),
        ({"rollback_win_short": DEBT}, "switches"),
        ({"debt_limit_minor_units": 1}, "switches"),
        ({"rollback_win_short": CLAMP, "debt_limit_minor_units": 1}, "switches"),
        (
            {"rollback_win_short": DEBT, "debt_limit_minor_units": -1},
            "switches.debt_limit_minor_units",
        ),
        (
            {"rollback_win_short": DEBT, "debt_limit_minor_units": LARGEST + 1},
            "switches.debt_limit_minor_units",
        ),
        ({"rollback_settled_bet": -1}, "switches.rollback_settled_bet"),
        ({"win_without_reference": 9}, "switches.win_without_reference"),
        ({"win_after_close": 9}, "switches.win_after_close"),
        ({"spend_order": 3}, "switches.spend_order"),
        ({"key_scope": 3}, "switches.key_scope"),
        ({"source": "psp:sandbox", "key_scope": nouns.KEY_SCOPE_SOURCE_AND_KIND}, "key_scope"),
    ],
    ids=str,
)
async def test_request_of_wrong_form_sets_nothing(
    studio: Studio, changes: dict[str, Any], field: str
) -> None:
    refused = await refusal(studio.sets(**changes))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.reason == "ERROR_REASON_INVALID_REQUEST"
    assert field in refused.metadata["fields"].split(",")
    assert (await studio.judged_by()).source == ""


# Setting and reading.


async def test_source_without_a_policy_is_judged_by_the_default(studio: Studio) -> None:
    policy = await studio.judged_by()
    assert policy == nouns.Policy(policy_id=1, version=1, switches=DEFAULTS)
    assert list((await studio.lists()).policies) == []


async def test_policy_that_was_set_says_who_and_why(studio: Studio) -> None:
    answer = await studio.sets(
        rollback_win_short=DEBT, debt_limit_minor_units=LARGEST, reason="as Allin asked"
    )
    policy = answer.policy
    assert outcome_of(answer) == "APPLIED"
    assert (policy.source, policy.version) == (studio.source, 1)
    assert (policy.actor_id, policy.reason) == (ACTOR, "as Allin asked")
    assert (policy.seq, policy.create_time) == (answer.result.seq, answer.result.create_time)
    expected = nouns.PolicySwitches()
    expected.MergeFrom(DEFAULTS)
    expected.rollback_win_short, expected.debt_limit_minor_units = DEBT, LARGEST
    assert policy.switches == expected
    assert await studio.judged_by() == policy


async def test_policy_is_set_whole(studio: Studio) -> None:
    first = await studio.sets(
        rollback_unknown=REFUSE,
        rollback_win_short=SHORT_IS_REFUSED,
        rollback_settled_bet=REFUSE,
        win_without_reference=REFUSE,
        win_after_close=REFUSE,
        spend_order=nouns.SPEND_ORDER_BONUS_FIRST,
        split_stake=False,
        partial_rollback=True,
        key_scope=nouns.KEY_SCOPE_SOURCE_AND_KIND,
    )
    assert await studio.judged_by() == first.policy
    # Said or left out, a default is the same.
    for switches in (DEFAULTS, nouns.PolicySwitches()):
        again = await studio.sets(switches=switches)
        assert again.policy.switches == DEFAULTS
        assert (await studio.judged_by()).policy_id == again.policy.policy_id


async def test_versions_are_listed_over_pages_newest_first(studio: Studio) -> None:
    asked = [await studio.sets(reason=f"try number {n}", actor=COLLEAGUE) for n in range(5)]
    page = await studio.lists(page_size=2)
    listed = list(page.policies)
    while page.next_page_token:
        page = await studio.lists(page_size=2, page_token=page.next_page_token)
        listed += page.policies
    assert [each.version for each in listed] == [5, 4, 3, 2, 1]
    assert listed == [each.policy for each in reversed(asked)]
    assert {each.actor_id for each in listed} == {COLLEAGUE}


async def test_list_of_all_sources_ends_with_the_default(studio: Studio) -> None:
    newest = (await studio.sets()).policy
    listed: list[nouns.Policy] = []
    token = ""
    for _ in range(100):
        page = await studio.lists(source="", page_size=7, page_token=token)
        listed += page.policies
        token = page.next_page_token
        if not token:
            break
    ids = [each.policy_id for each in listed]
    assert ids == list(range(newest.policy_id, 0, -1))
    assert listed[0] == newest
    assert listed[-1] == nouns.Policy(policy_id=1, version=1, switches=DEFAULTS)


async def test_token_of_another_list_is_refused(studio: Studio) -> None:
    for _ in range(2):
        await studio.sets()
    page = await studio.lists(page_size=1)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await studio.lists(source="", page_token=page.next_page_token)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await studio.lists(page_size=1_001)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_followers_are_told_of_a_policy_and_of_no_player(studio: Studio) -> None:
    result = (await studio.sets()).result
    [transfer] = await transfers_after(studio.wallet, result.seq - 1, count=1)
    assert transfer == wallet_pb2.Transfer(result=result, kind=wallet_pb2.TRANSFER_KIND_SET_POLICY)
    events = [Event(transfer_recorded=transfer)]
    assert analytics.facts_of(events) == []
    assert game.steps_of(events) == []


# Repeats.


async def test_repeat_is_answered_alike_also_when_others_came_after(studio: Studio) -> None:
    request_id = new_id()
    first = await studio.sets(request_id=request_id, win_after_close=REFUSE)
    second = await studio.sets()
    call = studio.sets(request_id=request_id, win_after_close=REFUSE)
    assert await call == first
    assert dict(await call.trailing_metadata())["croupier-replayed"] == "1"
    assert await studio.judged_by() == second.policy


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"win_after_close": ACCEPT}, "win_after_close"),
        ({"win_after_close": REFUSE, "split_stake": False}, "split_stake"),
        ({"win_after_close": REFUSE, "reason": "another one"}, "reason"),
        ({"win_after_close": REFUSE, "actor": COLLEAGUE}, "actor"),
        ({"win_after_close": REFUSE, "source": "another"}, "source"),
        (
            {"rollback_win_short": DEBT, "debt_limit_minor_units": 7},
            "debt_limit,rollback_win_short,win_after_close",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_request_id_with_other_content_is_refused(
    studio: Studio, changes: dict[str, Any], fields: str
) -> None:
    request_id = new_id()
    first = await studio.sets(request_id=request_id, win_after_close=REFUSE)
    refused = await refusal(studio.sets(request_id=request_id, **changes))
    assert refused.code is grpc.StatusCode.ALREADY_EXISTS
    assert refused.reason == "ERROR_REASON_KEY_REUSED"
    assert refused.metadata["fields"] == fields
    assert await studio.judged_by() == first.policy


# The scope of keys.


async def test_scope_of_keys_is_fixed_by_the_first_one(studio: Studio) -> None:
    by_kind = partial(studio.sets, key_scope=nouns.KEY_SCOPE_SOURCE_AND_KIND)
    # Back and forth, as long as no key is used.
    await by_kind()
    await studio.sets()
    refused_bet = await refusal(studio.bets(10**9))
    assert refused_bet.reason == "ERROR_REASON_INSUFFICIENT_FUNDS"
    request_id = new_id()
    refused = await refusal(by_kind(request_id=request_id, win_after_close=REFUSE))
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.reason == "ERROR_REASON_KEY_SCOPE_FIXED"
    assert refused.metadata == {
        "policy_source": studio.source,
        "key_scope": "source",
        "source": "service:back-office",
        "transaction_id": request_id,
    }
    result = refused.detail(wallet_pb2.Result)
    assert result.outcome == wallet_pb2.OUTCOME_KEY_SCOPE_FIXED
    policy = await studio.judged_by()
    assert (policy.version, policy.switches) == (2, DEFAULTS)
    # Refused stays refused, and what leaves the scope alone is not.
    again = await refusal(by_kind(request_id=request_id, win_after_close=REFUSE))
    assert again.detail(wallet_pb2.Result) == result
    assert (await studio.sets(win_after_close=REFUSE)).policy.version == 3


async def test_barred_id_counts_as_a_key(studio: Studio) -> None:
    await studio.sets(key_scope=nouns.KEY_SCOPE_SOURCE_AND_KIND)
    await studio.rolls_back("never")
    refused = await refusal(studio.sets())
    assert refused.reason == "ERROR_REASON_KEY_SCOPE_FIXED"
    assert refused.metadata["key_scope"] == "source_and_kind"


async def test_one_id_names_a_bet_and_its_win_where_the_scope_is_the_kind(studio: Studio) -> None:
    await studio.bets(100, "before")
    reused = await refusal(studio.wins(300, "before"))
    assert reused.reason == "ERROR_REASON_KEY_REUSED"
    other = Studio(studio.wallet, studio.tokens, studio.player_id, f"{studio.source}-2")
    await other.sets(key_scope=nouns.KEY_SCOPE_SOURCE_AND_KIND)
    bet = await other.bets(100, "t-1")
    win = await other.wins(300, "t-1", reference_transaction_id="t-1")
    assert {outcome_of(bet), outcome_of(win)} == {"APPLIED"}
    assert await other.cash() == 10_000 - 100 - 100 + 300
    assert await other.bets(100, "t-1") == bet
    assert await other.wins(300, "t-1", reference_transaction_id="t-1") == win
    rolled_back = await other.rolls_back("t-1", transaction_id="t-1")
    assert outcome_of(rolled_back) == "APPLIED"
    assert await other.cash() == 10_000 - 100 + 300


# Each switch, from the back office to the provider.


async def told(call: Any) -> str:
    """Tells how a call ended: its outcome, or the reason why it was refused."""
    try:
        return outcome_of(await call)
    except grpc.aio.AioRpcError:
        refused: Refusal = await refusal(call)
        return refused.reason.removeprefix("ERROR_REASON_")


async def test_rollback_of_what_nobody_knows_is_taken_or_refused(studio: Studio) -> None:
    assert await told(studio.rolls_back("never-1")) == "NOTHING_TO_REVERSE"
    await studio.sets(rollback_unknown=REFUSE)
    refused = await refusal(studio.rolls_back("never-2"))
    assert refused.reason == "ERROR_REASON_REFERENCE_NOT_FOUND"
    assert refused.metadata["reference"] == "never-2"
    # Every policy bars the original.
    for late in ("never-1", "never-2"):
        assert await told(studio.bets(10, late)) == "TOMBSTONED"
    await studio.sets()
    assert await told(studio.rolls_back("never-3")) == "NOTHING_TO_REVERSE"


async def test_rollback_of_a_spent_win_is_clamped_or_refused_or_a_debt(studio: Studio) -> None:
    for number in range(4):
        await studio.wins(500, f"win-{number}")
    await studio.spends_all()
    clamped = await studio.rolls_back("win-0")
    assert (outcome_of(clamped), await studio.cash()) == ("APPLIED_CLAMPED", 0)
    await studio.sets(rollback_win_short=SHORT_IS_REFUSED)
    assert await told(studio.rolls_back("win-1")) == "INSUFFICIENT_FUNDS"
    await studio.sets(rollback_win_short=DEBT, debt_limit_minor_units=700)
    assert await told(studio.rolls_back("win-2")) == "APPLIED"
    assert await studio.cash() == -500
    # Beyond the limit the house bears the rest; and a debt is nothing to play with.
    assert await told(studio.rolls_back("win-3")) == "APPLIED_CLAMPED"
    assert await studio.cash() == -700
    assert await told(studio.bets(1)) == "INSUFFICIENT_FUNDS"


async def test_chargeback_goes_as_deep_as_the_back_office_may(studio: Studio) -> None:
    await studio.spends_all()
    refused = await refusal(studio.charges_back(300))
    assert refused.reason == "ERROR_REASON_INSUFFICIENT_FUNDS"
    await studio.sets(
        source="service:back-office", rollback_win_short=DEBT, debt_limit_minor_units=300
    )
    try:
        await studio.charges_back(300)
        assert await studio.cash() == -300
        refused = await refusal(studio.charges_back(1))
        assert refused.reason == "ERROR_REASON_INSUFFICIENT_FUNDS"
    finally:
        # For the others of this module.
        await studio.sets(source="service:back-office")
    assert await studio.cash() == -300


async def test_rollback_of_a_settled_bet_is_taken_or_refused(studio: Studio) -> None:
    for number in range(3):
        await studio.bets(100, f"bet-{number}", round_id=f"r-{number}")
        await studio.wins(0, round_id=f"r-{number}", close_round=True)
    assert await told(studio.rolls_back("bet-0", round_id="r-0")) == "APPLIED"
    await studio.sets(rollback_settled_bet=REFUSE)
    assert await told(studio.rolls_back("bet-1", round_id="r-1")) == "REFERENCE_SETTLED"
    assert await studio.cash() == 9_800
    await studio.sets(rollback_settled_bet=ACCEPT)
    assert await told(studio.rolls_back("bet-2", round_id="r-2")) == "APPLIED"
    assert await studio.cash() == 9_900


async def test_win_that_names_no_bet_is_paid_or_refused(studio: Studio) -> None:
    await studio.bets(100, "bet")
    assert await told(studio.wins(50)) == "APPLIED"
    await studio.sets(win_without_reference=REFUSE)
    assert await told(studio.wins(50)) == "REFERENCE_NOT_FOUND"
    assert await told(studio.wins(50, reference_transaction_id="bet")) == "APPLIED"
    assert await studio.cash() == 10_000


async def test_win_after_its_round_was_closed_is_paid_or_refused(studio: Studio) -> None:
    await studio.bets(100, close_round=True)
    assert await told(studio.wins(50)) == "APPLIED_LATE"
    await studio.sets(win_after_close=REFUSE)
    assert await told(studio.wins(50)) == "ROUND_CLOSED"
    assert await studio.cash() == 9_950


async def test_stake_is_taken_first_from_the_bucket_that_comes_first(studio: Studio) -> None:
    await studio.grants(1_000)
    first = await studio.gone_from(studio.bets(100, round_id="r-1"))
    assert first == {wallet_pb2.BUCKET_CASH: 100}
    await studio.sets(spend_order=nouns.SPEND_ORDER_BONUS_FIRST)
    second = await studio.gone_from(studio.bets(100, round_id="r-2"))
    assert second == {wallet_pb2.BUCKET_BONUS: 100}


async def test_stake_is_split_or_taken_from_one_bucket_alone(studio: Studio) -> None:
    await studio.grants(2_000)
    await studio.bets(9_500, round_id="r-1")
    split = await studio.gone_from(studio.bets(600, round_id="r-2"))
    assert split == {wallet_pb2.BUCKET_CASH: 500, wallet_pb2.BUCKET_BONUS: 100}
    await studio.wins(500, reference_transaction_id="", round_id="r-3")
    await studio.sets(split_stake=False)
    whole = await studio.gone_from(studio.bets(600, round_id="r-4"))
    assert whole == {wallet_pb2.BUCKET_BONUS: 600}
    assert await told(studio.bets(2_000, round_id="r-5")) == "INSUFFICIENT_FUNDS"
    await studio.sets(split_stake=True)
    split = await studio.gone_from(studio.bets(1_600, round_id="r-6"))
    assert split == {wallet_pb2.BUCKET_CASH: 500, wallet_pb2.BUCKET_BONUS: 1_100}


async def test_rollback_takes_back_a_part_where_it_may(studio: Studio) -> None:
    await studio.bets(100, "bet")
    refused = await refusal(studio.rolls_back("bet", transaction_id="part", amount=euros(30)))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.reason == "ERROR_REASON_INVALID_REQUEST"
    assert refused.metadata["fields"] == "amount"
    found = await refusal(studio.finds("part"))
    assert found.reason == "ERROR_REASON_TRANSFER_NOT_FOUND"
    await studio.sets(partial_rollback=True)
    # Nothing was recorded, so the same id may come again.
    part = await studio.rolls_back("bet", transaction_id="part", amount=euros(30))
    assert (outcome_of(part), await studio.cash()) == ("APPLIED", 9_930)
    assert part.result.changes[0].minor_units == 30
    assert await studio.rolls_back("bet", transaction_id="part", amount=euros(30)) == part
    for other in (euros(31), None):
        reused = await refusal(studio.rolls_back("bet", transaction_id="part", amount=other))
        assert reused.reason == "ERROR_REASON_KEY_REUSED"
        assert reused.metadata["fields"] == "amount"
    over = await refusal(studio.rolls_back("bet", amount=euros(71)))
    assert over.reason == "ERROR_REASON_OVER_REVERSED"
    assert over.metadata["reference"] == "bet"
    assert await told(studio.rolls_back("bet", amount=euros(60))) == "APPLIED"
    # Without an amount it takes what is left, whatever the policy.
    await studio.sets()
    assert await told(studio.rolls_back("bet")) == "APPLIED"
    assert await told(studio.rolls_back("bet")) == "ALREADY_REVERSED"
    assert await studio.cash() == 10_000


@pytest.mark.parametrize(
    ("currency_code", "minor_units"), [("EUR", 0), ("EUR", -1), ("EUR", LARGEST + 1), ("USD", 5)]
)
async def test_part_of_wrong_form_takes_nothing_back(
    studio: Studio, currency_code: str, minor_units: int
) -> None:
    await studio.sets(partial_rollback=True)
    await studio.bets(100, "bet")
    amount = money_pb2.Money(currency_code=currency_code, minor_units=minor_units)
    refused = await refusal(studio.rolls_back("bet", amount=amount))
    assert refused.reason == "ERROR_REASON_INVALID_REQUEST"
    assert refused.metadata["fields"].startswith("amount")
    assert await studio.cash() == 9_900


async def test_followers_are_told_what_a_part_leaves(studio: Studio) -> None:
    await studio.sets(partial_rollback=True)
    await studio.bets(100, "bet")
    first = (await studio.rolls_back("bet", amount=euros(30))).result.seq
    await studio.rolls_back("bet", amount=euros(70))
    transfers = await transfers_after(studio.wallet, first - 1, count=2)
    assert [each.amount_minor_units for each in transfers] == [30, 70]
    assert [each.original_left_minor_units for each in transfers] == [70, 0]


async def test_parts_go_in_batches_and_on_a_stream(studio: Studio) -> None:
    await studio.sets(partial_rollback=True, key_scope=nouns.KEY_SCOPE_SOURCE_AND_KIND)
    await studio.bets(100, "t-1")
    await studio.wins(40, "t-1")
    movements = [
        studio.request(requests.rollback, "t-1", transaction_id="r-1", amount=euros(30)),
        studio.request(
            requests.rollback,
            "t-1",
            transaction_id="r-2",
            amount=euros(10),
            original_kind=wallet_pb2.TRANSFER_KIND_WIN,
        ),
    ]
    posting = studio.wallet.posting
    batch = posting_service_pb2.PostBatchRequest(units=map(requests.unit, movements))
    answers = (await posting.PostBatch(batch)).outcomes
    assert [outcome_of(each) for each in answers] == ["APPLIED", "APPLIED"]
    assert await studio.cash() == 10_000 - 100 + 30 + 40 - 10
    stream = posting.PostStream()
    for tag, movement in enumerate(
        [
            *movements,
            studio.request(requests.rollback, "t-1", transaction_id="r-3", amount=euros(71)),
        ]
    ):
        await stream.write(
            posting_service_pb2.PostStreamRequest(tag=tag, unit=requests.unit(movement))
        )
    await stream.done_writing()
    answers = [each async for each in stream]
    assert [each.outcomes[0].replayed for each in answers] == [True, True, False]
    assert outcome_of(answers[2].outcomes[0]) == "OVER_REVERSED"
    # One that may not be is refused by itself on a stream, and records nothing.
    await studio.sets(key_scope=nouns.KEY_SCOPE_SOURCE_AND_KIND)
    stream = posting.PostStream()
    part = studio.request(requests.rollback, "t-1", transaction_id="r-4", amount=euros(1))
    for tag, movement in enumerate([part, studio.request(requests.bet, 5, "t-2")]):
        await stream.write(
            posting_service_pb2.PostStreamRequest(tag=tag, unit=requests.unit(movement))
        )
    await stream.done_writing()
    refused, applied = [each.outcomes[0] async for each in stream]
    assert requests.reason_of(refused.error).reason == "ERROR_REASON_INVALID_REQUEST"
    assert outcome_of(applied) == "APPLIED"
    batch = posting_service_pb2.PostBatchRequest(units=[requests.unit(part)])
    whole = await refusal(posting.PostBatch(batch))
    assert whole.reason == "ERROR_REASON_INVALID_REQUEST"


async def test_movement_is_found_by_its_kind_where_its_id_is_not_enough(studio: Studio) -> None:
    await studio.sets(key_scope=nouns.KEY_SCOPE_SOURCE_AND_KIND)
    bet = await studio.bets(100, "t-1")
    refused = await refusal(studio.finds("t-1", kind=wallet_pb2.TRANSFER_KIND_WIN))
    assert refused.reason == "ERROR_REASON_TRANSFER_NOT_FOUND"
    win = await studio.wins(30, "t-1")
    for kind, answer in (("BET", bet), ("WIN", win)):
        found = await studio.finds(
            "t-1", kind=wallet_pb2.TransferKind.Value(f"TRANSFER_KIND_{kind}")
        )
        assert found.result == answer.result
    refused = await refusal(studio.finds("t-1"))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.reason == "ERROR_REASON_INVALID_REQUEST"
    assert refused.metadata["fields"] == "kind"
    await studio.rolls_back("never", original_kind=wallet_pb2.TRANSFER_KIND_WIN)
    barred = await studio.finds("never", kind=wallet_pb2.TRANSFER_KIND_WIN)
    assert outcome_of(barred) == "TOMBSTONED"
    # Elsewhere an id is enough, whatever is said beside it.
    other = Studio(studio.wallet, studio.tokens, studio.player_id, f"{studio.source}-2")
    bet = await other.bets(100, "t-1")
    for kind_ in (wallet_pb2.TRANSFER_KIND_UNSPECIFIED, wallet_pb2.TRANSFER_KIND_WIN):
        assert (await other.finds("t-1", kind=kind_)).result == bet.result


async def test_rollback_says_whether_it_means_the_bet_or_the_win(studio: Studio) -> None:
    await studio.sets(key_scope=nouns.KEY_SCOPE_SOURCE_AND_KIND)
    await studio.bets(100, "t-1")
    await studio.wins(30, "t-1")
    of_win = {"original_kind": wallet_pb2.TRANSFER_KIND_WIN}
    assert await told(studio.rolls_back("t-1", transaction_id="r-1", **of_win)) == "APPLIED"
    assert await studio.cash() == 9_900
    assert await told(studio.rolls_back("t-1", **of_win)) == "ALREADY_REVERSED"
    reused = await refusal(studio.rolls_back("t-1", transaction_id="r-1"))
    assert reused.reason == "ERROR_REASON_KEY_REUSED"
    # Unsaid, it is the bet.
    assert await told(studio.rolls_back("t-1")) == "APPLIED"
    assert await studio.cash() == 10_000
    refused = await refusal(
        studio.rolls_back("t-1", original_kind=wallet_pb2.TRANSFER_KIND_DEPOSIT)
    )
    assert refused.reason == "ERROR_REASON_INVALID_REQUEST"
    # Where one id is one movement, what is said must be true.
    other = Studio(studio.wallet, studio.tokens, studio.player_id, f"{studio.source}-2")
    await other.bets(100, "bet")
    assert await told(other.rolls_back("bet", **of_win)) == "REFERENCE_MISMATCH"
    as_bet = other.rolls_back("bet", original_kind=wallet_pb2.TRANSFER_KIND_BET)
    assert await told(as_bet) == "APPLIED"


async def test_policy_of_one_source_judges_no_other(studio: Studio) -> None:
    other = Studio(studio.wallet, studio.tokens, studio.player_id, f"{studio.source}-2")
    await studio.sets(win_without_reference=REFUSE)
    assert await told(other.wins(10)) == "APPLIED"
    assert (await other.judged_by()).source == ""
