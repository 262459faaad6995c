"""A movement that the ledger refused, as its caller sees it."""

import grpc
from croupier.wallet.v1.error_reason_pb2 import ErrorReason

from services.kit.errors import ServiceError
from services.wallet.domain import Outcome, Result, unpack_id
from services.wallet.messages import result_message


class RefusedError(ServiceError):
    """A stored refusal: the outcome is the reason, and the result a detail."""

    code = grpc.StatusCode.FAILED_PRECONDITION

    def __init__(self, result: Result) -> None:
        """Tells the outcome, and the facts that led to it."""
        super().__init__(
            f"refused: {result.outcome.name.lower().replace('_', ' ')}",
            details=[result_message(result)],
        )
        self.metadata = {name: str(fact) for name, fact in _facts(result).items()}
        self.reason = ErrorReason.Name(ErrorReason.ValueType(result.outcome))
        self.result = result


def _facts(result: Result) -> dict[str, str | int]:
    facts: dict[str, str | int] = {
        "source": result.key.source,
        "transaction_id": result.key.id,
    }
    if result.outcome is Outcome.PLAYER_NOT_FOUND:
        facts["player_id"] = unpack_id(result.player_id)
    if result.outcome is Outcome.ACCOUNT_NOT_FOUND:
        facts["currency_code"] = result.currency_code or ""
    if result.outcome is Outcome.INSUFFICIENT_FUNDS:
        facts["requested_minor_units"] = result.amount
        if result.available is not None:
            facts["available_minor_units"] = result.available.cash + result.available.bonus
    if result.limit is not None:
        facts |= {
            "kind": result.limit.kind.name.lower(),
            "period": result.limit.period.name.lower(),
            "scope": result.limit.scope.name.lower(),
            "max_minor_units": result.limit.max_amount,
            "used_minor_units": result.limit.used,
        }
    if result.hold_id is not None:
        facts["hold_id"] = unpack_id(result.hold_id)
    return facts
