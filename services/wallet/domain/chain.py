"""The audit chain: each batch seals itself and all that came before it."""

import hashlib
import struct
from collections.abc import Iterable
from typing import NamedTuple

from services.wallet.domain.rows import Entry, Transfer
from services.wallet.domain.values import Micros

_VERSION = 1
_ABSENT = -(2**63)
GENESIS = bytes(32)
"""What the first batch of a shard continues."""

_HEADER = struct.Struct(">B7q")
_NUMBERS = struct.Struct(">19q")
_ENTRY = struct.Struct(">10q")
_LENGTHS = struct.Struct(">9i")


class Batch(NamedTuple):
    """The operations of one commit."""

    shard: int
    batch_no: int
    epoch: int
    first_seq: int
    last_seq: int
    create_time: Micros
    prev_hash: bytes
    hash: bytes


def seal(
    *,
    shard: int,
    batch_no: int,
    epoch: int,
    transfers: list[Transfer],
    entries: list[Entry],
    prev_hash: bytes,
) -> Batch:
    """Makes the batch row, with a hash over the previous hash, the header and the rows in order.

    The trace id is left out: it says how a transfer came here, and not what it is.
    """
    first_seq, last_seq = transfers[0].seq, transfers[-1].seq
    create_time = transfers[0].create_time
    digest = hashlib.sha256(prev_hash)
    digest.update(
        _HEADER.pack(
            _VERSION,
            shard,
            batch_no,
            epoch,
            first_seq,
            last_seq,
            create_time,
            len(entries),
        )
    )
    digest.update(b"".join(map(_transfer_bytes, transfers)))
    digest.update(b"".join(_entry_bytes(entries)))
    return Batch(
        shard, batch_no, epoch, first_seq, last_seq, create_time, prev_hash, digest.digest()
    )


def _entry_bytes(entries: Iterable[Entry]) -> Iterable[bytes]:
    pack = _ENTRY.pack
    return (pack(*entry) for entry in entries)


def _transfer_bytes(transfer: Transfer) -> bytes:
    numbers = (
        transfer.shard,
        transfer.seq,
        transfer.kind,
        transfer.amount,
        transfer.bonus_amount,
        transfer.outcome,
        transfer.flags,
        transfer.group_no,
        transfer.original_seq,
        transfer.reversal_no,
        transfer.round_id,
        transfer.round_state,
        transfer.wager_delta,
        transfer.policy_id,
        transfer.cash_after,
        transfer.bonus_after,
        transfer.locked_after,
        transfer.effective_time,
        transfer.create_time,
    )
    texts = (
        transfer.key,
        transfer.fingerprint,
        transfer.player_id,
        transfer.hold_id,
        transfer.bonus_id,
        transfer.tenant.encode(),
        transfer.source.encode(),
        f"{transfer.currency_code or ''}|{transfer.game_id}".encode(),
        None if transfer.detail is None else transfer.detail.encode(),
    )
    return b"".join(
        (
            _NUMBERS.pack(*[_ABSENT if number is None else number for number in numbers]),
            _LENGTHS.pack(*[-1 if text is None else len(text) for text in texts]),
            *[text for text in texts if text is not None],
        )
    )
