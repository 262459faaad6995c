"""Requests of operators as operations of the ledger."""

from croupier.wallet.v1 import back_office_service_pb2 as back_office
from google.protobuf.timestamp_pb2 import Timestamp

from services.kit.errors import InvalidRequestError
from services.kit.money import MINOR_UNITS_MAX, Money
from services.wallet.domain import (
    Adjust,
    BonusId,
    Bucket,
    Capture,
    ForfeitBonus,
    GrantBonus,
    Group,
    HoldDeposit,
    HoldId,
    Key,
    KeyScope,
    LimitKind,
    Micros,
    Move,
    Period,
    Release,
    Scope,
    SetLimit,
    SetPolicy,
    SpendOrder,
    Stance,
    WinShort,
    Withdraw,
)
from services.wallet.domain.exchange import exchange
from services.wallet.domain.validation import TIME_MAX
from services.wallet.servicer.operations import Trace, known, packed, player
from services.wallet.sources import BACK_OFFICE, TENANT

_MICROS = 1_000_000
# The numbers are not the contract's, where 0 must mean that nothing was said.
_SPEND_ORDERS = {
    0: None,
    1: SpendOrder.CASH_FIRST,
    2: SpendOrder.BONUS_FIRST,
}


def micros(field: str, time: Timestamp) -> Micros:
    """Reads a time.

    Raises:
        InvalidRequestError: The ledger's calendar does not have it.
    """
    found = time.seconds * _MICROS + time.nanos // 1_000
    if not 0 <= found <= TIME_MAX:
        raise InvalidRequestError({field: "is out of range"})
    return Micros(found)


def hold_deposit(request: back_office.HoldDepositRequest, actor: str, trace: Trace) -> HoldDeposit:
    """Reads an announcement."""
    return HoldDeposit(
        key=_key(request.request_id),
        player_id=player(request.player_id),
        currency_code=known(request.amount.currency_code),
        amount=request.amount.minor_units,
        expire_time=micros("expire_time", request.expire_time)
        if request.HasField("expire_time")
        else None,
        actor=actor,
        **trace,
    )


def hold_withdrawal(
    request: back_office.HoldWithdrawalRequest, actor: str, trace: Trace
) -> Withdraw:
    """Reads a withdrawal."""
    return Withdraw(
        key=_key(request.request_id),
        player_id=player(request.player_id),
        currency_code=known(request.amount.currency_code),
        amount=request.amount.minor_units,
        actor=actor,
        **trace,
    )


def capture_hold(request: back_office.CaptureHoldRequest, actor: str, trace: Trace) -> Capture:
    """Reads a capture; an amount of 0 is the whole."""
    return Capture(
        key=_key(request.request_id),
        player_id=player(request.player_id),
        hold_id=HoldId(packed("hold_id", request.hold_id)),
        amount=request.minor_units or None,
        actor=actor,
        **trace,
    )


def release_hold(request: back_office.ReleaseHoldRequest, actor: str, trace: Trace) -> Release:
    """Reads a release."""
    return Release(
        key=_key(request.request_id),
        player_id=player(request.player_id),
        hold_id=HoldId(packed("hold_id", request.hold_id)),
        actor=actor,
        **trace,
    )


def move_funds(request: back_office.MoveFundsRequest, actor: str, trace: Trace) -> Move:
    """Reads a move between two buckets."""
    if request.from_bucket == request.to_bucket:
        raise InvalidRequestError({"to_bucket": "must differ from from_bucket"})
    return Move(
        key=_key(request.request_id),
        player_id=player(request.player_id),
        currency_code=known(request.amount.currency_code),
        amount=request.amount.minor_units,
        debit=Bucket(request.from_bucket),
        credit=Bucket(request.to_bucket),
        reason=request.reason,
        actor=actor,
        **trace,
    )


def exchange_funds(
    request: back_office.ExchangeFundsRequest, actor: str, trace: Trace
) -> tuple[Group, str]:
    """Reads an exchange as its two halves, and what was rounded off."""
    given = Money(
        currency_code=known(request.amount.currency_code), minor_units=request.amount.minor_units
    )
    if request.to_currency_code == given.currency_code:
        raise InvalidRequestError({"to_currency_code": "must be another currency"})
    exchanged = exchange(given, known(request.to_currency_code), request.rate)
    if not exchanged.received.minor_units:
        raise InvalidRequestError({"rate": "nothing would be received"})
    if exchanged.received.minor_units > MINOR_UNITS_MAX:
        raise InvalidRequestError({"rate": "more would be received than one amount may be"})
    halves = (
        (request.request_id, given, Bucket.CASH, None),
        (f"{request.request_id}:received", exchanged.received, None, Bucket.CASH),
    )
    moves = tuple(
        Move(
            key=_key(request_id),
            player_id=player(request.player_id),
            currency_code=money.currency_code,
            amount=money.minor_units,
            debit=debit,
            credit=credit,
            reason=request.reason,
            actor=actor,
            rate=request.rate,
            **trace,
        )
        for request_id, money, debit, credit in halves
    )
    return Group(moves), exchanged.rounded_off


def adjust_balance(request: back_office.AdjustBalanceRequest, actor: str, trace: Trace) -> Adjust:
    """Reads a correction. Nobody approves what is done by their own hand."""
    approver = request.approver_id.lower()
    if approver == actor.lower():
        raise InvalidRequestError({"approver_id": "must be another operator"})
    if approver == request.player_id:
        raise InvalidRequestError({"approver_id": "must not be the player"})
    return Adjust(
        key=_key(request.request_id),
        player_id=player(request.player_id),
        currency_code=known(request.currency_code),
        amount=request.minor_units,
        bucket=Bucket(request.bucket),
        reason=request.reason,
        actor=actor,
        approver=approver,
        chargeback=request.chargeback,
        **trace,
    )


def grant_bonus(request: back_office.GrantBonusRequest, actor: str, trace: Trace) -> GrantBonus:
    """Reads a bonus."""
    return GrantBonus(
        key=_key(request.request_id),
        player_id=player(request.player_id),
        currency_code=known(request.amount.currency_code),
        amount=request.amount.minor_units,
        wager_required=request.wager_required_minor_units,
        max_bet=request.bet_max_minor_units or None,
        expire_time=micros("expire_time", request.expire_time),
        spend_order=_SPEND_ORDERS[request.spend_order],
        rules_version=request.rules_version,
        reason=request.reason,
        actor=actor,
        **trace,
    )


def forfeit_bonus(
    request: back_office.ForfeitBonusRequest, actor: str, trace: Trace
) -> ForfeitBonus:
    """Reads the end of a bonus."""
    return ForfeitBonus(
        key=_key(request.request_id),
        player_id=player(request.player_id),
        bonus_id=BonusId(packed("bonus_id", request.bonus_id)),
        reason=request.reason,
        actor=actor,
        **trace,
    )


def set_limit(request: back_office.SetOperatorLimitRequest, actor: str, trace: Trace) -> SetLimit:
    """Reads an operator's limit."""
    return SetLimit(
        key=_key(request.request_id),
        player_id=player(request.player_id),
        currency_code=known(request.currency_code),
        scope=Scope.OPERATOR,
        limit_kind=LimitKind(request.kind),
        period=Period(request.period),
        max_amount=request.max_minor_units if request.HasField("max_minor_units") else None,
        start_time=micros("start_time", request.start_time)
        if request.HasField("start_time")
        else None,
        reason=request.reason,
        actor=actor,
        **trace,
    )


def set_policy(request: back_office.SetPolicyRequest, actor: str, trace: Trace) -> SetPolicy:
    """Reads a policy. What was not said is at its default, which the ledger numbers 0."""
    switches = request.switches

    def said(number: int) -> int:
        return max(number - 1, 0)

    return SetPolicy(
        key=_key(request.request_id),
        source=request.source,
        rollback_unknown=Stance(said(switches.rollback_unknown)),
        rollback_win_short=WinShort(said(switches.rollback_win_short)),
        debt_limit=switches.debt_limit_minor_units,
        rollback_settled_bet=Stance(said(switches.rollback_settled_bet)),
        win_without_reference=Stance(said(switches.win_without_reference)),
        win_after_close=Stance(said(switches.win_after_close)),
        spend_order=SpendOrder(said(switches.spend_order)),
        split_stake=switches.split_stake if switches.HasField("split_stake") else True,
        partial_rollback=switches.partial_rollback,
        key_scope=KeyScope(said(switches.key_scope)),
        reason=request.reason,
        actor=actor,
        **trace,
    )


def _key(request_id: str) -> Key:
    return Key(TENANT, BACK_OFFICE, request_id)
