"""The audit chain: what a batch's hash is made of, and that it never changes its mind."""

from typing import Any

import pytest

from services.wallet.domain import (
    BonusId,
    Entry,
    HoldId,
    Kind,
    Micros,
    Outcome,
    PlayerId,
    RoundState,
    Transfer,
)
from services.wallet.domain.chain import GENESIS, Batch, seal

TRANSFER = Transfer(
    shard=0,
    seq=7,
    tenant="t",
    source="studio",
    key=b"\x02bet-7",
    kind=Kind.BET,
    fingerprint=bytes(range(16)),
    player_id=PlayerId(b"p" * 16),
    currency_code="EUR",
    amount=100,
    bonus_amount=25,
    outcome=Outcome.APPLIED,
    flags=1,
    group_no=7,
    original_seq=3,
    reversal_no=1,
    hold_id=HoldId(b"h" * 16),
    round_id=255,
    round_state=RoundState.CLOSED,
    bonus_id=BonusId(b"b" * 16),
    wager_delta=100,
    policy_id=2,
    cash_after=900,
    bonus_after=75,
    locked_after=10,
    game_id="roulette",
    effective_time=Micros(1_790_000_000_000_001),
    create_time=Micros(1_790_000_000_000_002),
    trace_id=b"t" * 16,
    detail='{"round_key":"r1"}',
)
ENTRY = Entry(
    shard=0,
    seq=7,
    leg=1,
    account_id=33,
    account_version=4,
    debit_posted=100,
    credit_posted=2,
    debit_pending=-3,
    credit_pending=5,
    balance_after=900,
)
BARE = TRANSFER._replace(
    currency_code=None,
    group_no=None,
    original_seq=None,
    reversal_no=None,
    hold_id=None,
    round_id=None,
    round_state=None,
    bonus_id=None,
    cash_after=None,
    bonus_after=None,
    locked_after=None,
    effective_time=None,
    detail=None,
)


def sealed(
    transfers: tuple[Transfer, ...] = (TRANSFER,),
    entries: tuple[Entry, ...] = (ENTRY,),
    **header: Any,
) -> Batch:
    place: dict[str, Any] = {"shard": 0, "batch_no": 5, "epoch": 2, "prev_hash": GENESIS} | header
    return seal(transfers=list(transfers), entries=list(entries), **place)


def test_the_hash_of_a_batch_is_for_ever() -> None:
    assert sealed().hash.hex() == (
        "858b666db3e08e872de600daf7df7a7231295bae6bd98852ff5ac34f9ee48b1c"
    )
    assert sealed((BARE,), ()).hash.hex() == (
        "8f077990211408ef4ee6e1fcad5013bf2e219073cba8273935658062c0e0ad4e"
    )


def test_a_batch_names_its_place_its_rows_and_what_it_continues() -> None:
    later = TRANSFER._replace(seq=8, create_time=Micros(1_790_000_000_000_009))
    batch = sealed((TRANSFER, later), prev_hash=b"p" * 32)
    assert batch[:-1] == (0, 5, 2, 7, 8, TRANSFER.create_time, b"p" * 32)
    assert len(batch.hash) == 32


@pytest.mark.parametrize("column", [each for each in Transfer._fields if each != "trace_id"])
def test_every_column_of_a_transfer_is_sealed(column: str) -> None:
    value = getattr(TRANSFER, column)
    other: Any = value + 1 if isinstance(value, int) else value[:-1]
    changed = TRANSFER._replace(**{column: other})
    assert sealed((changed,)).hash != sealed().hash


@pytest.mark.parametrize("column", Entry._fields)
def test_every_column_of_an_entry_is_sealed(column: str) -> None:
    changed = ENTRY._replace(**{column: getattr(ENTRY, column) + 1})
    assert sealed(entries=(changed,)).hash != sealed().hash


@pytest.mark.parametrize(
    "place", [{"shard": 1}, {"batch_no": 6}, {"epoch": 3}, {"prev_hash": b"x" * 32}], ids=str
)
def test_the_place_of_a_batch_is_sealed(place: dict[str, Any]) -> None:
    assert sealed(**place).hash != sealed().hash


def test_the_trace_of_a_transfer_is_not_sealed() -> None:
    assert sealed((TRANSFER._replace(trace_id=None),)).hash == sealed().hash


def test_rows_are_sealed_in_their_order_and_none_is_missing() -> None:
    second, leg = TRANSFER._replace(seq=8), ENTRY._replace(leg=2)
    hashes = {
        sealed(transfers, entries).hash
        for transfers in ((TRANSFER,), (TRANSFER, second), (second, TRANSFER))
        for entries in ((), (ENTRY,), (ENTRY, leg), (leg, ENTRY))
    }
    assert len(hashes) == 12


def test_nothing_is_not_the_same_as_zero_or_as_an_empty_text() -> None:
    names = ("group_no", "original_seq", "reversal_no", "round_id", "cash_after", "effective_time")
    for name in names:
        zero: dict[str, Any] = {name: 0}
        assert sealed((BARE._replace(**zero),)).hash != sealed((BARE,)).hash
    for name, empty in (("hold_id", b""), ("bonus_id", b""), ("detail", "")):
        text: dict[str, Any] = {name: empty}
        assert sealed((BARE._replace(**text),)).hash != sealed((BARE,)).hash


def test_texts_that_meet_are_told_apart() -> None:
    one = TRANSFER._replace(tenant="ab", source="c")
    other = TRANSFER._replace(tenant="a", source="bc")
    assert sealed((one,)).hash != sealed((other,)).hash
