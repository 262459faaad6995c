"""How an answer of the ledger leaves a single call."""

from collections.abc import Sequence
from typing import Any

from services.wallet.domain import Answer, Operation, Result
from services.wallet.refusals import RefusedError
from services.wallet.service import WalletService

_REPLAYED = (("croupier-replayed", "1"),)


async def submitted(service: WalletService, context: Any, operation: Operation) -> Result:
    """Runs one operation for a call that carries nothing else.

    Raises:
        RefusedError: The ledger refused it.
    """
    note_on_span(operation)
    return accepted(context, [operation], [await service.submit(operation)])[0]


def note_on_span(operation: Operation) -> None:
    """Lets the trace of a call be found by the id of its operation."""
    if operation.trace is not None:
        operation.trace.set_attribute("croupier.transaction_id", operation.key.id)


def accepted(
    context: Any, operations: Sequence[Operation], answers: Sequence[Answer]
) -> list[Result]:
    """Returns the results of operations that stand and fall together, and tells of a replay.

    Raises:
        RefusedError: The ledger refused them; it names the one that was the cause.
    """
    if all(answer.replayed for answer in answers):
        context.set_trailing_metadata(_REPLAYED)
    refused = [
        (answer.result, operation)
        for operation, answer in zip(operations, answers, strict=True)
        if not answer.result.outcome.success
    ]
    if refused:
        # The others are only LINKED_FAILED, which comes after all other outcomes.
        raise RefusedError(*min(refused, key=lambda pair: pair[0].outcome))
    return [answer.result for answer in answers]
