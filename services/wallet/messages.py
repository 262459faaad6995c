"""The ledger's values as messages of the contract.

The numbers of kinds, outcomes, buckets and round states are the same in both; a test keeps it so.
"""

from croupier.event.v1 import event_pb2
from croupier.wallet.v1 import back_office_pb2, wallet_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from services.wallet.domain import (
    Available,
    Bucket,
    LimitFacts,
    PolicyVersion,
    Posting,
    Result,
    policy_of,
    result_of,
    unpack_id,
    unpack_key,
)
from services.wallet.store import Balance, Liability, PastBalance, StatementLine

_MICROS = 1_000_000


def timestamp(micros: int) -> Timestamp:
    """Renders microseconds since the Unix epoch."""
    return Timestamp(seconds=micros // _MICROS, nanos=micros % _MICROS * 1000)


def result_message(result: Result) -> wallet_pb2.Result:
    """Renders the stored outcome of a movement. Equal results give equal bytes."""
    return wallet_pb2.Result(
        source=result.key.source,
        transaction_id=result.key.id,
        shard=result.shard,
        seq=result.seq,
        outcome=wallet_pb2.Outcome.ValueType(result.outcome),
        currency_code=result.currency_code or "",
        changes=[
            wallet_pb2.BucketChange(
                bucket=wallet_pb2.Bucket.ValueType(moved.bucket),
                minor_units=moved.posted,
            )
            for moved in result.moved
            if moved.posted
        ],
        available_after=None if result.available is None else _available(result.available),
        hold_id="" if result.hold_id is None else unpack_id(result.hold_id),
        round_state=wallet_pb2.RoundState.ValueType(result.round_state or 0),
        limit=None if result.limit is None else _limit(result.limit),
        create_time=timestamp(result.create_time),
    )


def transfer_message(posting: Posting) -> wallet_pb2.Transfer:
    """Renders a transfer with its entries, as other services follow it."""
    result = result_of(posting)
    changes = {moved.bucket: moved.posted for moved in result.moved}
    return wallet_pb2.Transfer(
        result=result_message(result),
        kind=wallet_pb2.TransferKind.ValueType(result.kind),
        player_id=unpack_id(result.player_id) if result.player_id else "",
        amount_minor_units=result.amount,
        game_id=result.game_id,
        round_id=posting.round_key or "",
        original_seq=result.original_seq or 0,
        cash_change_minor_units=changes.get(Bucket.CASH, 0),
        bonus_change_minor_units=changes.get(Bucket.BONUS, 0),
        original_kind=wallet_pb2.TransferKind.ValueType(posting.reference_kind or 0),
        original_left_minor_units=result.detail.get("left", 0),
    )


def balance_message(balance: Balance | PastBalance) -> wallet_pb2.Balance:
    """Renders a player's money in one currency."""
    return wallet_pb2.Balance(
        currency_code=balance.currency_code,
        cash_minor_units=balance.cash,
        bonus_minor_units=balance.bonus,
        locked_minor_units=balance.locked,
        pending_minor_units=balance.pending_out,
        seq=balance.seq,
    )


def liability_message(liability: Liability) -> back_office_pb2.Liability:
    """Renders what is owed in one currency. The house's balances have the other sign."""
    return back_office_pb2.Liability(
        currency_code=liability.currency_code,
        cash_minor_units=liability.cash,
        bonus_minor_units=liability.bonus,
        locked_minor_units=liability.locked,
        total_minor_units=liability.cash + liability.bonus + liability.locked,
        house_minor_units=-liability.house,
    )


def policy_message(version: PolicyVersion) -> back_office_pb2.Policy:
    """Renders a version of a policy; every switch is told, also one at its default."""
    policy = policy_of(version)
    return back_office_pb2.Policy(
        policy_id=version.policy_id,
        source=version.source,
        version=version.version,
        # The numbers of the contract are one higher, since 0 means there that nothing was said.
        switches=back_office_pb2.PolicySwitches(
            rollback_unknown=back_office_pb2.Stance.ValueType(policy.rollback_unknown + 1),
            rollback_win_short=back_office_pb2.ShortWinRollback.ValueType(
                policy.rollback_win_short + 1
            ),
            debt_limit_minor_units=policy.debt_limit,
            rollback_settled_bet=back_office_pb2.Stance.ValueType(policy.rollback_settled_bet + 1),
            win_without_reference=back_office_pb2.Stance.ValueType(
                policy.win_without_reference + 1
            ),
            win_after_close=back_office_pb2.Stance.ValueType(policy.win_after_close + 1),
            spend_order=back_office_pb2.SpendOrder.ValueType(policy.spend_order + 1),
            split_stake=policy.split_stake,
            partial_rollback=policy.partial_rollback,
            key_scope=back_office_pb2.KeyScope.ValueType(policy.key_scope + 1),
        ),
        seq=version.seq or 0,
        create_time=None if version.seq is None else timestamp(version.create_time),
        actor_id=version.actor,
        reason=version.reason,
    )


def entry_message(line: StatementLine) -> wallet_pb2.Entry:
    """Renders a line of a player's statement."""
    entry, transfer = line.entry, line.transfer
    return wallet_pb2.Entry(
        seq=entry.seq,
        kind=wallet_pb2.TransferKind.ValueType(transfer.kind),
        source=transfer.source,
        transaction_id=unpack_key(transfer.key),
        game_id=transfer.game_id,
        round_id=line.round_key or "",
        change_minor_units=entry.credit_posted - entry.debit_posted,
        pending_change_minor_units=entry.debit_pending,
        balance_after_minor_units=entry.balance_after,
        create_time=timestamp(transfer.create_time),
        account_version=entry.account_version,
    )


def event_message(posting: Posting) -> event_pb2.Event:
    """Renders a transfer as an event of the feed."""
    transfer = posting.transfer
    return event_pb2.Event(
        seq=transfer.seq,
        create_time=timestamp(transfer.create_time),
        trace_id=transfer.trace_id.hex() if transfer.trace_id is not None else "",
        transfer_recorded=transfer_message(posting),
    )


def _available(available: Available) -> wallet_pb2.Available:
    return wallet_pb2.Available(
        cash_minor_units=available.cash,
        bonus_minor_units=available.bonus,
        locked_minor_units=available.locked,
    )


def _limit(limit: LimitFacts) -> wallet_pb2.LimitFacts:
    return wallet_pb2.LimitFacts(
        kind=limit.kind.name.lower(),
        period=limit.period.name.lower(),
        scope=limit.scope.name.lower(),
        max_minor_units=limit.max_amount,
        used_minor_units=limit.used,
        window_end_time=None if limit.window_end is None else timestamp(limit.window_end),
    )
