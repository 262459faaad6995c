"""A movement that the ledger refused, as its caller sees it."""

from collections.abc import Callable, Mapping

import grpc
from croupier.wallet.v1.error_reason_pb2 import ErrorReason

from services.kit.errors import ServiceError
from services.wallet.domain import KeyScope, Kind, Operation, Outcome, Result, unpack_id
from services.wallet.messages import result_message

Facts = dict[str, str | int]

_FORBIDDEN_BY = {
    Kind.BET: "no_bet",
    Kind.DEPOSIT: "no_deposit",
    Kind.HOLD_DEPOSIT: "no_deposit",
    Kind.WITHDRAW: "no_withdraw",
    Kind.GRANT_BONUS: "no_bonus",
}


class RefusedError(ServiceError):
    """A stored refusal: the outcome is the reason, and the result a detail."""

    code = grpc.StatusCode.FAILED_PRECONDITION

    def __init__(self, result: Result, operation: Operation | None = None) -> None:
        """Tells the outcome, and the facts that led to it.

        Args:
            result: The stored answer.
            operation: What was asked, if it may have words that the result does not keep.
        """
        super().__init__(
            f"refused: {result.outcome.name.lower().replace('_', ' ')}",
            details=[result_message(result)],
        )
        self.metadata = {name: str(fact) for name, fact in _facts(result, operation).items()}
        self.reason = ErrorReason.Name(ErrorReason.ValueType(result.outcome))
        self.result = result


def _facts(result: Result, operation: Operation | None) -> Facts:
    facts: Facts = {"source": result.key.source, "transaction_id": result.key.id}
    tell = _FACTS.get(result.outcome)
    if tell is not None:
        facts |= tell(result, operation)
    if result.hold_id is not None:
        facts["hold_id"] = unpack_id(result.hold_id)
    return facts


def _player(result: Result, _: Operation | None) -> Facts:
    return {"player_id": unpack_id(result.player_id)}


def _currency(result: Result, _: Operation | None) -> Facts:
    return {"currency_code": result.currency_code or ""}


def _restriction(result: Result, _: Operation | None) -> Facts:
    return {"restriction": _FORBIDDEN_BY[result.kind]}


def _bonus(result: Result, _: Operation | None) -> Facts:
    return {} if result.bonus_id is None else {"bonus_id": unpack_id(result.bonus_id)}


def _max_bet(result: Result, _: Operation | None) -> Facts:
    return {"max_minor_units": result.detail["max_bet"]} if "max_bet" in result.detail else {}


def _funds(result: Result, _: Operation | None) -> Facts:
    facts: Facts = {"requested_minor_units": result.amount}
    if result.available is not None:
        facts["available_minor_units"] = result.available.cash + result.available.bonus
    return facts


def _limit(result: Result, _: Operation | None) -> Facts:
    if result.limit is None:
        return {}
    return {
        "kind": result.limit.kind.name.lower(),
        "period": result.limit.period.name.lower(),
        "scope": result.limit.scope.name.lower(),
        "max_minor_units": result.limit.max_amount,
        "used_minor_units": result.limit.used,
    }


def _reference(_: Result, operation: Operation | None) -> Facts:
    # Not every movement that can meet these has one.
    reference = getattr(operation, "reference", "")
    return {"reference": reference} if reference else {}


def _round(_: Result, operation: Operation | None) -> Facts:
    round_key = getattr(operation, "round_key", "")
    return {"round_id": round_key} if round_key else {}


def _key_scope(result: Result, _: Operation | None) -> Facts:
    return {
        "policy_source": result.detail["source"],
        "key_scope": KeyScope(result.detail["scope_in_use"]).name.lower(),
    }


_FACTS: Mapping[Outcome, Callable[[Result, Operation | None], Facts]] = {
    Outcome.PLAYER_NOT_FOUND: _player,
    Outcome.ACCOUNT_NOT_FOUND: _currency,
    Outcome.PLAYER_RESTRICTED: _restriction,
    Outcome.REFERENCE_NOT_FOUND: _reference,
    Outcome.REFERENCE_MISMATCH: _reference,
    Outcome.REFERENCE_REFUSED: _reference,
    Outcome.REFERENCE_REVERSED: _reference,
    Outcome.REFERENCE_SETTLED: _reference,
    Outcome.OVER_REVERSED: _reference,
    Outcome.ROUND_CLOSED: _round,
    Outcome.BONUS_NOT_FOUND: _bonus,
    Outcome.BONUS_NOT_ACTIVE: _bonus,
    Outcome.BONUS_MAX_BET: _max_bet,
    Outcome.INSUFFICIENT_FUNDS: _funds,
    Outcome.LIMIT_REACHED: _limit,
    Outcome.KEY_SCOPE_FIXED: _key_scope,
}
