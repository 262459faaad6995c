"""The words of the ledger: identifiers, keys and the closed sets of values.

Amounts are integers in a currency's minor unit. Times are whole microseconds since the Unix epoch,
as they are stored: the planner compares and adds them by the thousand in each batch.
"""

import hashlib
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import NewType

from services.kit.ids import is_canonical_uuid

Micros = NewType("Micros", int)
"""A time: microseconds since the Unix epoch, UTC."""

PlayerId = NewType("PlayerId", bytes)
NOBODY = PlayerId(b"")
"""The player of an operation that concerns none."""
HoldId = NewType("HoldId", bytes)
BonusId = NewType("BonusId", bytes)

COUNTER_MAX = 2**62
"""No counter of an account passes it, so that a difference of two always fits 64 bits."""

KEY_BYTES_MAX = 128
WALLET_SOURCE = "wallet:rules"
"""The source of the transfers that the wallet makes by itself, such as an expiry.

Providers go by names without a colon, so none of them can share its keys or its house accounts.
"""


class Bucket(IntEnum):
    """Which of a player's balances in one currency an account is."""

    CASH = 1
    BONUS = 2
    LOCKED = 3


class HouseKind(IntEnum):
    """Which side of the house an account is."""

    PSP = 8
    GAME = 9
    BONUS_COST = 10
    ROLLBACK_LOSS = 11
    ADJUSTMENT = 12
    FX = 13
    SUSPENSE = 14


class Kind(IntEnum):
    """What a transfer is. The numbers are stored and part of fingerprints: they never change."""

    OPEN_WALLET = 1
    SET_RESTRICTION = 2
    SET_LIMIT = 3
    DEPOSIT = 4
    HOLD_DEPOSIT = 5
    WITHDRAW = 6
    CAPTURE = 7
    RELEASE = 8
    BET = 9
    WIN = 10
    ROLLBACK = 11
    CLOSE_ROUND = 12
    MOVE = 13
    ADJUST = 14
    GRANT_BONUS = 15
    RELEASE_BONUS = 16
    FORFEIT_BONUS = 17
    EXPIRE_HOLD = 18
    TOMBSTONE = 19
    EXPIRE_BONUS = 20
    ACTIVATE_BONUS = 21
    SET_POLICY = 22


class Outcome(IntEnum):
    """The stored result of a transfer. The numbers are stored: they never change."""

    # Successes.
    APPLIED = 1
    APPLIED_LATE = 2
    APPLIED_CLAMPED = 3
    APPLIED_LOCKED = 4
    NOTHING_TO_REVERSE = 5
    ALREADY_REVERSED = 6
    ALREADY_CLOSED = 7
    # Refusals, in the order in which they are checked.
    TOMBSTONED = 20
    PLAYER_NOT_FOUND = 21
    ACCOUNT_NOT_FOUND = 22
    PLAYER_RESTRICTED = 23
    REFERENCE_NOT_FOUND = 24
    REFERENCE_MISMATCH = 25
    REFERENCE_REFUSED = 26
    REFERENCE_REVERSED = 27
    REFERENCE_SETTLED = 28
    ROUND_CLOSED = 29
    HOLD_NOT_FOUND = 30
    HOLD_ALREADY_POSTED = 31
    HOLD_ALREADY_VOIDED = 32
    HOLD_EXPIRED = 33
    BONUS_NOT_FOUND = 34
    BONUS_NOT_ACTIVE = 35
    OVER_REVERSED = 36
    CAPTURE_TOO_LARGE = 37
    LIMIT_REACHED = 38
    BONUS_MAX_BET = 39
    INSUFFICIENT_FUNDS = 40
    COUNTER_LIMIT = 41
    LINKED_FAILED = 42
    # Of policies, which are set in no group.
    KEY_SCOPE_FIXED = 43

    @property
    def success(self) -> bool:
        """Tells whether the caller got what it asked for, if only by finding it done."""
        return self < Outcome.TOMBSTONED

    @property
    def posted(self) -> bool:
        """Tells whether the operation took effect by this very transfer."""
        return self <= Outcome.APPLIED_LOCKED


class Restriction(IntFlag):
    """What a player may not do."""

    NONE = 0
    NO_BET = 1
    NO_DEPOSIT = 2
    NO_WITHDRAW = 4
    NO_BONUS = 8
    SELF_EXCLUDED = NO_BET | NO_DEPOSIT | NO_BONUS
    FROZEN = NO_BET | NO_DEPOSIT | NO_WITHDRAW | NO_BONUS


class Scope(IntEnum):
    """On whose behalf a limit or a restriction stands. One never lifts what the other has set."""

    PLAYER = 0
    OPERATOR = 1


class LimitKind(IntEnum):
    """What a limit counts."""

    DEPOSIT = 1
    WAGER = 2
    LOSS = 3


class Period(IntEnum):
    """How long a limit counts before it starts anew."""

    DAY = 1
    WEEK = 2
    MONTH = 3


class HoldDirection(IntEnum):
    """Whether a hold sets the player's money aside, or announces money that is to come."""

    OUT = 0
    IN = 1


class HoldState(IntEnum):
    """A hold is pending, then exactly one of the others."""

    PENDING = 0
    POSTED = 1
    VOIDED = 2
    EXPIRED = 3


class RoundState(IntEnum):
    """Whether a round still takes bets."""

    OPEN = 1
    CLOSED = 2


class BonusState(IntEnum):
    """One bonus of a player and currency is active; later ones are queued behind it."""

    QUEUED = 0
    ACTIVE = 1
    RELEASED = 2
    FORFEITED = 3
    EXPIRED = 4


class SpendOrder(IntEnum):
    """Which bucket a stake is taken from first."""

    CASH_FIRST = 0
    BONUS_FIRST = 1


class IfRefused(IntEnum):
    """What becomes of a deposit that a restriction or a limit forbids."""

    REFUSE = 0
    LOCK = 1


@dataclass(frozen=True, slots=True)
class Key:
    """Names an operation for ever: the same key is never applied twice."""

    tenant: str
    source: str
    id: str


_UUID, _TEXT, _UUID_OF_KIND, _TEXT_OF_KIND = 1, 2, 3, 4


def pack_key(caller_id: str, kind: Kind | None = None) -> bytes:
    """Packs a caller's id for storage: 16 bytes if it is a canonical UUID, else as it is.

    Args:
        caller_id: The id that the caller gave.
        kind: Given where a source uses one id for operations of different kinds.
    """
    if is_canonical_uuid(caller_id):
        body = bytes.fromhex(caller_id.replace("-", ""))
        return b"\x01" + body if kind is None else bytes((_UUID_OF_KIND, kind)) + body
    body = caller_id.encode()
    return b"\x02" + body if kind is None else bytes((_TEXT_OF_KIND, kind)) + body


def unpack_key(packed: bytes) -> str:
    """Returns the caller's id that `pack_key` packed."""
    form = packed[0]
    if form == _UUID:
        return unpack_id(packed[1:])
    if form == _UUID_OF_KIND:
        return unpack_id(packed[2:])
    return packed[1:].decode() if form == _TEXT else packed[2:].decode()


def pack_id(text: str) -> bytes:
    """Packs a UUID in canonical form into 16 bytes. Any other text raises ValueError."""
    if not is_canonical_uuid(text):
        message = f"not a canonical UUID: {text[:50]!r}"
        raise ValueError(message)
    return bytes.fromhex(text.replace("-", ""))


def unpack_id(packed: bytes) -> str:
    """Writes 16 bytes as a UUID in canonical form."""
    text = packed.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def derive_id(*, now: Micros, shard: int, seq: int) -> bytes:
    """Makes the UUIDv7 of what a transfer creates, from the time and the place of the transfer.

    A plan that is made again after a lost race makes the same ids for the same places, the planner
    needs no source of randomness, and ids of one shard sort in the order of their transfers.
    """
    millis, micros = divmod(now, 1000)
    digest = hashlib.blake2b(b"%d:%d" % (shard, seq), digest_size=4).digest()
    # 48 bits of milliseconds, version 7, 12 bits of microseconds; variant 2, 40 bits of the seq,
    # and 22 bits that tell shards apart.
    high = millis << 16 | 0x7000 | micros
    low = 2 << 62 | (seq & (1 << 40) - 1) << 22 | int.from_bytes(digest, "big") >> 10
    return (high << 64 | low).to_bytes(16, "big")


def derived_seq(derived_id: bytes) -> int:
    """Tells of which transfer an id is that `derive_id` made."""
    return int.from_bytes(derived_id[8:], "big") >> 22 & (1 << 40) - 1


_SHARD_BITS, _SEQ_BITS, _CODE_BITS = 8, 50, 5


def account_id_of(*, shard: int, seq: int, code: Bucket | HouseKind) -> int:
    """Makes the id of an account from the transfer that opens it and what the account is.

    So the bucket of an entry is known from the entry alone, and ids need no counter.
    """
    return (shard << (_SEQ_BITS + _CODE_BITS)) | (seq << _CODE_BITS) | code


def account_code(account_id: int) -> Bucket | HouseKind:
    """Tells what an account is from its id."""
    code = account_id & ((1 << _CODE_BITS) - 1)
    return _CODES[code]


_CODES: dict[int, Bucket | HouseKind] = {**{b: b for b in Bucket}, **{h: h for h in HouseKind}}
