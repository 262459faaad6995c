"""What operators do by hand, through the front door."""

import asyncio
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
import pytest_asyncio
from croupier.type.v1 import money_pb2
from croupier.wallet.v1 import back_office_pb2, wallet_pb2, wallet_service_pb2
from croupier.wallet.v1 import back_office_service_pb2 as office
from google.protobuf.timestamp_pb2 import Timestamp

from services.kit.ids import new_id
from tests.kit.refusals import refusal
from tests.kit.tokens import TokenIssuer
from tests.wallet.requests import bet, cash, euros, funded_player, open_wallet, win
from tests.wallet.running import RunningWallet

# One wallet for the module, so one loop too.
pytestmark = pytest.mark.asyncio(loop_scope="module")
INT64_MAX = 2**63 - 1
LARGEST = 10**15
ACTOR = "0198c0de-0000-7000-8000-00000000000a"
APPROVER = "0198c0de-0000-7000-8000-00000000000b"
NEVER = Timestamp(seconds=4_000_000_000)
BEGINNING = Timestamp(seconds=1)
LONG_AGO = Timestamp(seconds=1_000_000_000)
CASH, BONUS, LOCKED = wallet_pb2.BUCKET_CASH, wallet_pb2.BUCKET_BONUS, wallet_pb2.BUCKET_LOCKED


@pytest.fixture
def wallet(module_wallet: RunningWallet) -> RunningWallet:
    return module_wallet


@pytest_asyncio.fixture(loop_scope="module")
async def player_id(wallet: RunningWallet, tokens: TokenIssuer) -> str:
    """A player with 100.00 EUR."""
    return await funded_player(wallet, tokens)


def complete(method: str, player_id: str, **fields: Any) -> Any:
    """A sound request to a method, but for what a test changes; None leaves a field out."""
    usual: dict[str, dict[str, Any]] = {
        "HoldDeposit": {"amount": euros(100)},
        "HoldWithdrawal": {"amount": euros(100)},
        "CaptureHold": {"hold_id": new_id()},
        "ReleaseHold": {"hold_id": new_id()},
        "MoveFunds": {
            "amount": euros(100),
            "from_bucket": CASH,
            "to_bucket": LOCKED,
            "reason": "a dispute",
        },
        "ExchangeFunds": {
            "amount": euros(100),
            "to_currency_code": "JPY",
            "rate": "161.5",
            "reason": "as asked",
        },
        "AdjustBalance": {
            "currency_code": "EUR",
            "minor_units": 100,
            "bucket": CASH,
            "reason": "a correction",
            "approver_id": APPROVER,
        },
        "GrantBonus": {
            "amount": euros(1_000),
            "wager_required_minor_units": 2_000,
            "expire_time": NEVER,
            "rules_version": 1,
            "reason": "welcome",
        },
        "ForfeitBonus": {"bonus_id": new_id(), "reason": "as asked"},
        "SetOperatorLimit": {
            "currency_code": "EUR",
            "kind": back_office_pb2.LIMIT_KIND_WAGER,
            "period": back_office_pb2.LIMIT_PERIOD_DAY,
            "max_minor_units": 500,
            "reason": "care",
        },
        "GetBalanceAt": {"currency_code": "EUR", "time": LONG_AGO},
        "GetStatement": {"currency_code": "EUR", "start_time": BEGINNING, "end_time": NEVER},
        "GetLiability": {},
    }
    merged = {**usual[method], **fields}
    if method in WRITES:
        merged.setdefault("request_id", new_id())
    if method != "GetLiability":
        merged["player_id"] = player_id
    kept = {name: value for name, value in merged.items() if value is not None}
    return getattr(office, f"{method}Request")(**kept)


WRITES = {
    "HoldDeposit": ("admin", "cashier"),
    "HoldWithdrawal": ("admin", "cashier"),
    "CaptureHold": ("admin", "cashier"),
    "ReleaseHold": ("admin", "cashier"),
    "MoveFunds": ("admin", "cashier"),
    "ExchangeFunds": ("admin", "cashier"),
    "AdjustBalance": ("admin",),
    "GrantBonus": ("admin", "marketing"),
    "ForfeitBonus": ("admin", "marketing"),
    "SetOperatorLimit": ("admin", "compliance"),
}
READS = {
    "GetBalanceAt": ("admin", "cashier", "compliance"),
    "GetStatement": ("admin", "cashier", "compliance"),
    "GetLiability": ("admin", "analyst"),
}
METHODS = {**WRITES, **READS}
ROLES = {"admin", "cashier", "marketing", "compliance", "analyst", "support"}


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator at work on one player."""

    wallet: RunningWallet
    tokens: TokenIssuer
    player_id: str

    async def does(self, method: str, **fields: Any) -> Any:
        request = complete(method, self.player_id, **fields)
        return await self.sends(method, request)

    def sends(self, method: str, request: Any) -> Any:
        metadata = self.tokens.operator("admin", sub=ACTOR)
        return getattr(self.wallet.back_office, method)(request, metadata=metadata)

    async def fails(self, method: str, **fields: Any) -> Any:
        return await refusal(self.does(method, **fields))

    async def balance(self, currency_code: str = "EUR") -> wallet_pb2.Balance:
        answer = await self.wallet.game.GetBalance(
            wallet_service_pb2.GetBalanceRequest(
                player_id=self.player_id, currency_code=currency_code
            )
        )
        return answer.balance  # type: ignore[no-any-return]

    async def cash(self) -> int:
        return await cash(self.wallet, self.player_id)


@pytest.fixture
def operator(wallet: RunningWallet, tokens: TokenIssuer, player_id: str) -> Operator:
    return Operator(wallet, tokens, player_id)


# Who may.


@pytest.mark.parametrize("method", METHODS)
async def test_method_admits_its_roles_and_nobody_else(
    wallet: RunningWallet, tokens: TokenIssuer, player_id: str, method: str
) -> None:
    call = getattr(wallet.back_office, method)
    request = complete(method, player_id)
    refused = await refusal(call(request))
    assert refused.reason == "ERROR_REASON_CREDENTIAL_MISSING"
    refused = await refusal(call(request, metadata=tokens.player(player_id)))
    assert refused.reason == "ERROR_REASON_CALLER_NOT_ALLOWED"
    others = ROLES - set(METHODS[method])
    refused = await refusal(call(request, metadata=tokens.operator(*others)))
    assert refused.code is grpc.StatusCode.PERMISSION_DENIED
    assert refused.reason == "ERROR_REASON_CALLER_NOT_ALLOWED"
    for role in METHODS[method]:
        admitted = call(complete(method, player_id), metadata=tokens.operator(role))
        # What it names may not be there.
        assert await admitted.code() in {
            grpc.StatusCode.OK,
            grpc.StatusCode.FAILED_PRECONDITION,
        }


@pytest.mark.parametrize("method", [name for name in METHODS if name != "GetLiability"])
async def test_player_whom_nobody_knows_is_not_found(
    wallet: RunningWallet, tokens: TokenIssuer, method: str
) -> None:
    nobody = Operator(wallet, tokens, new_id())
    refused = await nobody.fails(method)
    assert refused.reason == "ERROR_REASON_PLAYER_NOT_FOUND"
    assert refused.metadata["player_id"] == nobody.player_id
    assert refused.code is (
        grpc.StatusCode.FAILED_PRECONDITION if method in WRITES else grpc.StatusCode.NOT_FOUND
    )


@pytest.mark.parametrize(
    ("method", "changes", "reason"),
    [
        (method, changes, reason)
        for method, named in {
            "HoldDeposit": "amount",
            "HoldWithdrawal": "amount",
            "MoveFunds": "amount",
            "ExchangeFunds": "amount",
            "GrantBonus": "amount",
            "AdjustBalance": "currency_code",
            "SetOperatorLimit": "currency_code",
            "GetBalanceAt": "currency_code",
            "GetStatement": "currency_code",
        }.items()
        for code, reason in (("USD", "ACCOUNT_NOT_FOUND"), ("XQZ", "CURRENCY_UNKNOWN"))
        for changes in [
            {
                named: code
                if named == "currency_code"
                else money_pb2.Money(currency_code=code, minor_units=100)
            }
        ]
        if method in WRITES or code == "USD"
    ],
)
async def test_currency_that_is_not_there_is_told(
    operator: Operator, method: str, changes: dict[str, Any], reason: str
) -> None:
    refused = await operator.fails(method, **changes)
    assert refused.reason == f"ERROR_REASON_{reason}"
    assert await operator.cash() == 10_000


# Form.


@pytest.mark.parametrize(
    ("method", "changes", "field"),
    [
        *(
            (method, {"amount": euros(amount)}, "")
            for method in ("HoldDeposit", "HoldWithdrawal", "MoveFunds", "GrantBonus")
            for amount in (0, -1, LARGEST + 1, INT64_MAX)
        ),
        ("CaptureHold", {"minor_units": -1}, "minor_units"),
        ("CaptureHold", {"minor_units": INT64_MAX}, "minor_units"),
        ("CaptureHold", {"hold_id": "hold"}, "hold_id"),
        ("CaptureHold", {"hold_id": new_id().upper()}, "hold_id"),
        ("ReleaseHold", {"hold_id": ""}, "hold_id"),
        ("MoveFunds", {"to_bucket": CASH}, "to_bucket"),
        ("MoveFunds", {"from_bucket": None}, "from_bucket"),
        ("MoveFunds", {"reason": "x"}, "reason"),
        ("ExchangeFunds", {"rate": "0"}, "rate"),
        ("ExchangeFunds", {"rate": "0.00000001"}, "rate"),
        ("ExchangeFunds", {"rate": "-1"}, "rate"),
        ("ExchangeFunds", {"rate": "1e3"}, "rate"),
        ("ExchangeFunds", {"rate": "1."}, "rate"),
        ("ExchangeFunds", {"rate": "999999999999999", "amount": euros(1_000)}, "rate"),
        ("ExchangeFunds", {"to_currency_code": "EUR"}, "to_currency_code"),
        ("AdjustBalance", {"minor_units": 0}, "minor_units"),
        ("AdjustBalance", {"minor_units": LARGEST + 1}, "minor_units"),
        ("AdjustBalance", {"minor_units": -INT64_MAX - 1}, "minor_units"),
        ("AdjustBalance", {"approver_id": ACTOR}, "approver_id"),
        ("AdjustBalance", {"approver_id": ACTOR.upper()}, "approver_id"),
        ("AdjustBalance", {"approver_id": None}, "approver_id"),
        ("AdjustBalance", {"reason": ""}, "reason"),
        ("AdjustBalance", {"bucket": None}, "bucket"),
        ("GrantBonus", {"expire_time": None}, "expire_time"),
        ("GrantBonus", {"expire_time": Timestamp(seconds=-1)}, "expire_time"),
        ("GrantBonus", {"wager_required_minor_units": -1}, "wager_required_minor_units"),
        ("GrantBonus", {"rules_version": 0}, "rules_version"),
        ("ForfeitBonus", {"bonus_id": "bonus"}, "bonus_id"),
        ("SetOperatorLimit", {"max_minor_units": -1}, "max_minor_units"),
        ("SetOperatorLimit", {"kind": None}, "kind"),
        ("SetOperatorLimit", {"period": None}, "period"),
        ("HoldDeposit", {"request_id": "1"}, "request_id"),
        ("GetBalanceAt", {"time": NEVER}, "time"),
        ("GetBalanceAt", {"time": Timestamp(seconds=-1)}, "time"),
        ("GetStatement", {"start_time": NEVER, "end_time": BEGINNING}, "end_time"),
        ("GetStatement", {"page_size": 1_001}, "page_size"),
    ],
)
async def test_request_of_wrong_form_moves_nothing(
    operator: Operator, method: str, changes: dict[str, Any], field: str
) -> None:
    refused = await operator.fails(method, **changes)
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.reason == "ERROR_REASON_INVALID_REQUEST"
    assert refused.metadata["fields"].startswith(field or "amount")
    assert await operator.cash() == 10_000


async def test_player_does_not_approve_a_correction(operator: Operator) -> None:
    refused = await operator.fails("AdjustBalance", approver_id=operator.player_id.upper())
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.metadata == {"fields": "approver_id"}
    assert await operator.cash() == 10_000


# Holds.


async def test_withdrawal_is_set_aside_then_posted_in_part(operator: Operator) -> None:
    held = (await operator.does("HoldWithdrawal", amount=euros(4_000))).result
    balance = await operator.balance()
    assert (balance.cash_minor_units, balance.pending_minor_units) == (6_000, 4_000)
    refused = await operator.fails("CaptureHold", hold_id=held.hold_id, minor_units=4_001)
    assert refused.reason == "ERROR_REASON_CAPTURE_TOO_LARGE"
    await operator.does("CaptureHold", hold_id=held.hold_id, minor_units=1_500)
    balance = await operator.balance()
    assert (balance.cash_minor_units, balance.pending_minor_units) == (8_500, 0)
    for method in ("CaptureHold", "ReleaseHold"):
        refused = await operator.fails(method, hold_id=held.hold_id)
        assert refused.reason == "ERROR_REASON_HOLD_ALREADY_POSTED"
        assert refused.metadata["hold_id"] == held.hold_id


async def test_hundred_captures_at_once_post_the_hold_once(operator: Operator) -> None:
    held = (await operator.does("HoldWithdrawal", amount=euros(4_000))).result
    captures = [operator.does("CaptureHold", hold_id=held.hold_id) for _ in range(100)]
    ended = await asyncio.gather(*captures, return_exceptions=True)
    posted = [each for each in ended if not isinstance(each, BaseException)]
    assert len(posted) == 1
    assert await operator.cash() == 6_000


async def test_released_hold_is_whole_again(operator: Operator) -> None:
    held = (await operator.does("HoldWithdrawal", amount=euros(10_000))).result
    refused = await operator.fails("HoldWithdrawal", amount=euros(1))
    assert refused.reason == "ERROR_REASON_INSUFFICIENT_FUNDS"
    await operator.does("ReleaseHold", hold_id=held.hold_id)
    assert await operator.cash() == 10_000
    refused = await operator.fails("CaptureHold", hold_id=held.hold_id)
    assert refused.reason == "ERROR_REASON_HOLD_ALREADY_VOIDED"


async def test_announced_deposit_is_booked_when_it_is_captured(operator: Operator) -> None:
    held = (await operator.does("HoldDeposit", amount=euros(700))).result
    assert await operator.cash() == 10_000
    await operator.does("CaptureHold", hold_id=held.hold_id)
    assert await operator.cash() == 10_700


async def test_announcement_that_has_lapsed_is_not_booked(operator: Operator) -> None:
    held = (await operator.does("HoldDeposit", expire_time=LONG_AGO)).result
    refused = await operator.fails("CaptureHold", hold_id=held.hold_id)
    assert refused.reason == "ERROR_REASON_HOLD_EXPIRED"
    assert await operator.cash() == 10_000


async def test_hold_of_another_player_is_not_touched(
    operator: Operator, wallet: RunningWallet, tokens: TokenIssuer
) -> None:
    other = Operator(wallet, tokens, await funded_player(wallet, tokens))
    held = (await operator.does("HoldWithdrawal")).result
    refused = await other.fails("CaptureHold", hold_id=held.hold_id)
    assert refused.reason == "ERROR_REASON_REFERENCE_MISMATCH"
    refused = await other.fails("CaptureHold")
    assert refused.reason == "ERROR_REASON_HOLD_NOT_FOUND"


# Repeats.


@pytest.mark.parametrize(
    "method", ["HoldDeposit", "HoldWithdrawal", "MoveFunds", "AdjustBalance", "GrantBonus"]
)
async def test_repeat_is_the_same_answer_and_other_content_is_none(
    operator: Operator, method: str
) -> None:
    request = complete(method, operator.player_id)
    first = await operator.sends(method, request)
    call = operator.sends(method, request)
    again = await call
    assert again.SerializeToString(deterministic=True) == first.SerializeToString(
        deterministic=True
    )
    assert ("croupier-replayed", "1") in tuple(await call.trailing_metadata())
    if method == "AdjustBalance":
        request.minor_units += 1
    else:
        request.amount.minor_units += 1
    refused = await refusal(operator.sends(method, request))
    assert refused.code is grpc.StatusCode.ALREADY_EXISTS
    assert refused.reason == "ERROR_REASON_KEY_REUSED"
    assert refused.metadata["fields"] == "amount"


# Moves, corrections and exchange.


async def test_locked_money_is_neither_played_nor_withdrawn(
    operator: Operator, wallet: RunningWallet
) -> None:
    await operator.does("MoveFunds", amount=euros(9_000))
    balance = await operator.balance()
    assert (balance.cash_minor_units, balance.locked_minor_units) == (1_000, 9_000)
    refused = await refusal(wallet.game.Bet(bet(operator.player_id, 1_001)))
    assert refused.reason == "ERROR_REASON_INSUFFICIENT_FUNDS"
    await operator.does("MoveFunds", amount=euros(9_000), from_bucket=LOCKED, to_bucket=CASH)
    assert await operator.cash() == 10_000
    refused = await operator.fails("MoveFunds", from_bucket=LOCKED, to_bucket=CASH)
    assert refused.reason == "ERROR_REASON_INSUFFICIENT_FUNDS"


async def test_correction_goes_up_and_down_and_not_below_zero(operator: Operator) -> None:
    await operator.does("AdjustBalance", minor_units=500)
    await operator.does("AdjustBalance", minor_units=-10_000)
    assert await operator.cash() == 500
    for chargeback in (False, True):
        refused = await operator.fails("AdjustBalance", minor_units=-501, chargeback=chargeback)
        assert refused.reason == "ERROR_REASON_INSUFFICIENT_FUNDS"
    assert await operator.cash() == 500


@pytest.mark.parametrize(
    ("given", "to", "rate", "received", "rounded_off"),
    [
        (("EUR", 1_234), "JPY", "161.57", 1_993, "0.7738"),
        (("EUR", 10_000), "BTC", "0.00001051", 105_100, "0"),
        (("EUR", 1), "BTC", "0.000010517", 10, "0.517"),
        (("BTC", 1), "EUR", "95123.45", 0, ""),
        (("BTC", 12_345), "EUR", "95123.45", 1_174, "0.29899025"),
        (("EUR", 100), "JPY", "1", 1, "0"),
        (("EUR", 100), "JPY", "00000000000001.000000000000000000", 1, "0"),
    ],
)
async def test_exchange_is_rounded_down_and_the_house_keeps_the_rest(
    operator: Operator,
    given: tuple[str, int],
    to: str,
    rate: str,
    received: int,
    rounded_off: str,
) -> None:
    for currency_code in {given[0], to} - {"EUR"}:
        await operator.wallet.player.OpenWallet(open_wallet(operator.player_id, currency_code))
    if given[0] != "EUR":
        await operator.does("AdjustBalance", currency_code=given[0], minor_units=given[1])
    amount = money_pb2.Money(currency_code=given[0], minor_units=given[1])
    before = (await operator.balance(to)).cash_minor_units
    fields = {"amount": amount, "to_currency_code": to, "rate": rate, "request_id": new_id()}
    if not received:
        refused = await operator.fails("ExchangeFunds", **fields)
        assert refused.metadata == {"fields": "rate"}
        return
    answer = await operator.does("ExchangeFunds", **fields)
    assert answer.rounded_off == rounded_off
    assert [each.minor_units for each in answer.given.changes] == [-given[1]]
    assert [each.minor_units for each in answer.received.changes] == [received]
    assert (await operator.balance(to)).cash_minor_units == before + received
    again = await operator.does("ExchangeFunds", **fields)
    assert again == answer
    # The rate is kept as it was given, so another way to write it is other content.
    fields["rate"] = f"0{rate}"
    refused = await operator.fails("ExchangeFunds", **fields)
    assert refused.reason == "ERROR_REASON_KEY_REUSED"
    assert await liability_is_balanced(operator)


async def test_exchange_without_means_or_wallet_moves_neither_half(operator: Operator) -> None:
    refused = await operator.fails("ExchangeFunds")
    assert refused.reason == "ERROR_REASON_ACCOUNT_NOT_FOUND"
    assert refused.metadata["currency_code"] == "JPY"
    await operator.wallet.player.OpenWallet(open_wallet(operator.player_id, "JPY"))
    refused = await operator.fails("ExchangeFunds", amount=euros(10_001))
    assert refused.reason == "ERROR_REASON_INSUFFICIENT_FUNDS"
    assert await operator.cash() == 10_000
    assert (await operator.balance("JPY")).cash_minor_units == 0


# Bonuses.


async def test_bonus_is_wagered_and_becomes_cash(operator: Operator, wallet: RunningWallet) -> None:
    granted = await operator.does("GrantBonus", spend_order=2, bet_max_minor_units=1_500)
    assert granted.bonus_id
    balance = await operator.balance()
    assert (balance.cash_minor_units, balance.bonus_minor_units) == (10_000, 1_000)
    refused = await refusal(wallet.game.Bet(bet(operator.player_id, 1_501)))
    assert refused.reason == "ERROR_REASON_BONUS_MAX_BET"
    await wallet.game.Bet(bet(operator.player_id, 400))
    assert (await operator.balance()).bonus_minor_units == 600
    await wallet.game.Bet(bet(operator.player_id, 1_500, wager_weight_bp=0, round_id="r2"))
    await wallet.game.Win(win(operator.player_id, 400))
    balance = await operator.balance()
    assert (balance.cash_minor_units, balance.bonus_minor_units) == (9_100, 400)
    await wallet.game.Bet(bet(operator.player_id, 1_500, round_id="r3"))
    await wallet.game.Win(win(operator.player_id, 1_500, round_id="r3"))
    await wallet.game.Bet(bet(operator.player_id, 100, round_id="r4"))
    balance = await operator.balance()
    assert balance.bonus_minor_units == 0
    assert balance.cash_minor_units == 9_400
    refused = await operator.fails("ForfeitBonus", bonus_id=granted.bonus_id)
    assert refused.reason == "ERROR_REASON_BONUS_NOT_ACTIVE"


async def test_bonus_that_is_forfeited_goes_back_and_the_next_one_begins(
    operator: Operator,
) -> None:
    first = await operator.does("GrantBonus")
    second = await operator.does("GrantBonus", amount=euros(300))
    assert first.bonus_id != second.bonus_id
    assert (await operator.balance()).bonus_minor_units == 1_000
    await operator.does("ForfeitBonus", bonus_id=first.bonus_id)
    await operator.does("AdjustBalance")
    assert (await operator.balance()).bonus_minor_units == 300
    refused = await operator.fails("ForfeitBonus")
    assert refused.reason == "ERROR_REASON_BONUS_NOT_FOUND"
    assert await liability_is_balanced(operator)


async def test_bonus_without_wagering_is_cash_at_once(operator: Operator) -> None:
    await operator.does("GrantBonus", wager_required_minor_units=0)
    balance = await operator.balance()
    assert (balance.cash_minor_units, balance.bonus_minor_units) == (11_000, 0)


async def test_restricted_player_gets_no_bonus_and_no_deposit_and_may_withdraw(
    operator: Operator, wallet: RunningWallet
) -> None:
    await wallet.player.SetRestrictions(
        wallet_service_pb2.SetRestrictionsRequest(
            request_id=new_id(),
            player_id=operator.player_id,
            restrictions=[wallet_pb2.RESTRICTION_NO_DEPOSIT, wallet_pb2.RESTRICTION_NO_BONUS],
        )
    )
    for method in ("GrantBonus", "HoldDeposit"):
        refused = await operator.fails(method)
        assert refused.reason == "ERROR_REASON_PLAYER_RESTRICTED"
    await operator.does("HoldWithdrawal")


# Limits.


async def test_limit_refuses_the_bet_that_passes_it_until_it_is_lifted(
    operator: Operator, wallet: RunningWallet
) -> None:
    await operator.does("SetOperatorLimit")
    await wallet.game.Bet(bet(operator.player_id, 400))
    refused = await refusal(wallet.game.Bet(bet(operator.player_id, 101)))
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.reason == "ERROR_REASON_LIMIT_REACHED"
    assert {name: refused.metadata[name] for name in ("kind", "period", "scope")} == {
        "kind": "wager",
        "period": "day",
        "scope": "operator",
    }
    assert refused.metadata["max_minor_units"] == "500"
    assert refused.metadata["used_minor_units"] == "400"
    await operator.does("SetOperatorLimit", max_minor_units=None)
    await wallet.game.Bet(bet(operator.player_id, 101))


async def test_limit_that_begins_later_does_not_count_yet(
    operator: Operator, wallet: RunningWallet
) -> None:
    await operator.does("SetOperatorLimit", max_minor_units=0, start_time=NEVER)
    await wallet.game.Bet(bet(operator.player_id, 400))
    await operator.does("SetOperatorLimit", max_minor_units=0, start_time=LONG_AGO)
    refused = await refusal(wallet.game.Bet(bet(operator.player_id, 1)))
    assert refused.reason == "ERROR_REASON_LIMIT_REACHED"


async def test_limit_of_deposits_counts_announcements(operator: Operator) -> None:
    await operator.does(
        "SetOperatorLimit", kind=back_office_pb2.LIMIT_KIND_DEPOSIT, max_minor_units=150
    )
    await operator.does("HoldDeposit", amount=euros(150))
    refused = await operator.fails("HoldDeposit", amount=euros(1))
    assert refused.reason == "ERROR_REASON_LIMIT_REACHED"


# Reading the past.


async def pages(operator: Operator, **fields: Any) -> tuple[list[Any], set[tuple[int, int]]]:
    entries: list[Any] = []
    around: set[tuple[int, int]] = set()
    token = ""
    for _ in range(100):
        page = await operator.does("GetStatement", page_token=token, **fields)
        entries += page.entries
        around.add((page.opening_balance_minor_units, page.closing_balance_minor_units))
        token = page.next_page_token
        if not token:
            break
    return entries, around


async def test_statement_is_told_over_pages_with_the_balances_around_it(
    operator: Operator, wallet: RunningWallet
) -> None:
    for _ in range(200):
        await wallet.game.Bet(bet(operator.player_id, 10))
    entries, around = await pages(operator, page_size=30)
    assert [each.account_version for each in entries] == list(range(1, 202))
    assert around == {(0, 8_000)}
    middle = entries[100]
    entries, around = await pages(operator, page_size=7, start_time=middle.create_time)
    assert entries[0].account_version <= middle.account_version
    [(opening, closing)] = around
    assert closing == 8_000
    assert opening + sum(each.change_minor_units for each in entries) == closing
    entries, around = await pages(operator, end_time=middle.create_time)
    [(opening, closing)] = around
    assert (opening, closing) == (0, sum(each.change_minor_units for each in entries))
    assert all(
        each.create_time.ToMicroseconds() < middle.create_time.ToMicroseconds() for each in entries
    )


async def test_statement_does_not_grow_between_its_pages(
    operator: Operator, wallet: RunningWallet
) -> None:
    await wallet.game.Bet(bet(operator.player_id, 10))
    first = await operator.does("GetStatement", page_size=1)
    await wallet.game.Bet(bet(operator.player_id, 10))
    rest = await operator.does("GetStatement", page_token=first.next_page_token)
    assert [each.account_version for each in rest.entries] == [2]
    assert rest.next_page_token == ""
    assert rest.closing_balance_minor_units == first.closing_balance_minor_units == 9_990
    refused = await operator.fails("GetStatement", page_token=first.next_page_token, bucket=BONUS)
    assert refused.reason == "ERROR_REASON_PAGE_TOKEN_INVALID"


async def test_empty_period_has_the_same_balance_before_and_after(operator: Operator) -> None:
    answer = await operator.does("GetStatement", start_time=BEGINNING, end_time=LONG_AGO)
    assert answer == office.GetStatementResponse()
    answer = await operator.does("GetStatement", start_time=NEVER, end_time=NEVER)
    assert list(answer.entries) == []
    assert answer.opening_balance_minor_units == answer.closing_balance_minor_units == 10_000


async def test_balance_of_the_past_is_what_it_was_then(
    operator: Operator, wallet: RunningWallet
) -> None:
    seen: list[tuple[Timestamp, wallet_pb2.Balance]] = []
    held = (await operator.does("HoldWithdrawal", amount=euros(1_000))).result
    seen.append((held.create_time, await operator.balance()))
    granted = await operator.does("GrantBonus")
    seen.append((granted.result.create_time, await operator.balance()))
    moved = (await operator.does("MoveFunds")).result
    seen.append((moved.create_time, await operator.balance()))
    for _ in range(70):
        staked = (await wallet.game.Bet(bet(operator.player_id, 100))).result
        seen.append((staked.create_time, await operator.balance()))
    captured = (await operator.does("CaptureHold", hold_id=held.hold_id)).result
    seen.append((captured.create_time, await operator.balance()))
    for time, balance in seen:
        answer = await operator.does("GetBalanceAt", time=time)
        assert answer.balance == balance
        after = Timestamp()
        after.FromMicroseconds(time.ToMicroseconds() + 1)
        _, around = await pages(operator, end_time=after)
        [(_, closing)] = around
        assert closing == balance.cash_minor_units + balance.pending_minor_units
    before = await operator.does("GetBalanceAt", time=LONG_AGO)
    assert before.balance == wallet_pb2.Balance(currency_code="EUR")


# What is owed.


async def liabilities(operator: Operator) -> dict[str, back_office_pb2.Liability]:
    answer = await operator.does("GetLiability")
    assert [each.currency_code for each in answer.liabilities] == sorted(
        each.currency_code for each in answer.liabilities
    )
    return {each.currency_code: each for each in answer.liabilities}


async def liability_is_balanced(operator: Operator) -> bool:
    return all(
        each.total_minor_units
        == each.house_minor_units
        == each.cash_minor_units + each.bonus_minor_units + each.locked_minor_units
        for each in (await liabilities(operator)).values()
    )


async def test_liability_follows_the_ledger_and_the_house_agrees(
    operator: Operator, wallet: RunningWallet
) -> None:
    before = (await liabilities(operator))["EUR"]
    await operator.does("GrantBonus")
    await operator.does("MoveFunds", amount=euros(300))
    await operator.does("HoldWithdrawal", amount=euros(500))
    await operator.does("AdjustBalance", minor_units=LARGEST)
    last = (await wallet.game.Bet(bet(operator.player_id, 50))).result
    after = (await liabilities(operator))["EUR"]
    assert after.cash_minor_units - before.cash_minor_units == LARGEST - 300 - 50
    assert after.bonus_minor_units - before.bonus_minor_units == 1_000
    assert after.locked_minor_units - before.locked_minor_units == 300
    assert await liability_is_balanced(operator)
    assert (await operator.does("GetLiability")).seq >= last.seq


async def test_liability_is_balanced_at_any_moment(
    operator: Operator, wallet: RunningWallet
) -> None:
    async def play() -> None:
        for _ in range(20):
            await wallet.game.Bet(bet(operator.player_id, 3))

    playing = [asyncio.ensure_future(play()) for _ in range(5)]
    while not all(task.done() for task in playing):
        assert await liability_is_balanced(operator)
    await asyncio.gather(*playing)
    assert await operator.cash() == 9_700
