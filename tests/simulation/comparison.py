"""What the engine's rows say and what the model says, in one form, and where the two differ."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from services.kit.database import Database
from services.wallet.domain import Bucket, HouseKind, LimitKind, Period, Restriction, Result, Scope
from services.wallet.domain.history import Finding
from services.wallet.domain.policy import SWITCHES, read_switches
from services.wallet.tables import ACCOUNT, BONUS, HOLD, LIMIT_COUNTER, PLAYER, POLICY, ROUND
from services.wallet.verify import Audit
from tests.simulation.model import Ledger, Player, Reply

State = dict[tuple[Any, ...], Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing on which the engine and the model do not agree."""

    what: tuple[Any, ...]
    expected: Any
    got: Any

    def __str__(self) -> str:
        return f"{self.what}: expected {self.expected}, got {self.got}"


async def engine_state(database: Database) -> State:
    """Reads what the engine keeps for everybody, as committed."""
    state: State = {}
    house: defaultdict[tuple[Any, ...], int] = defaultdict(int)
    async with database.snapshot() as connection:
        for row in await connection.execute(select(PLAYER)):
            bits = row.restrictions
            for scope in Scope:
                state["restrictions", row.player_id, scope] = Restriction(bits >> 4 * scope & 15)
        for row in await connection.execute(select(ACCOUNT)):
            balance = row.credits_posted - row.debits_posted
            if row.player_id is None:
                house["house", HouseKind(row.house_kind), row.currency_code] += balance
                continue
            owner = (row.player_id, row.currency_code)
            state["account", *owner, Bucket(row.bucket)] = (
                balance,
                row.debits_pending,
                row.credits_pending,
            )
        for row in await connection.execute(select(HOLD)):
            state["hold", row.player_id, row.hold_id] = (row.state, row.amount, row.posted_amount)
        for row in await connection.execute(select(ROUND)):
            state["round", row.player_id, row.source, row.round_key] = (
                row.state == 2,
                (row.staked_cash, row.staked_bonus),
                (row.won_cash, row.won_bonus),
            )
        for row in await connection.execute(select(BONUS)):
            state["bonus", row.player_id, row.bonus_id] = (row.state, row.wager_done)
        for row in await connection.execute(select(LIMIT_COUNTER)):
            kind = (Scope(row.scope), LimitKind(row.kind))
            state["limit", row.player_id, *kind, row.currency_code, Period(row.period)] = (
                (row.max_amount, row.next_max, row.next_time),
                (row.used, row.window_end),
            )
        of_sources = select(POLICY).where(POLICY.c.source != "").order_by(POLICY.c.version)
        for row in await connection.execute(of_sources):
            state["policy", row.tenant, row.source] = read_switches(row.switches)
    state.update({name: balance for name, balance in house.items() if balance})
    return state


def model_state(model: Ledger) -> State:
    """Tells the same of the model."""
    state: State = {}
    for player_id, player in model.players.items():
        state.update(_player_state(player_id, player))
    for (kind, currency), balance in model.house.items():
        if balance:
            state["house", kind, currency] = balance
    for judged, policy in model.policies.items():
        state["policy", *judged] = {name: getattr(policy, name) for name in SWITCHES}
    return state


def _player_state(player_id: bytes, player: Player) -> State:
    state: State = {}
    for scope in Scope:
        bits = player.restrictions.get(scope, Restriction.NONE)
        state["restrictions", player_id, scope] = bits
    for currency, wallet in player.wallets.items():
        for bucket in Bucket:
            pending = (wallet.reserved, wallet.announced) if bucket is Bucket.CASH else (0, 0)
            state["account", player_id, currency, bucket] = (wallet.balance[bucket], *pending)
    for hold_id, hold in player.holds.items():
        state["hold", player_id, hold_id] = (hold.state, hold.amount, hold.posted)
    for (source, key), played in player.rounds.items():
        state["round", player_id, source, key] = (
            played.closed,
            played.staked,
            played.won,
        )
    for bonus_id, bonus in player.bonuses.items():
        state["bonus", player_id, bonus_id] = (bonus.state, bonus.done)
    for limited, limit in player.limits.items():
        state["limit", player_id, *limited] = (
            (limit.most, limit.next_most, limit.next_time),
            (limit.used, limit.end),
        )
    return state


def differences(expected: State, got: State) -> list[Difference]:
    """Lists what differs."""
    names = sorted(expected.keys() | got.keys(), key=repr)
    return [
        Difference(name, expected.get(name), got.get(name))
        for name in names
        if expected.get(name) != got.get(name)
    ]


def answer_differences(reply: Reply, result: Result) -> list[Difference]:
    """Compares what the model tells a caller with what the engine stored for it."""
    available = result.available
    after = None if available is None else (available.cash, available.bonus, available.locked)
    pairs = {
        "outcome": (reply.outcome, result.outcome),
        "available": (reply.available, after),
        "shortfall": (reply.shortfall, result.shortfall),
    }
    if reply.success:
        pairs["amount"] = (reply.amount, result.amount)
    return [
        Difference((name,), expected, got)
        for name, (expected, got) in pairs.items()
        if expected != got
    ]


async def audit(database: Database) -> list[Finding]:
    """Lists what an audit of the ledger finds."""
    return [event async for event in Audit(database).run() if isinstance(event, Finding)]
