"""Strategies for operations: few players, few keys, few rounds, so that they meet each other."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from services.kit.money import MINOR_UNITS_MAX
from services.wallet.domain import (
    Adjust,
    Bet,
    BonusId,
    Bucket,
    Capture,
    CloseRound,
    Deposit,
    ForfeitBonus,
    GrantBonus,
    HoldDeposit,
    HoldId,
    IfRefused,
    Key,
    Kind,
    LimitKind,
    Micros,
    Move,
    OpenWallet,
    Operation,
    Period,
    Release,
    Restriction,
    Rollback,
    Scope,
    SetLimit,
    SetRestriction,
    SpendOrder,
    Win,
    Withdraw,
)
from tests.simulation.world import DAY, HOUR, PLAYERS, STRANGER, TENANT

players = st.sampled_from([PLAYERS[0]] * 6 + [PLAYERS[1]] * 3 + [STRANGER])
currencies = st.sampled_from(["EUR"] * 8 + ["USD", "USD", "BTC", "XXX"])
sources = st.sampled_from(["studio", "studio", "strict", "sports"])
ids = st.integers(0, 30).map("k{}".format)
amounts = st.one_of(
    st.integers(0, 120),
    st.sampled_from([0, 1, 10, 33, 50, 100]),
    st.sampled_from([-1, MINOR_UNITS_MAX, MINOR_UNITS_MAX + 1]),
)
rounds = st.sampled_from(["", "r1", "r1", "r2", "r3"])
games = st.sampled_from(["", "slots"])
# Counts holds and bonuses from the newest back; beyond the oldest is one that nobody made.
numbers = st.integers(0, 5)


def _one(kind: type[Operation], source: st.SearchStrategy[str], **fields: Any) -> Any:
    keys = st.builds(Key, st.sampled_from([TENANT] * 30 + ["u"]), source, ids)
    return st.builds(kind, key=keys, player_id=players, **fields)


def _recent(ids: Sequence[bytes], number: int) -> bytes:
    return ids[-1 - number] if number < len(ids) else bytes(16)


def operations(
    holds: Sequence[bytes], bonuses: Sequence[bytes], now: Callable[[], int]
) -> st.SearchStrategy[Operation]:
    """Any operation. It may name one of the holds and bonuses that there are when it is drawn."""
    money = {"currency_code": currencies, "amount": amounts}
    hold_ids = numbers.map(lambda number: HoldId(_recent(holds, number)))
    bonus_ids = numbers.map(lambda number: BonusId(_recent(bonuses, number)))
    text = st.sampled_from(["", "why", "because"])
    office, psp = st.just("office"), st.just("psp")
    scopes = st.sampled_from(Scope)
    spans = st.sampled_from([-HOUR, HOUR, DAY, 9 * DAY])
    later = st.one_of(st.none(), spans.map(lambda span: Micros(now() + span)))
    ends = st.sampled_from([HOUR, DAY, 40 * DAY]).map(lambda span: Micros(now() + span))
    playing = money | {"round_key": rounds, "game_id": games, "close_round": st.booleans()}
    maybe = st.one_of(st.none(), st.integers(0, 150))
    bets = _one(Bet, sources, **playing, wager_weight=st.sampled_from([10_000, 5_000, 333, 0]))
    wins = _one(Win, sources, **playing, reference=st.one_of(st.just(""), ids))
    rollbacks = _one(
        Rollback,
        sources,
        **playing | {"amount": st.one_of(st.none(), st.none(), amounts)},
        reference=ids,
        reference_kind=st.sampled_from([None, None, Kind.BET, Kind.WIN]),
    )
    # Some providers send a rollback under the id of what it takes back.
    of_themselves = rollbacks.map(lambda each: dataclasses.replace(each, reference=each.key.id))
    closes = _one(
        CloseRound, sources, currency_code=currencies, round_key=rounds.filter(bool), game_id=games
    )
    paid = [
        _one(Deposit, psp, **money, if_refused=st.sampled_from(IfRefused)),
        _one(HoldDeposit, psp, **money, expire_time=later),
        _one(Withdraw, psp, **money),
        _one(Capture, psp, hold_id=hold_ids, amount=st.one_of(st.none(), amounts)),
        _one(Release, psp, hold_id=hold_ids),
    ]
    buckets = st.sampled_from([*Bucket, None])
    done_by_hand = [
        _one(Move, office, **money, debit=buckets, credit=buckets, reason=text, actor=text).filter(
            lambda each: each.debit is not each.credit
        ),
        _one(
            Adjust,
            office | st.just("sports"),
            currency_code=currencies,
            amount=st.one_of(amounts, st.integers(-150, 150)),
            bucket=st.sampled_from(Bucket),
            reason=text.filter(bool),
            actor=text.filter(bool),
            approver=st.just("bob"),
            chargeback=st.booleans(),
        ),
        _one(
            GrantBonus,
            office,
            **money,
            wager_required=st.sampled_from([0, 20, 100, 1000]),
            expire_time=ends,
            max_bet=st.sampled_from([None, None, 40]),
            spend_order=st.sampled_from([None, *SpendOrder]),
        ),
        _one(ForfeitBonus, office, bonus_id=bonus_ids, reason=text),
        _one(
            SetLimit,
            office,
            currency_code=currencies,
            scope=scopes,
            limit_kind=st.sampled_from(LimitKind),
            period=st.sampled_from(Period),
            max_amount=maybe,
            start_time=later,
        ),
        _one(
            SetRestriction,
            office,
            scope=scopes,
            restrictions=st.sampled_from(
                [Restriction.NONE] * 4
                + [*Restriction, Restriction.SELF_EXCLUDED, Restriction.FROZEN]
            ),
        ),
        _one(OpenWallet, office, currency_code=currencies),
    ]
    played = [bets, bets, bets, wins, wins, rollbacks, rollbacks, of_themselves, closes]
    return st.one_of(st.one_of(played), st.one_of(played), st.one_of(paid), st.one_of(done_by_hand))
