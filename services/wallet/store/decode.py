"""Rows of the database become values of the domain."""

from collections.abc import Sequence
from typing import Any

from services.wallet.domain.rows import (
    Account,
    Bonus,
    Entry,
    Hold,
    LimitCounter,
    Player,
    PolicyVersion,
    Posting,
    Round,
    Transfer,
)
from services.wallet.domain.values import (
    BonusState,
    HoldDirection,
    HoldState,
    Kind,
    LimitKind,
    Outcome,
    Period,
    RoundState,
    Scope,
    SpendOrder,
)

_TRANSFER_COLUMNS = len(Transfer._fields)
_KIND = Transfer._fields.index("kind")
_OUTCOME = Transfer._fields.index("outcome")
_ROUND_STATE = Transfer._fields.index("round_state")


def transfer_of(row: Sequence[Any]) -> Transfer:
    """Reads a transfer from its columns, in their order; more columns may follow."""
    values = list(row[:_TRANSFER_COLUMNS])
    values[_KIND] = Kind(values[_KIND])
    values[_OUTCOME] = Outcome(values[_OUTCOME])
    if values[_ROUND_STATE] is not None:
        values[_ROUND_STATE] = RoundState(values[_ROUND_STATE])
    return Transfer._make(values)


def posting_of(row: Sequence[Any], entries: tuple[Entry, ...]) -> Posting:
    """Reads a transfer that is followed by its round's key, and its original's key and kind."""
    round_key, reference, reference_kind = row[_TRANSFER_COLUMNS:]
    return Posting(
        transfer_of(row),
        entries,
        round_key,
        reference,
        None if reference_kind is None else Kind(reference_kind),
    )


def entry_of(row: Sequence[Any]) -> Entry:
    """Reads an entry from its columns, in their order."""
    return Entry._make(row)


def player_of(row: Sequence[Any]) -> Player:
    """Reads a player."""
    return Player(
        player_id=row[0],
        tenant=row[1],
        shard=row[2],
        restrictions=row[3],
        version=row[4],
        stored_version=row[4],
    )


def account_of(row: Sequence[Any]) -> Account:
    """Reads an account."""
    return Account(
        account_id=row[0],
        shard=row[1],
        player_id=row[2],
        house_kind=row[3],
        source=row[4],
        currency_code=row[5],
        bucket=row[6],
        debits_posted=row[7],
        credits_posted=row[8],
        debits_pending=row[9],
        credits_pending=row[10],
        floor=row[11],
        version=row[12],
        stored_version=row[12],
    )


def round_of(row: Sequence[Any]) -> Round:
    """Reads a round."""
    return Round(
        round_id=row[0],
        shard=row[1],
        tenant=row[2],
        source=row[3],
        player_id=row[4],
        round_key=row[5],
        currency_code=row[6],
        state=RoundState(row[7]),
        staked_cash=row[8],
        staked_bonus=row[9],
        won_cash=row[10],
        won_bonus=row[11],
        wins=row[12],
        bonus_id=row[13],
        version=row[14],
        stored_version=row[14],
    )


def hold_of(row: Sequence[Any]) -> Hold:
    """Reads a hold."""
    return Hold(
        hold_id=row[0],
        shard=row[1],
        player_id=row[2],
        account_id=row[3],
        source=row[4],
        currency_code=row[5],
        direction=HoldDirection(row[6]),
        amount=row[7],
        posted_amount=row[8],
        state=HoldState(row[9]),
        expire_time=row[10],
        create_time=row[11],
        version=row[12],
        stored_version=row[12],
    )


def bonus_of(row: Sequence[Any]) -> Bonus:
    """Reads a bonus."""
    return Bonus(
        bonus_id=row[0],
        shard=row[1],
        player_id=row[2],
        source=row[3],
        currency_code=row[4],
        granted=row[5],
        wager_required=row[6],
        wager_done=row[7],
        max_bet=row[8],
        spend_order=None if row[9] is None else SpendOrder(row[9]),
        state=BonusState(row[10]),
        expire_time=row[11],
        rules_version=row[12],
        version=row[13],
        stored_version=row[13],
    )


def limit_of(row: Sequence[Any]) -> LimitCounter:
    """Reads a limit."""
    return LimitCounter(
        player_id=row[0],
        scope=Scope(row[1]),
        kind=LimitKind(row[2]),
        currency_code=row[3],
        period=Period(row[4]),
        max_amount=row[5],
        used=row[6],
        window_seq=row[7],
        window_end=row[8],
        next_max=row[9],
        next_time=row[10],
        version=row[11],
        stored_version=row[11],
    )


def policy_version_of(row: Sequence[Any]) -> PolicyVersion:
    """Reads a version of a policy from its columns, in their order."""
    return PolicyVersion._make(row)
