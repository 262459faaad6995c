"""The engine and the model are driven by the same operations and must agree on everything."""

import asyncio
import contextlib
import dataclasses
import itertools
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from services.kit.clock import to_micros
from services.kit.errors import InvalidRequestError, ServiceError
from services.wallet.domain import (
    Answer,
    Bet,
    Deposit,
    GrantBonus,
    Group,
    Key,
    KeyScope,
    Kind,
    LimitKind,
    Micros,
    OpenWallet,
    Operation,
    Period,
    Rollback,
    Scope,
    SetLimit,
    SetPolicy,
    SpendOrder,
    Stance,
    Win,
    WinShort,
)
from services.wallet.domain.values import pack_key
from services.wallet.errors import KeyReusedError, TransferNotFoundError
from services.wallet.service import WalletService
from services.wallet.writer import WriterOptions
from tests.conftest import Templates
from tests.kit.clock import ManualClock
from tests.kit.postgres import shared_server
from tests.simulation.comparison import (
    answer_differences,
    audit,
    differences,
    engine_state,
    model_state,
)
from tests.simulation.model import Ledger, Reply, content
from tests.simulation.operations import operations
from tests.simulation.world import (
    DAY,
    HOUR,
    PLAYERS,
    SCOPES,
    SOURCES,
    TENANT,
    first_policies,
)

# The sweeper is called by a rule, and not by a timer.
OPTIONS = WriterOptions(sweep_every=timedelta(days=1))
AUDIT_EVERY = 8


class LedgerMachine(RuleBasedStateMachine):
    """One ledger on a real database, and the model beside it."""

    templates: Templates
    engine_name: str

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = ManualClock()
        self.url = self.templates.copy("services.wallet", self.engine_name)
        self.model = Ledger()
        self.sent: list[Operation] = []
        self.groups: list[tuple[Operation, ...]] = []
        self.holds: list[bytes] = []
        self.bonuses: list[bytes] = []
        self.last = 0
        self.changed = False
        self.steps = 0
        self.operations = operations(self.holds, self.bonuses, self._now)
        legs = st.lists(self.operations, min_size=1, max_size=4)
        self.linked = legs.map(
            lambda each: Group(
                tuple(dataclasses.replace(leg, player_id=each[0].player_id) for leg in each)
            )
        )
        self.units = st.lists(
            st.one_of(self.operations, self.operations, self.linked), min_size=2, max_size=8
        )
        self.service = self._service()

    def _service(self) -> WalletService:
        return WalletService(self.url, self.clock, options=OPTIONS)

    def teardown(self) -> None:
        try:
            if self.last:
                self._audit()
            self.runner.run(self.service.stop())
        finally:
            self.runner.close()
            if self.engine_name == "postgresql":
                shared_server().drop_database(self.url.partition("@/")[2].partition("?")[0])

    @initialize()
    def open(self) -> None:
        """Two players with some money, and sources that differ."""
        self.runner.run(self.service.start())
        for policy in first_policies():
            self.run([policy])
        for number, player_id in enumerate(PLAYERS):
            fields: dict[str, Any] = {"player_id": player_id, "currency_code": "EUR"}
            key = Key(TENANT, "player", f"open-{number}")
            self.run([OpenWallet(key=key, **fields)])
            key = Key(TENANT, "psp", f"first-{number}")
            self.run([Deposit(key=key, amount=100, **fields)])

    # Rules.

    @rule(data=st.data())
    def single(self, data: st.DataObject) -> None:
        self.run([data.draw(self.operations)])

    @rule(data=st.data())
    def batch(self, data: st.DataObject) -> None:
        self.run(data.draw(self.units))

    @rule(data=st.data())
    def group(self, data: st.DataObject) -> None:
        self.run([data.draw(self.linked)])

    @rule(
        stake=st.integers(1, 80),
        won=st.integers(0, 150),
        played=st.sampled_from(["", "r1", "r4"]),
        number=st.integers(0, 10_000),
    )
    def play(self, stake: int, won: int, played: str, number: int) -> None:
        """A round as it usually goes, so that there is something to refer to."""
        fields: dict[str, Any] = {"player_id": PLAYERS[0], "currency_code": "EUR"}
        key = Key(TENANT, "studio", f"bet-{number}")
        self.run([Bet(key=key, amount=stake, round_key=played, **fields)])
        win = Win(
            key=Key(TENANT, "studio", f"win-{number}"),
            amount=won,
            round_key=played,
            reference=f"bet-{number}",
            **fields,
        )
        self.run([win])

    @precondition(lambda self: self.model.stored)
    @rule(pick=st.integers(0, 1000), of=st.sampled_from(["studio", "strict", "sports"]))
    def roll_back(self, pick: int, of: str) -> None:
        known = [
            each.operation
            for each in self.model.stored.values()
            if isinstance(each.operation, Bet | Win) and each.operation.key.source == of
        ]
        if known:
            original = known[pick % len(known)]
            key = Key(original.key.tenant, of, f"rollback-{pick}")
            self.run(
                [
                    Rollback(
                        key=key,
                        player_id=original.player_id,
                        currency_code=original.currency_code,
                        reference=original.key.id,
                        reference_kind=original.KIND,
                    )
                ]
            )

    @rule(
        amount=st.integers(1, 60),
        required=st.sampled_from([30, 100]),
        days=st.sampled_from([1, 30]),
        number=st.integers(0, 10_000),
    )
    def grant(self, amount: int, required: int, days: int, number: int) -> None:
        bonus = GrantBonus(
            key=Key(TENANT, "office", f"bonus-{number}"),
            player_id=PLAYERS[0],
            currency_code="EUR",
            amount=amount,
            wager_required=required,
            expire_time=Micros(self._now() + days * DAY),
        )
        self.run([bonus])

    @rule(
        kind=st.sampled_from(LimitKind),
        period=st.sampled_from(Period),
        most=st.integers(20, 200),
        number=st.integers(0, 10_000),
    )
    def limit(self, kind: LimitKind, period: Period, most: int, number: int) -> None:
        limit = SetLimit(
            key=Key(TENANT, "player", f"limit-{number}"),
            player_id=PLAYERS[0],
            currency_code="EUR",
            scope=Scope.PLAYER,
            limit_kind=kind,
            period=period,
            max_amount=most,
        )
        self.run([limit])

    @rule(
        of=st.sampled_from(SOURCES),
        stances=st.tuples(*[st.sampled_from(Stance)] * 4),
        short=st.sampled_from(WinShort),
        debt=st.integers(1, 100),
        order=st.sampled_from(SpendOrder),
        splits=st.booleans(),
        partial=st.booleans(),
        other_scope=st.sampled_from([False] * 9 + [True]),
        number=st.integers(0, 10_000),
    )
    def policy(
        self,
        *,
        of: str,
        stances: tuple[Stance, Stance, Stance, Stance],
        short: WinShort,
        debt: int,
        order: SpendOrder,
        splits: bool,
        partial: bool,
        other_scope: bool,
        number: int,
    ) -> None:
        """A source is judged otherwise from now on; its scope stays once it has used a key."""
        unknown, settled, unnamed, late = stances
        used = any(name[:2] == (TENANT, of) for name in self.model.stored)
        scope = SCOPES.get(of, KeyScope.SOURCE)
        if other_scope and used:
            [scope] = set(KeyScope) - {scope}
        policy = SetPolicy(
            key=Key(TENANT, "office", f"policy-{number}"),
            source=of,
            rollback_unknown=unknown,
            rollback_win_short=short,
            debt_limit=debt if short is WinShort.DEBT else 0,
            rollback_settled_bet=settled,
            win_without_reference=unnamed,
            win_after_close=late,
            spend_order=order,
            split_stake=splits,
            partial_rollback=partial,
            key_scope=scope,
            reason="r",
            actor="a",
        )
        self.run([policy])

    @precondition(lambda self: self.sent)
    @rule(pick=st.integers(0, 1000))
    def replay(self, pick: int) -> None:
        self.run([self.sent[pick % len(self.sent)]])

    @precondition(lambda self: self.groups)
    @rule(pick=st.integers(0, 100))
    def replay_group(self, pick: int) -> None:
        self.run([Group(self.groups[pick % len(self.groups)])])

    @precondition(lambda self: self.sent)
    @rule(pick=st.integers(0, 1000), data=st.data())
    def mutate(self, pick: int, data: st.DataObject) -> None:
        """A key with other content; at times the content of another kind."""
        sent = self.sent[pick % len(self.sent)]
        other = data.draw(self.operations)
        self.run([dataclasses.replace(other, key=sent.key)])

    @rule(pick=st.integers(0, 1000), of=st.sampled_from([*SOURCES, "psp", "office"]))
    def look(self, pick: int, of: str) -> None:
        names = [name for name in self.model.stored if name[1] == of]
        name = names[pick % len(names)] if names else (TENANT, of, "never", Kind.BET)
        found = self.runner.run(self._find(Key(name[0], of, name[2]), name[3]))
        if not names:
            assert found is None
            return
        stored = self.model.stored[name]
        assert found is not None
        assert not answer_differences(stored.reply, found.result)

    @rule(span=st.sampled_from([1, HOUR, 3 * HOUR, DAY - 1, DAY, 8 * DAY, 31 * DAY, -HOUR]))
    def advance(self, span: int) -> None:
        """Moves the clock, at times back: the ledger's own time never does."""
        self.clock.advance(timedelta(microseconds=span))

    @rule()
    def sweep(self) -> None:
        now = self._now()
        self.runner.run(self.service._sweep())
        self.changed = True
        for player_id in self.model.players:
            self.model.wake(player_id, now)
        self.runner.run(self._learn_time())

    @rule()
    def restart(self) -> None:
        async def again() -> None:
            await self.service.stop()
            self.service = self._service()
            await self.service.start()

        self.runner.run(again())

    @invariant()
    def agree(self) -> None:
        self.steps += 1
        if not self.last or not self.changed:
            return
        self.changed = False
        got = self.runner.run(engine_state(self.service.database))
        found = differences(model_state(self.model), got)
        assert not found, "\n".join(map(str, found))
        if self.steps % AUDIT_EVERY == 0:
            self._audit()

    def _audit(self) -> None:
        wrong = self.runner.run(audit(self.service.database))
        assert not wrong, "\n".join(map(str, wrong))

    # Running.

    def _now(self) -> int:
        return max(to_micros(self.clock.now()), self.last)

    async def _find(self, key: Key, kind: Kind | None) -> Answer | None:
        with contextlib.suppress(TransferNotFoundError):
            return await self.service.get_transfer(key, kind=kind)
        return None

    def run(self, units: Sequence[Operation | Group]) -> None:
        """Runs units on both sides, and compares each answer."""
        now, self.changed = self._now(), True
        legs = [list(u.operations) if isinstance(u, Group) else [u] for u in units]
        if any(map(self.model.malformed_group, legs)):
            with pytest.raises(InvalidRequestError):
                self.runner.run(self._submit(units))
            return
        answers = self.runner.run(self._submit(units))
        self.runner.run(self._learn_time())
        place = iter(answers)
        for unit, operations_ in zip(units, legs, strict=True):
            got = list(itertools.islice(place, len(operations_)))
            ids = [self._learn(each) for each in got]
            if isinstance(unit, Group):
                self.groups.append(unit.operations)
                replies = self.model.apply_group(operations_, now, ids)
            else:
                self.sent += operations_
                replies = [self.model.apply(unit, now, ids[0])]
            for operation, reply, answer in zip(operations_, replies, got, strict=True):
                self._compare(operation, reply, answer, now)

    async def _learn_time(self) -> None:
        """Notes the ledger's time, which what it does by itself moves as well."""
        head = await self.service.get_log_head()
        assert head is not None
        if head.last_seq:
            [newest] = await self.service.read_log(after_seq=head.last_seq - 1)
            self.last = newest.transfer.create_time

    async def _submit(self, units: Sequence[Operation | Group]) -> list[Answer | ServiceError]:
        if len(units) > 1:
            return await self.service.submit_batch(units)
        [unit] = units
        if isinstance(unit, Group):
            return await self.service.submit_batch([unit])
        try:
            return [await self.service.submit(unit)]
        except KeyReusedError as error:
            return [error]

    def _learn(self, answer: Answer | ServiceError) -> bytes | None:
        """Notes the id of a hold or a bonus, which only the engine can make."""
        if not isinstance(answer, Answer):
            return None
        result = answer.result
        for made, known in ((result.hold_id, self.holds), (result.bonus_id, self.bonuses)):
            if made is not None and made not in known:
                known.append(made)
        return result.hold_id or result.bonus_id

    def _compare(
        self, operation: Operation, reply: Reply, answer: Answer | ServiceError, now: int
    ) -> None:
        note(f"{operation} -> {reply}")
        if not isinstance(answer, Answer):
            assert isinstance(answer, KeyReusedError)
            assert reply.error == "KEY_REUSED"
            named, changed = answer.metadata["fields"].split(","), self._changed(operation)
            assert named == sorted(changed), operation
            return
        assert reply.outcome is not None, (operation, reply, answer)
        found = answer_differences(reply, answer.result)
        assert not found, f"{operation}: " + "; ".join(map(str, found))
        assert answer.replayed == reply.replayed
        assert answer.result.key == operation.key
        if not reply.replayed and reply.outcome.name != "TOMBSTONED":
            assert answer.result.create_time == now
        assert pack_key(answer.result.key.id)

    def _changed(self, operation: Operation) -> set[str]:
        known = self.model.stored[self.model.name(operation)].operation
        if type(known) is not type(operation):
            return {"kind"}
        names = ["kind", *(each.name for each in dataclasses.fields(operation))]
        names = [name for name in names if name not in {"key", "trace", "trace_id"}]
        names = [name for name in names if name not in {"effective_time", "wager_weight"}]
        pairs = zip(names, content(known), content(operation), strict=True)
        return {name for name, before, after in pairs if before != after}


@pytest.mark.timeout(300)
def test_the_engine_and_the_model_agree(
    engine_name: str, templates: Templates, pytestconfig: pytest.Config
) -> None:
    factor = int(pytestconfig.getoption("--examples", default=1))
    examples = {"sqlite": 60, "postgresql": 12}[engine_name] * factor
    machine = type(
        "Machine", (LedgerMachine,), {"templates": templates, "engine_name": engine_name}
    )
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            print_blob=True,
            # The same histories every time, unless more are asked for: then new ones.
            derandomize=factor == 1,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        ),
    )
