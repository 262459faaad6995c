"""How operations and answers pass a socket: one JSON object a line."""

import json
from dataclasses import dataclass, fields
from typing import Any

from services.kit.errors import ServiceError
from services.wallet.domain import (
    Answer,
    Bet,
    Capture,
    Deposit,
    HoldId,
    Key,
    OpenWallet,
    Operation,
    Outcome,
    PlayerId,
    Release,
    Rollback,
    Win,
    Withdraw,
)

LINE_MAX = 1 << 16

_KINDS: dict[str, type[Operation]] = {
    kind.__name__: kind
    for kind in (OpenWallet, Deposit, Withdraw, Capture, Release, Bet, Win, Rollback)
}


@dataclass(frozen=True, slots=True)
class Told:
    """What a caller keeps of an answer."""

    seq: int
    outcome: Outcome
    hold_id: HoldId | None


def operation_line(operation: Operation) -> bytes:
    """Writes an operation."""
    plain: dict[str, Any] = {"kind": type(operation).__name__}
    for each in fields(operation):
        value = getattr(operation, each.name)
        if isinstance(value, Key):
            value = [value.tenant, value.source, value.id]
        elif isinstance(value, bytes):
            value = value.hex()
        if value is not None:
            plain[each.name] = value
    return json.dumps(plain).encode() + b"\n"


def parse_operation(line: bytes) -> Operation:
    """Reads an operation."""
    plain = json.loads(line)
    kind = _KINDS[plain.pop("kind")]
    plain["key"] = Key(*plain["key"])
    plain["player_id"] = PlayerId(bytes.fromhex(plain["player_id"]))
    if "hold_id" in plain:
        plain["hold_id"] = HoldId(bytes.fromhex(plain["hold_id"]))
    return kind(**plain)


def answer_line(answer: Answer | ServiceError) -> bytes:
    """Writes an answer, or the name of an error."""
    if isinstance(answer, ServiceError):
        return json.dumps({"error": type(answer).__name__}).encode() + b"\n"
    result = answer.result
    plain = {
        "seq": result.seq,
        "outcome": int(result.outcome),
        "hold_id": None if result.hold_id is None else result.hold_id.hex(),
    }
    return json.dumps(plain).encode() + b"\n"


def parse_answer(line: bytes) -> Told | None:
    """Reads an answer; None is an error, after which nothing is known."""
    plain = json.loads(line)
    if "error" in plain:
        return None
    held = plain["hold_id"]
    return Told(
        plain["seq"],
        Outcome(plain["outcome"]),
        None if held is None else HoldId(bytes.fromhex(held)),
    )
