"""Numbers and layouts that are stored, sealed or fingerprinted: they are for ever."""

from enum import IntEnum

import pytest

from services.wallet.domain import (
    BonusState,
    Bucket,
    HoldDirection,
    HoldState,
    HouseKind,
    IfRefused,
    KeyScope,
    Kind,
    LimitKind,
    Micros,
    Outcome,
    Period,
    Restriction,
    RoundState,
    Scope,
    SpendOrder,
    Stance,
    WinShort,
    account_code,
    pack_id,
    unpack_id,
    unpack_key,
)
from services.wallet.domain.policy import (
    DEFAULT_POLICY,
    DEFAULT_VERSION,
    SWITCHES,
    Policies,
    Policy,
    policy_of,
    read_switches,
    write_switches,
)
from services.wallet.domain.result import Flag
from services.wallet.domain.values import (
    COUNTER_MAX,
    KEY_BYTES_MAX,
    account_id_of,
    derive_id,
    pack_key,
)

STORED: dict[type[IntEnum], str] = {
    Bucket: "CASH=1 BONUS=2 LOCKED=3",
    HouseKind: "PSP=8 GAME=9 BONUS_COST=10 ROLLBACK_LOSS=11 ADJUSTMENT=12 FX=13 SUSPENSE=14",
    Kind: (
        "OPEN_WALLET=1 SET_RESTRICTION=2 SET_LIMIT=3 DEPOSIT=4 HOLD_DEPOSIT=5 WITHDRAW=6"
        " CAPTURE=7 RELEASE=8 BET=9 WIN=10 ROLLBACK=11 CLOSE_ROUND=12 MOVE=13 ADJUST=14"
        " GRANT_BONUS=15 RELEASE_BONUS=16 FORFEIT_BONUS=17 EXPIRE_HOLD=18 TOMBSTONE=19"
        " EXPIRE_BONUS=20 ACTIVATE_BONUS=21"
    ),
    Outcome: (
        "APPLIED=1 APPLIED_LATE=2 APPLIED_CLAMPED=3 APPLIED_LOCKED=4 NOTHING_TO_REVERSE=5"
        " ALREADY_REVERSED=6 ALREADY_CLOSED=7"
        " TOMBSTONED=20 PLAYER_NOT_FOUND=21 ACCOUNT_NOT_FOUND=22 PLAYER_RESTRICTED=23"
        " REFERENCE_NOT_FOUND=24 REFERENCE_MISMATCH=25 REFERENCE_REFUSED=26"
        " REFERENCE_REVERSED=27 REFERENCE_SETTLED=28 ROUND_CLOSED=29 HOLD_NOT_FOUND=30"
        " HOLD_ALREADY_POSTED=31 HOLD_ALREADY_VOIDED=32 HOLD_EXPIRED=33 BONUS_NOT_FOUND=34"
        " BONUS_NOT_ACTIVE=35 OVER_REVERSED=36 CAPTURE_TOO_LARGE=37 LIMIT_REACHED=38"
        " BONUS_MAX_BET=39 INSUFFICIENT_FUNDS=40 COUNTER_LIMIT=41 LINKED_FAILED=42"
    ),
    Scope: "PLAYER=0 OPERATOR=1",
    LimitKind: "DEPOSIT=1 WAGER=2 LOSS=3",
    Period: "DAY=1 WEEK=2 MONTH=3",
    HoldDirection: "OUT=0 IN=1",
    HoldState: "PENDING=0 POSTED=1 VOIDED=2 EXPIRED=3",
    RoundState: "OPEN=1 CLOSED=2",
    BonusState: "QUEUED=0 ACTIVE=1 RELEASED=2 FORFEITED=3 EXPIRED=4",
    SpendOrder: "CASH_FIRST=0 BONUS_FIRST=1",
    IfRefused: "REFUSE=0 LOCK=1",
    Stance: "ACCEPT=0 REFUSE=1",
    WinShort: "CLAMP=0 DEBT=1 REFUSE=2",
    KeyScope: "SOURCE=0 SOURCE_AND_KIND=1",
}


@pytest.mark.parametrize("words", STORED, ids=lambda words: words.__name__)
def test_stored_numbers_keep_their_meaning(words: type[IntEnum]) -> None:
    # A new word may follow; one that is there never changes its number.
    known = dict(word.split("=") for word in STORED[words].split())
    assert {each.name: str(each.value) for each in words if each.name in known} == known


def test_stored_bits_keep_their_meaning() -> None:
    assert [int(each) for each in Restriction] == [1, 2, 4, 8]
    assert (Restriction.NO_BET, Restriction.NO_DEPOSIT) == (1, 2)
    assert (Restriction.NO_WITHDRAW, Restriction.NO_BONUS) == (4, 8)
    assert (Restriction.NONE, Restriction.SELF_EXCLUDED, Restriction.FROZEN) == (0, 11, 15)
    assert (Flag.CLOSE_ROUND, Flag.LOCK_IF_REFUSED, Flag.CHARGEBACK) == (1, 2, 4)


def test_the_bounds_are_what_columns_and_contracts_can_hold() -> None:
    assert COUNTER_MAX == 2**62
    assert KEY_BYTES_MAX == 128


def test_outcomes_are_success_or_refusal_and_some_take_effect() -> None:
    assert {each.name for each in Outcome if each.success} == {
        "APPLIED",
        "APPLIED_LATE",
        "APPLIED_CLAMPED",
        "APPLIED_LOCKED",
        "NOTHING_TO_REVERSE",
        "ALREADY_REVERSED",
        "ALREADY_CLOSED",
    }
    assert {each.name for each in Outcome if each.posted} == {
        "APPLIED",
        "APPLIED_LATE",
        "APPLIED_CLAMPED",
        "APPLIED_LOCKED",
    }


UUID = "0123abcd-4567-7890-abcd-ef0123456789"
UUID_BYTES = bytes.fromhex("0123abcd45677890abcdef0123456789")


@pytest.mark.parametrize(
    ("text", "kind", "packed"),
    [
        (UUID, None, b"\x01" + UUID_BYTES),
        ("bet-7é", None, b"\x02bet-7\xc3\xa9"),
        (UUID, Kind.BET, b"\x03\x09" + UUID_BYTES),
        ("bet-7é", Kind.WIN, b"\x04\x0abet-7\xc3\xa9"),
        # Another spelling of a UUID is another key: only the canonical one is packed.
        (UUID.upper(), None, b"\x02" + UUID.upper().encode()),
        (UUID.replace("-", ""), None, b"\x02" + UUID.replace("-", "").encode()),
    ],
)
def test_a_key_is_stored_in_the_shortest_form_and_read_as_it_was(
    text: str, kind: Kind | None, packed: bytes
) -> None:
    assert pack_key(text, kind) == packed
    assert unpack_key(packed) == text


def test_an_id_is_sixteen_bytes_and_nothing_but_a_canonical_uuid() -> None:
    assert pack_id(UUID) == UUID_BYTES
    assert unpack_id(UUID_BYTES) == UUID
    for text in (UUID.upper(), UUID[:-1], "", "bet-7"):
        with pytest.raises(ValueError, match="not a canonical UUID"):
            pack_id(text)


def test_ids_that_the_ledger_makes_tell_time_and_place() -> None:
    now = Micros(1_790_000_000_123_456)
    made = derive_id(now=now, shard=3, seq=77)
    assert unpack_id(made) == "01a0c450-6c7b-71c8-8000-0000134c9636"
    number = int.from_bytes(made, "big")
    assert number >> 80 == 1_790_000_000_123
    assert number >> 76 & 0xF == 7
    assert number >> 64 & 0xFFF == 456
    assert number >> 62 & 0b11 == 0b10
    assert number >> 22 & (1 << 40) - 1 == 77


def test_an_id_keeps_its_form_however_long_the_log() -> None:
    made = derive_id(now=Micros(1_790_000_000_123_456), shard=255, seq=2**50 - 1)
    number = int.from_bytes(made, "big")
    assert (number >> 80, number >> 62 & 0b11) == (1_790_000_000_123, 0b10)


def test_ids_that_the_ledger_makes_are_unlike_each_other_and_sort_as_they_were_made() -> None:
    now = Micros(1_790_000_000_123_456)
    places = [(now, 0, 1), (now, 0, 2), (now, 0, 2**20), (Micros(now + 1), 0, 1)]
    made = [derive_id(now=time, shard=shard, seq=seq) for time, shard, seq in places]
    assert made == sorted(set(made))
    assert len({derive_id(now=now, shard=shard, seq=1) for shard in range(256)}) == 256


def test_an_account_id_holds_shard_transfer_and_code() -> None:
    largest = account_id_of(shard=255, seq=2**50 - 1, code=HouseKind.SUSPENSE)
    assert largest == 255 << 55 | (2**50 - 1) << 5 | 14
    assert largest < 2**63
    for code in (*Bucket, *HouseKind):
        account_id = account_id_of(shard=1, seq=9, code=code)
        assert account_id == 1 << 55 | 9 << 5 | code
        assert account_code(account_id) is code
        assert type(account_code(account_id)) is type(code)


# Which policy judges whom.


def test_the_default_policy_pays_players_and_keeps_cash_first() -> None:
    policy = DEFAULT_POLICY
    assert (policy.policy_id, policy.tenant, policy.source, policy.version) == (1, "", "", 1)
    assert policy.rollback_unknown is Stance.ACCEPT
    assert policy.rollback_win_short is WinShort.CLAMP
    assert policy.debt_limit == 0
    assert policy.rollback_settled_bet is Stance.ACCEPT
    assert policy.win_without_reference is Stance.ACCEPT
    assert policy.win_after_close is Stance.ACCEPT
    assert policy.spend_order is SpendOrder.CASH_FIRST
    assert (policy.split_stake, policy.partial_rollback) == (True, False)
    assert policy.key_scope is KeyScope.SOURCE


def test_the_newest_policy_of_a_source_judges_it_and_nobody_else() -> None:
    newest = Policy(policy_id=4, tenant="t", source="studio", version=3)
    older = Policy(policy_id=5, tenant="t", source="studio", version=2)
    policies = Policies([newest, older])
    assert policies.of("t", "studio") is newest
    assert policies.of("t", "other") is DEFAULT_POLICY
    assert policies.of("u", "studio") is DEFAULT_POLICY


def test_a_policy_that_is_added_gets_the_next_numbers_and_judges_from_then_on() -> None:
    studio = Policy(policy_id=4, tenant="t", source="studio", version=3)
    policies = Policies([studio, Policy(policy_id=9, tenant="t", source="other")])
    assert policies.next_numbers("t", "studio") == (10, 4)
    assert policies.next_numbers("u", "studio") == (10, 1)
    added = Policy(policy_id=10, tenant="t", source="studio", version=4)
    later = policies.added(added)
    assert later.of("t", "studio") is added
    assert later.next_numbers("t", "other") == (11, 2)
    # Whoever still holds the one before is told what held then.
    assert policies.of("t", "studio") is studio


def test_switches_are_read_as_they_were_written_and_else_are_at_their_default() -> None:
    values = {name: getattr(DEFAULT_POLICY, name) for name in SWITCHES}
    others = {"rollback_win_short": WinShort.DEBT, "debt_limit": 70, "split_stake": False}
    written = write_switches(values | others)
    assert read_switches(written) == values | others
    assert write_switches(read_switches(written)) == written
    version = DEFAULT_VERSION._replace(switches=write_switches(values))
    assert policy_of(version) == policy_of(DEFAULT_VERSION) == DEFAULT_POLICY


def test_a_default_may_be_replaced() -> None:
    replaced = Policy(policy_id=9, version=2)
    assert Policies([replaced]).of("t", "studio") is replaced
