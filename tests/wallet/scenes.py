"""A player in the middle of everything, and what may stand in the way of the next operation."""

from typing import Any

from services.wallet.domain import (
    Adjust,
    Bet,
    Bucket,
    Capture,
    CloseRound,
    Deposit,
    GrantBonus,
    HoldDeposit,
    Key,
    LimitKind,
    OpenWallet,
    Operation,
    Outcome,
    Period,
    Release,
    Restriction,
    Rollback,
    Scope,
    SetLimit,
    SetRestriction,
    SpendOrder,
    Win,
)
from services.wallet.domain.rows import Account
from services.wallet.domain.values import COUNTER_MAX, HoldId, HouseKind, Micros
from tests.wallet.passbook import DAY, HOUR, OTHER, PLAYER, Passbook

AMOUNT = 50


class Scene(Passbook):
    """A player with 100 in cash, a bet and a win to refer to, and an operation to come."""

    def __init__(self, **switches: Any) -> None:
        super().__init__(**switches)
        for player_id, currency_code in ((OTHER, "EUR"), (PLAYER, "USD")):
            self.run(OpenWallet, player_id=player_id, currency_code=currency_code)
        self.give(100)
        self.run(Bet, id="bet", amount=AMOUNT, round_key="played")
        self.run(Win, id="won", amount=AMOUNT, round_key="won")
        self.run(Deposit, amount=100, player_id=OTHER)
        self.fields: dict[str, Any] = {}
        self.rounds_to_close = {"played": "EUR", "won": "EUR"}

    def build(self, kind: type[Operation], **fields: Any) -> Any:
        values: dict[str, Any] = {"player_id": PLAYER} | fields
        key = Key(values.pop("tenant", "t"), "studio", values.pop("id", None) or self.key().id)
        if "currency_code" in kind.CONTENT:
            values.setdefault("currency_code", "EUR")
        elif "currency_code" in values:
            del values["currency_code"]
        return kind(key=key, **values)

    def run(self, kind: type[Operation], **fields: Any) -> Any:
        return self.apply(self.build(kind, **fields))

    def hold(self, kind: type[Operation] = HoldDeposit, **fields: Any) -> HoldId:
        held = self.run(kind, amount=AMOUNT, **fields)
        assert held.hold_id is not None
        return HoldId(held.hold_id)

    def arrange(self, kind: type[Operation], **fields: Any) -> None:
        """Runs what must work, or nothing would stand in the way."""
        assert self.run(kind, **fields).outcome.success

    # Obstacles.

    def another_tenant(self) -> None:
        self.fields["tenant"] = "u"

    def no_account(self) -> None:
        self.fields["currency_code"] = "GBP"

    def restricted(self, bits: Restriction = Restriction.FROZEN) -> None:
        self.arrange(SetRestriction, scope=Scope.PLAYER, restrictions=bits)

    def limited(self) -> None:
        for kind in LimitKind:
            of_kind = {"limit_kind": kind, "period": Period.DAY, "scope": Scope.PLAYER}
            self.arrange(SetLimit, max_amount=0, **of_kind)

    def poor(self) -> None:
        taken = {"bucket": Bucket.CASH, "reason": "r", "actor": "a", "approver": "b"}
        self.arrange(Adjust, amount=-self.cash, **taken)

    def closed(self) -> None:
        for name, currency_code in self.rounds_to_close.items():
            self.arrange(CloseRound, round_key=name, currency_code=currency_code)

    def round_in_another_currency(self) -> None:
        self.arrange(Win, amount=0, round_key="dollars", currency_code="USD")
        self.fields["round_key"] = "dollars"
        self.rounds_to_close["dollars"] = "USD"

    def bonus_of_small_stakes(self) -> None:
        terms = {"max_bet": 1, "spend_order": SpendOrder.BONUS_FIRST, "wager_required": 1000}
        self.arrange(GrantBonus, amount=10, expire_time=Micros(self.now + 9 * DAY), **terms)

    def full_counters(self) -> None:
        """No house account of the source can take anything any more."""
        for number, kind in enumerate(HouseKind):
            name = (kind, "studio", "EUR")
            known = self.loaded.houses.get(name)
            self.loaded.houses[name] = Account(
                version=known.version if known is not None else 1,
                stored_version=known.version if known is not None else 1,
                account_id=known.account_id if known is not None else 2**40 + 32 * number + kind,
                shard=0,
                player_id=None,
                house_kind=kind,
                source="studio",
                currency_code="EUR",
                bucket=0,
                debits_posted=COUNTER_MAX,
                credits_posted=COUNTER_MAX,
                debits_pending=COUNTER_MAX,
                credits_pending=COUNTER_MAX,
            )

    def refers_to_nothing(self) -> None:
        self.fields["reference"] = "never"

    def refers_to_anothers(self) -> None:
        self.arrange(Bet, id="others", amount=1, player_id=OTHER)
        self.fields["reference"] = "others"

    def refers_to_a_refusal(self) -> None:
        assert self.run(Bet, id="refused", amount=10**9).outcome is Outcome.INSUFFICIENT_FUNDS
        self.fields["reference"] = "refused"

    def refers_to_what_was_reversed(self) -> None:
        self.arrange(Bet, id="gone", amount=0)
        self.arrange(Rollback, reference="gone")
        self.fields["reference"] = "gone"

    def too_much(self) -> None:
        self.fields["amount"] = 10**6

    def hold_of_nobody(self) -> None:
        self.fields["hold_id"] = HoldId(bytes(16))

    def hold_of_another(self) -> None:
        self.fields["hold_id"] = self.hold(player_id=OTHER)

    def hold_posted(self) -> None:
        self.arrange(Capture, hold_id=self.fields["hold_id"])

    def hold_voided(self) -> None:
        self.arrange(Release, hold_id=self.fields["hold_id"])

    def hold_expired(self) -> None:
        self.now = Micros(self.now + 2 * HOUR)
