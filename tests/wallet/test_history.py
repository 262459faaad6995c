"""One seeded history, in memory and on a database: the outcomes do not depend on how it was cut."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from services.kit.clock import to_micros
from services.wallet.domain import (
    Adjust,
    Answer,
    Bet,
    Bucket,
    Capture,
    CloseRound,
    Deposit,
    ForfeitBonus,
    GrantBonus,
    Group,
    HoldDeposit,
    IfRefused,
    Key,
    LimitKind,
    Micros,
    Move,
    OpenWallet,
    Operation,
    Period,
    PlayerId,
    Release,
    Restriction,
    Result,
    Reused,
    Rollback,
    Scope,
    SetLimit,
    SetPolicy,
    SetRestriction,
    Win,
    Withdraw,
)
from services.wallet.domain.planner import Unit, submission_of
from services.wallet.domain.policy import Policies
from services.wallet.service import WalletService
from services.wallet.writer import WriterOptions
from tests.kit.clock import ManualClock
from tests.wallet.audit import Audit
from tests.wallet.passbook import Passbook

PLAYERS = [PlayerId(bytes(15) + bytes((number,))) for number in range(1, 6)]
BATCHES = 60


class Workload:
    """Invents operations that refer to what came before, and sometimes to what never did."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 (a seed repeats the history)
        self.count = 0
        self.sent: list[Operation] = []
        self.bets: list[str] = []
        self.holds: list[Any] = []
        self.bonuses: list[Any] = []

    def batch(self, now: Micros) -> list[Operation | Group]:
        return [self._unit(now) for _ in range(self.random.randint(1, 12))]

    def learn(self, answers: list[Any]) -> None:
        """Remembers the ids that results brought."""
        for answer in answers:
            if isinstance(answer, Answer):
                if answer.result.hold_id is not None:
                    self.holds.append(answer.result.hold_id)
                if answer.result.bonus_id is not None:
                    self.bonuses.append(answer.result.bonus_id)

    def _unit(self, now: Micros) -> Operation | Group:
        draw = self.random.random()
        if draw < 0.08 and self.sent:
            return self.random.choice(self.sent)
        player = self.random.choice(PLAYERS)
        if draw < 0.2:
            legs = tuple(self._operation(player, now) for _ in range(self.random.randint(2, 4)))
            return Group(legs)
        return self._operation(player, now)

    def _operation(self, player: PlayerId, now: Micros) -> Operation:
        self.count += 1
        key = Key("t", "studio", f"op-{self.count}")
        if self.bets and self.random.random() < 0.03:
            key = Key("t", "studio", self.choose(self.bets))
        common: dict[str, Any] = {"key": key, "player_id": player, "currency_code": "EUR"}
        make: Callable[[dict[str, Any], int, Micros], Operation] = getattr(
            self, "_" + self.random.choices(_KINDS, _WEIGHTS)[0]
        )
        operation = make(common, self.random.randint(1, 500), now)
        self.sent.append(operation)
        return operation

    def choose(self, some: list[Any]) -> Any:
        return self.random.choice(some)

    def _round(self) -> str:
        return str(self.choose(["", "r1", "r2", f"r{self.count}", f"r{self.count}"]))

    def _reference(self) -> str:
        known = self.bets and self.random.random() < 0.9
        return str(self.choose(self.bets)) if known else "future"

    def _bet(self, common: dict[str, Any], amount: int, now: Micros) -> Operation:
        del now
        self.bets.append(common["key"].id)
        return Bet(
            amount=self.choose([amount, 0, amount * 10]),
            round_key=self._round(),
            game_id=self.choose(["", "g"]),
            close_round=self.random.random() < 0.1,
            wager_weight=self.choose([10_000, 3_333, 0]),
            **common,
        )

    def _win(self, common: dict[str, Any], amount: int, now: Micros) -> Operation:
        del now
        reference = self.choose(["", self._reference()])
        self.bets.append(common["key"].id)
        return Win(
            amount=self.choose([0, amount]),
            round_key=self._round(),
            reference=reference,
            **common,
        )

    def _rollback(self, common: dict[str, Any], amount: int, now: Micros) -> Operation:
        del now
        return Rollback(
            reference=self._reference(),
            amount=self.choose([None, None, amount]),
            round_key=self._round(),
            close_round=self.random.random() < 0.1,
            **common,
        )

    def _close(self, common: dict[str, Any], amount: int, now: Micros) -> Operation:
        del amount, now
        return CloseRound(round_key=self.choose(["r1", "r2", "r3"]), **common)

    def _deposit(self, common: dict[str, Any], amount: int, now: Micros) -> Operation:
        del now
        return Deposit(amount=amount, if_refused=self.choose(list(IfRefused)), **common)

    def _hold(self, common: dict[str, Any], amount: int, now: Micros) -> Operation:
        due = self.choose([None, Micros(now + self.random.randint(1, 10**10))])
        return HoldDeposit(amount=amount, expire_time=due, **common)

    def _withdraw(self, common: dict[str, Any], amount: int, now: Micros) -> Operation:
        del now
        return Withdraw(amount=amount, **common)

    def _resolve(self, common: dict[str, Any], amount: int, now: Micros) -> Operation:
        del now, common["currency_code"]
        common["hold_id"] = self.choose(self.holds or [bytes(16)])
        made: list[Operation] = [
            Capture(**common),
            Capture(amount=amount, **common),
            Release(**common),
        ]
        return made[self.random.randrange(3)]

    def _grant(self, common: dict[str, Any], amount: int, now: Micros) -> Operation:
        return GrantBonus(
            amount=amount,
            wager_required=self.choose([0, amount, amount * 5]),
            max_bet=self.choose([None, 100]),
            expire_time=Micros(now + self.random.randint(1, 10**11)),
            **common,
        )

    def _forfeit(self, common: dict[str, Any], amount: int, now: Micros) -> Operation:
        del amount, now, common["currency_code"]
        return ForfeitBonus(bonus_id=self.choose(self.bonuses or [bytes(16)]), **common)

    def _limit(self, common: dict[str, Any], amount: int, now: Micros) -> Operation:
        return SetLimit(
            scope=self.choose(list(Scope)),
            limit_kind=self.choose(list(LimitKind)),
            period=self.choose(list(Period)),
            max_amount=self.choose([None, amount * 10]),
            start_time=self.choose([None, Micros(now + 10**10)]),
            **common,
        )

    def _restrict(self, common: dict[str, Any], amount: int, now: Micros) -> Operation:
        del amount, now, common["currency_code"]
        bits = [Restriction.NONE] * 4 + [Restriction.NO_BET, Restriction.NO_BONUS]
        return SetRestriction(
            scope=self.choose(list(Scope)), restrictions=self.choose(bits), **common
        )

    def _move(self, common: dict[str, Any], amount: int, now: Micros) -> Operation:
        del now
        credit = self.choose([Bucket.LOCKED, None])
        return Move(
            amount=amount, debit=Bucket.CASH, credit=credit, reason="r", actor="a", **common
        )

    def _adjust(self, common: dict[str, Any], amount: int, now: Micros) -> Operation:
        del now
        return Adjust(
            amount=self.choose([amount, -amount]),
            bucket=self.choose(list(Bucket)),
            reason="r",
            actor="a",
            approver="b",
            **common,
        )


_SHARES = {
    "bet": 30,
    "win": 15,
    "rollback": 10,
    "close": 3,
    "deposit": 10,
    "hold": 4,
    "withdraw": 4,
    "resolve": 6,
    "grant": 4,
    "forfeit": 1,
    "limit": 2,
    "restrict": 2,
    "move": 2,
    "adjust": 3,
}
_KINDS, _WEIGHTS = list(_SHARES), list(_SHARES.values())


def in_memory(book: Passbook, batch: list[Operation | Group]) -> list[Answer | Reused]:
    """Plans each unit of the batch in a batch of its own."""
    answers: list[Answer | Reused] = []
    for unit in batch:
        operations = unit.operations if isinstance(unit, Group) else (unit,)
        submissions = tuple(submission_of(each, book.policies) for each in operations)
        answers += book.batch(Unit(submissions, linked=isinstance(unit, Group)))[0]
    return answers


def told(answer: Any) -> Result | str:
    if isinstance(answer, Answer):
        return answer.result
    return ",".join(answer.fields) if isinstance(answer, Reused) else str(answer.metadata["fields"])


# The sweeper would expire holds whenever the machine lets it, and so between two batches.
UNSWEPT = WriterOptions(sweep_every=timedelta(days=1))


@pytest.mark.parametrize("seed", range(4))
async def test_a_history_has_the_same_outcomes_in_memory_and_on_a_database(
    wallet_url: str, clock: ManualClock, seed: int
) -> None:
    workload = Workload(seed)
    book = Passbook(opened=False)
    book.policies = Policies([])
    service = WalletService(wallet_url, clock, options=UNSWEPT)
    await service.start()
    policy = SetPolicy(key=Key("t", "office", "policy"), source="studio", partial_rollback=True)
    book.now = Micros(to_micros(clock.now()))
    assert (await service.submit(policy)).result == book.apply(policy)
    for number in range(BATCHES):
        clock.advance(timedelta(seconds=workload.random.randint(0, 5000)))
        book.now = Micros(to_micros(clock.now()))
        batch: list[Operation | Group] = workload.batch(book.now)
        if number == 0:
            batch = [
                OpenWallet(
                    key=Key("t", "player", f"open-{index}"),
                    player_id=player,
                    currency_code="EUR",
                )
                for index, player in enumerate(PLAYERS)
            ]
        expected = in_memory(book, batch)
        found = await service.submit_batch(batch)
        assert [told(each) for each in found] == [told(each) for each in expected], (seed, number)
        workload.learn(expected)
        if workload.random.random() < 0.1:
            # All that a writer remembers is gone, and must be found again.
            await service.stop()
            service = WalletService(wallet_url, clock, options=UNSWEPT)
            await service.start()
    await service.stop()
    audit = await Audit.read(wallet_url)
    audit.check()
    assert [each.outcome for each in audit.transfers] == [each.outcome for each in book.transfers]
    assert len({each.outcome for each in audit.transfers}) >= 12
