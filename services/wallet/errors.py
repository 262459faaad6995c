"""The ledger's errors: what a caller is told when nothing was recorded under its key.

A refusal is none of these. It is a stored result, and so an answer.
"""

import grpc
from croupier.wallet.v1.error_reason_pb2 import ErrorReason

from services.kit.errors import ServiceError


class KeyReusedError(ServiceError):
    """The key was used for an operation with other content."""

    code = grpc.StatusCode.ALREADY_EXISTS
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_KEY_REUSED)

    def __init__(self, *, source: str, transaction_id: str, fields: tuple[str, ...]) -> None:
        """Names the key and what differs, as far as the ledger has kept it."""
        listed = ",".join(fields)
        told = f": {listed}" if listed else ""
        super().__init__(
            f"{transaction_id} was used with other content{told}",
            source=source,
            transaction_id=transaction_id,
            fields=listed,
        )


class TransferNotFoundError(ServiceError):
    """Nothing is recorded under the key, and nothing that was sent before will be."""

    code = grpc.StatusCode.NOT_FOUND
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_TRANSFER_NOT_FOUND)

    def __init__(self, *, source: str, transaction_id: str) -> None:
        """Names the key."""
        super().__init__(
            f"no transfer {transaction_id}", source=source, transaction_id=transaction_id
        )


class PlayerNotFoundError(ServiceError):
    """The ledger does not know the player."""

    code = grpc.StatusCode.NOT_FOUND
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_PLAYER_NOT_FOUND)

    def __init__(self, player_id: str) -> None:
        """Names the player."""
        super().__init__(f"no player {player_id}", player_id=player_id)


class AccountNotFoundError(ServiceError):
    """The player has no wallet in the currency."""

    code = grpc.StatusCode.NOT_FOUND
    reason = ErrorReason.Name(ErrorReason.ERROR_REASON_ACCOUNT_NOT_FOUND)

    def __init__(self, currency_code: str) -> None:
        """Names the currency."""
        super().__init__(f"no wallet in {currency_code}", currency_code=currency_code)
