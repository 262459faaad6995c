"""The rules of identity, one row a case."""

from datetime import UTC, datetime, timedelta

import pytest

from services.security.domain.credentials import Lockout, normalised_email, normalised_password
from services.security.domain.passwords import is_common
from services.security.domain.sessions import token_span
from services.security.domain.signing_keys import (
    RotationRules,
    SigningKey,
    next_activation,
    published,
    signing,
)
from services.security.domain.totp import NO_STEP, matching_step, otpauth_uri

NOW = datetime(2027, 1, 15, 12, 0, 0, 400_000, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RULES = RotationRules(life=timedelta(days=30), lead=10 * MINUTE, access_life=10 * MINUTE)


@pytest.mark.parametrize(
    "password",
    [
        "aaaaaaaaaaaa", "ababababab", "abcabcabcabc", "112112112112", "xyzxyzxyzxyz",
        "1234567890", "0987654321", "12345678901234567890", "abcdefghijkl", "qwertyuiop",
        "poiuytrewq", "asdfghjkl123", "1q2w3e4r5t", "1qaz2wsx3edc", "qwerty123456", "azertyuiop12",
        "password123", "Password2027!", "P@ssw0rd!!!", "passw0rd1234", "password password",
        "MyPassword1", "letmein12345", "welcome2027", "iloveyou!!!", "1loveyou123", "$ecret12345",
        "adminadmin1", "Liverpool1892", "superman1978", "SunShine2025", "football123456",
        "princess.angel", "monkey-dragon-7",
        "croupier2027", "Croupier!!!!", "cr0up1er2027", "casinocasino", "Jackpot777777",
        "ada.lovelace1", "lovelace1815", "ecalevol1815", "players123456", "Ada_Lovelace!",
    ],
)  # fmt: skip
def test_password_that_attackers_try_first_is_common(password: str) -> None:
    assert is_common(password, email="Ada.Lovelace@players.example")


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple", "violet kettle 92", "Tr0ub4dor&3-moth", "zK9!fQ2#wL7x",
        "ich mag brot am abend", "my password is otter7", "thisisnotincluded", "\u6f22\u5b57" * 3 +
        "\u3068\u4eee\u540d", "9f8e2c1b7a6d5e4f", "gelbe-socken-tanzen", "0198c0deaf317",
    ],
)  # fmt: skip
def test_other_password_is_not_common(password: str) -> None:
    assert not is_common(password, email="ada.lovelace@players.example")


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("Ada@Players.Example", "ada@players.example"),
        ("STRASSE@x.example", "strasse@x.example"),
        ("stra\u00dfe@x.example", "strasse@x.example"),
        ("A\u030angstro\u0308m@x.example", "\u00e5ngstr\u00f6m@x.example"),
        ("\u00c5ngstr\u00f6m@x.example", "\u00e5ngstr\u00f6m@x.example"),
    ],
)
def test_addresses_compare_without_case(given: str, stored: str) -> None:
    assert normalised_email(given) == stored
    assert normalised_email(stored) == stored


def test_passwords_compare_with_case() -> None:
    assert normalised_password("Secret") != normalised_password("secret")
    assert normalised_password("\u00c5") == normalised_password("A\u030a")


@pytest.mark.parametrize(
    ("failures", "locked", "silent"),
    [
        ([], False, False),
        ([0, 1], False, False),
        ([0, 1, 2], True, False),
        ([0, 30, 59], False, False),
        ([0, 29, 31], False, False),
        ([0, 20, 29], True, False),
        ([0, 1, 2, 3, 4], True, False),
        ([0, 1, 2, 3, 4, 5], True, True),
        ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], True, True),
        # The second lock begins anew.
        ([0, 1, 2, 3, 4, 32, 33], False, False),
        ([0, 1, 2, 3, 4, 32, 33, 34], True, False),
    ],
)
def test_failures_lock(failures: list[int], locked: bool, silent: bool) -> None:  # noqa: FBT001
    lockout = Lockout()
    time = NOW
    for minutes in failures:
        time = NOW + minutes * MINUTE
        lockout = lockout.after_failure(time)
        assert len(lockout.failure_times) <= 3
    assert (lockout.is_locked(time), lockout.is_silent(time)) == (locked, silent)


def test_failures_during_a_lock_do_not_prolong_it() -> None:
    lockout = Lockout()
    for minutes in range(25):
        lockout = lockout.after_failure(NOW + minutes * MINUTE)
    assert lockout.unlock_time == NOW + 32 * MINUTE
    assert not lockout.is_locked(NOW + 32 * MINUTE)


def test_tokens_are_never_issued_in_the_future_and_never_outlive_the_session() -> None:
    span = token_span(
        now=NOW, life_end_time=NOW + 5 * MINUTE, idle=30 * MINUTE, access_life=10 * MINUTE
    )
    assert span.issue_time == NOW.replace(microsecond=0)
    assert span.access_expire_time == (NOW + 5 * MINUTE).replace(microsecond=0)
    assert span.refresh_expire_time == NOW + 5 * MINUTE


def key(number: int, activate: datetime, expire: datetime | None = None) -> SigningKey:
    return SigningKey(str(number), number, "", "", b"", activate, expire)


def test_newest_active_key_signs() -> None:
    keys = [key(2, NOW), key(1, NOW - MINUTE), key(3, NOW + MINUTE)]
    assert signing(keys, NOW).number == 2
    assert [each.number for each in published(keys, NOW)] == [3, 2, 1]
    # The first key of all signs at once, even for a clock that is behind.
    assert signing([key(1, NOW + MINUTE)], NOW).number == 1
    with pytest.raises(ValueError, match="no signing key"):
        signing([], NOW)


@pytest.mark.parametrize(
    ("keys", "due"),
    [
        ([], NOW),
        ([key(1, NOW)], None),
        ([key(1, NOW - timedelta(days=29))], None),
        ([key(1, NOW - timedelta(days=30) + 10 * MINUTE)], NOW + 10 * MINUTE),
        ([key(1, NOW - timedelta(days=90))], NOW + 10 * MINUTE),
        ([key(1, NOW - timedelta(days=90)), key(2, NOW + MINUTE)], None),
    ],
)
def test_next_key_is_due(keys: list[SigningKey], due: datetime | None) -> None:
    assert next_activation(keys, NOW, RULES) == due


def test_codes_of_the_standard_are_accepted() -> None:
    # RFC 6238, appendix B, the last six of the eight digits of SHA-1.
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    for seconds, code in ((59, "287082"), (1111111109, "081804"), (20000000000, "353130")):
        now = datetime.fromtimestamp(seconds, UTC)
        step = seconds // 30
        assert matching_step(secret, code, now=now, after_step=NO_STEP) == step
        assert matching_step(secret, code, now=now, after_step=step) is None
        assert matching_step(secret, "000000", now=now, after_step=NO_STEP) is None
    assert otpauth_uri(secret, account="a@b.example", issuer="C").startswith("otpauth://totp/C:a")
