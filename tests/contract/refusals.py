"""Which test sees which error reason: read by the contract test, and held to while tests run."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from google.rpc import status_pb2

from services.kit.errors import RemoteError, ServiceError, status_of
from services.wallet.domain import Outcome
from tests.kit import refusals

PREFIX = refusals.PREFIX
# One class renders all outcomes of the ledger, and one table test sends each of them.
OUTCOMES_TEST = "tests/wallet/test_outcomes.py::test_refusal_is_told_as_its_contract_shows_it"
# Only Envoy says so; a service has no path that it does not know.
AT_THE_EDGE = ("croupier.type.v1", "ERROR_REASON_METHOD_UNKNOWN")

# Package, file, reason, test.
SEEN_BY: dict[str, dict[str, dict[str, str]]] = {
    "croupier.type.v1": {
        "tests/edge/test_exposure.py": {
            "METHOD_UNKNOWN": "test_unknown_path_is_not_found",
        },
        "tests/game/test_catalogue.py": {
            "PAGE_TOKEN_INVALID": "test_page_token_of_elsewhere_is_refused",
            "CURRENCY_UNKNOWN": "test_game_in_an_unknown_currency_is_refused",
        },
        "tests/kit/test_server.py": {
            "INVALID_REQUEST": "test_request_that_breaks_a_rule_names_the_field",
            "CREDENTIAL_MISSING": "test_player_method_refuses_what_is_not_a_players_token",
            "CREDENTIAL_INVALID": "test_player_method_refuses_what_is_not_a_players_token",
            "TOKEN_EXPIRED": "test_player_method_refuses_what_is_not_a_players_token",
            "CALLER_NOT_ALLOWED": (
                "test_token_that_is_valid_and_names_another_kind_of_subject_is_not_allowed"
            ),
            "DEADLINE_EXCEEDED": "test_call_without_deadline_ends_at_the_default",
            "INTERNAL": "test_unexpected_exception_says_nothing",
        },
        "tests/player/test_limits.py": {
            "UNAVAILABLE": "test_limit_is_completed_by_a_repeat",
        },
        "tests/security/test_login.py": {
            "OVERLOADED": "test_logins_beyond_the_bound_are_refused_as_overload",
        },
    },
    "croupier.event.v1": {
        "tests/kit/test_feed.py": {
            "INCARNATION_CHANGED": "test_feed_refuses_cursors_that_it_cannot_continue",
        },
        "tests/kit/test_feed_pruning.py": {
            "SEQ_NOT_AVAILABLE": (
                "test_consumer_that_comes_too_late_is_refused_and_holds_nothing_back"
            ),
        },
    },
    "croupier.security.v1": {
        "tests/security/test_api_keys.py": {
            "API_KEY_NOT_FOUND": "test_unknown_key_is_not_found",
        },
        "tests/security/test_credentials.py": {
            "LOGIN_TAKEN": "test_operators_address_is_taken",
            "PASSWORD_TOO_COMMON": "test_common_password_is_refused",
        },
        "tests/security/test_login.py": {
            "LOGIN_REFUSED": "test_guesses_made_at_once_are_all_counted",
            "REFRESH_TOKEN_INVALID": "test_refresh_token_is_no_access_token",
        },
        "tests/security/test_passwords.py": {
            "PASSWORD_REFUSED": "test_wrong_old_passwords_lock_like_those_of_a_login",
        },
        "tests/security/test_recovery.py": {
            "CREDENTIAL_LOCKED": "test_codes_cannot_be_guessed_with_a_reset",
            "CREDENTIAL_NOT_FOUND": "test_unknown_subject_is_not_found",
            "PASSWORD_RESET_INVALID": "test_reset_is_good_for_one_use",
            "REQUEST_ID_REUSED": "test_request_id_is_good_for_one_content",
        },
        "tests/security/test_second_factor.py": {
            "TOTP_REQUIRED": "test_confirmed_factor_is_asked_for",
            "TOTP_REFUSED": "test_code_works_once",
            "TOTP_ALREADY_ENROLLED": "test_second_enrolment_is_refused",
            "TOTP_NOT_PENDING": "test_nothing_pending_cannot_be_confirmed",
        },
    },
    "croupier.player.v1": {
        "tests/player/test_check_play.py": {
            "PLAYER_NOT_FOUND": "test_unknown_player_is_not_found",
            "COUNTRY_NOT_ALLOWED": "test_first_refusal_that_applies_is_the_one_told",
            "IDENTITY_NOT_VERIFIED": "test_first_refusal_that_applies_is_the_one_told",
        },
        "tests/player/test_identity.py": {
            "IDENTITY_REFUSED": "test_refused_identity_is_recorded_and_may_be_tried_again",
        },
        "tests/player/test_limits.py": {
            "REQUEST_ID_REUSED": "test_request_id_with_other_content_is_refused",
            "CURRENCY_NOT_HELD": "test_limit_in_a_currency_without_wallet_is_refused",
        },
        "tests/player/test_registration.py": {
            "UNDER_AGE": "test_birthday_decides_in_utc",
            "ALREADY_REGISTERED": "test_person_or_address_with_an_account_is_refused",
        },
        "tests/player/test_restrictions.py": {
            "NOT_ACTIVE": "test_blocked_player_is_restricted_and_logged_out_before_the_answer",
            "EXCLUDED": "test_exclusion_ends_by_itself",
            "EXCLUSION_NOT_SHORTENED": "test_exclusion_is_prolonged_and_never_shortened",
        },
    },
    "croupier.game.v1": {
        "tests/game/test_catalogue.py": {
            "GAME_EXISTS": "test_game_with_other_content_is_refused",
            "PROVIDER_NOT_FOUND": "test_game_of_an_unknown_provider_is_refused",
            "PROVIDER_EXISTS": "test_provider_with_other_content_is_refused",
        },
        "tests/game/test_launches.py": {
            "GAME_NOT_FOUND": "test_unknown_game_is_refused",
            "GAME_DISABLED": "test_disabled_game_is_refused",
            "CURRENCY_NOT_OFFERED": "test_currency_that_is_not_offered_is_refused",
            "LOGIN_ENDED": "test_logout_while_the_player_is_checked_refuses_the_launch",
            "PROVIDER_UNAVAILABLE": "test_provider_that_nobody_reaches_ends_the_session",
        },
        "tests/game/test_movements.py": {
            "SESSION_ENDED": "test_ended_is_told_before_expired_and_expired_before_disabled",
            "SESSION_EXPIRED": "test_session_admits_bets_to_its_last_microsecond",
            "SESSION_NOT_FOUND": "test_token_that_was_never_given_out_is_unknown",
            "CURRENCY_MISMATCH": "test_amount_in_another_currency_is_refused",
        },
    },
    "croupier.wallet.v1": {
        "tests/wallet/payments/test_payments.py": {
            "PAYMENT_NOT_FOUND": "test_payment_of_another_player_is_not_found",
            "WEBHOOK_REFUSED": "test_webhook_whose_signature_does_not_fit_is_refused",
            "PSP_UNKNOWN": "test_unknown_psp_and_unknown_currency_are_named",
            "REQUEST_ID_REUSED": "test_same_request_id_is_the_same_payment",
            "WEBHOOK_MISMATCH": "test_report_that_fits_no_payment_moves_nothing",
        },
        "tests/wallet/payments/test_webhooks.py": {
            "WEBHOOK_MALFORMED": "test_genuine_webhook_that_is_not_as_documented_moves_nothing",
        },
        "tests/wallet/test_servicer.py": {
            "KEY_REUSED": "test_key_with_other_content_is_refused",
            "TRANSFER_NOT_FOUND": "test_unknown_player_currency_and_transfer_are_told_apart",
        },
    },
    "croupier.analytics.v1": {
        "tests/analytics/test_game_activity.py": {
            "INTERVAL_INVALID": "test_interval_that_is_empty_or_too_long_is_refused",
        },
    },
}

_PACKAGES = {
    "services.kit.errors": "croupier.type.v1",
    "services.kit.feed.errors": "croupier.event.v1",
}


def witnesses() -> dict[tuple[str, str], str]:
    """Returns the test of each reason of each package, as pytest names it."""
    named = {
        (package, f"{PREFIX}{reason}"): f"{file}::{test}"
        for package, files in SEEN_BY.items()
        for file, tests in files.items()
        for reason, test in tests.items()
    }
    outcomes = {
        ("croupier.wallet.v1", f"{PREFIX}{outcome.name}"): f"{OUTCOMES_TEST}[{outcome.name}]"
        for outcome in Outcome
        if not outcome.success
    }
    return named | outcomes


def package_of(error: type[ServiceError]) -> str:
    """Returns the proto package whose reasons an error class has."""
    module = error.__module__
    return _PACKAGES.get(module) or f"croupier.{module.split('.')[1]}.v1"


@contextmanager
def held_to_its_reasons(test: str) -> Iterator[None]:
    """Fails a test that is named above if its reasons were not sent while it ran.

    What a service passes on counts for the service that raised it, and not for this one.

    Args:
        test: As pytest names it.
    """
    promised = _REASONS_BY_TEST.get(test) or _REASONS_BY_TEST.get(test.partition("[")[0])
    if promised is None:
        yield
        return
    sent: set[tuple[str, str]] = set()

    def rendered(error: ServiceError) -> status_pb2.Status:
        if not isinstance(error, RemoteError):
            sent.add((package_of(type(error)), error.reason))
        return status_of(error)

    refusals.told_by_the_edge.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("services.kit.interceptors.errors.status_of", rendered)
        yield
    if AT_THE_EDGE[1] in refusals.told_by_the_edge:
        sent.add(AT_THE_EDGE)
    assert promised <= sent, f"{test} did not see {sorted(promised - sent)}"


def _reasons_by_test() -> dict[str, set[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = {}
    for reason, test in witnesses().items():
        found.setdefault(test, set()).add(reason)
    return found


_REASONS_BY_TEST = _reasons_by_test()
