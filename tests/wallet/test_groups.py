"""Linked groups: whole or not at all."""

from services.wallet.domain import (
    Answer,
    Bet,
    CloseRound,
    HoldId,
    Key,
    Kind,
    OpenWallet,
    Operation,
    Outcome,
    Release,
    Result,
    Reused,
)
from services.wallet.domain.planner import Unit, submission_of
from tests.wallet.passbook import OTHER, PLAYER, Passbook


def outcomes(answers: list[Answer | Reused]) -> list[str]:
    return [
        "KEY_REUSED" if isinstance(each, Reused) else each.result.outcome.name for each in answers
    ]


def results(answers: list[Answer | Reused]) -> list[Result]:
    return [each.result for each in answers if isinstance(each, Answer)]


def single(book: Passbook, operation: Operation) -> Unit:
    return Unit((submission_of(operation, book.policies),))


def test_a_bet_and_its_win_are_booked_in_order() -> None:
    book = Passbook()
    book.give(100)
    answers = book.group(
        book.bet(60, id="b", round_key="r"), book.win(90, round_key="r", reference="b")
    )
    assert outcomes(answers) == ["APPLIED", "APPLIED"]
    assert book.cash == 130
    groups = {transfer.group_no for transfer in book.transfers[-2:]}
    assert groups == {book.transfers[-2].seq}


def test_a_win_cannot_fund_the_bet_before_it() -> None:
    book = Passbook()
    book.give(50)
    answers = book.group(book.bet(60), book.win(90))
    assert outcomes(answers) == ["INSUFFICIENT_FUNDS", "LINKED_FAILED"]
    assert book.cash == 50


def test_a_refused_leg_undoes_the_legs_before_it() -> None:
    book = Passbook()
    book.give(100)
    before = book.wallet().cash.version
    answers = book.group(
        book.bet(60, round_key="r"), book.bet(30, round_key="r"), book.bet(30, round_key="r")
    )
    assert outcomes(answers) == ["LINKED_FAILED", "LINKED_FAILED", "INSUFFICIENT_FUNDS"]
    assert book.cash == 100
    assert book.wallet().cash.version == before
    assert book.loaded.rounds == {}
    refused = answers[2]
    assert isinstance(refused, Answer)
    assert refused.result.available is not None
    assert refused.result.available.cash == 100, "a refusal reports the balance before the group"


def test_a_refused_group_stays_refused() -> None:
    book = Passbook()
    legs = (book.bet(60), book.win(90))
    first = book.group(*legs)
    book.give(100)
    again = book.group(*legs)
    assert results(first) == results(again)
    assert book.cash == 100


def test_an_applied_group_is_replayed_whole() -> None:
    book = Passbook()
    book.give(100)
    legs = (book.bet(60), book.win(90))
    first, again = book.group(*legs), book.group(*legs)
    assert results(first) == results(again)
    assert all(isinstance(each, Answer) and each.replayed for each in again)
    assert book.cash == 130


def test_a_leg_that_is_known_counts_as_success_in_its_place() -> None:
    book = Passbook()
    book.give(100)
    bet = book.bet(60)
    book.apply(bet)
    assert outcomes(book.group(bet, book.win(90))) == ["APPLIED", "APPLIED"]
    assert book.cash == 130


def test_a_leg_that_was_refused_before_fails_the_group() -> None:
    book = Passbook()
    bet = book.bet(60)
    book.apply(bet)
    book.give(100)
    assert outcomes(book.group(book.win(5), bet)) == ["LINKED_FAILED", "INSUFFICIENT_FUNDS"]
    assert book.cash == 100


def test_a_leg_with_a_reused_key_fails_the_group() -> None:
    book = Passbook()
    book.give(100)
    book.apply(book.bet(60, id="b"))
    answers = book.group(book.win(5), book.bet(1, id="b"), book.win(7))
    assert outcomes(answers) == ["LINKED_FAILED", "KEY_REUSED", "LINKED_FAILED"]
    assert book.cash == 40


def test_the_same_key_twice_in_a_group_is_one_operation() -> None:
    book = Passbook()
    book.give(100)
    bet = book.bet(60)
    assert outcomes(book.group(bet, bet)) == ["APPLIED", "APPLIED"]
    assert book.cash == 40


def test_a_rollback_of_a_leg_of_its_own_group_is_undone_with_it() -> None:
    book = Passbook()
    book.give(100)
    answers = book.group(book.bet(60, id="b"), book.rollback("b"), book.bet(101))
    assert outcomes(answers) == ["LINKED_FAILED", "LINKED_FAILED", "INSUFFICIENT_FUNDS"]
    assert book.loaded.reversals in ({}, {book.transfers[-3].seq: []})
    assert book.apply(book.rollback("b")).outcome is Outcome.NOTHING_TO_REVERSE
    assert book.cash == 100


def test_a_refused_leg_refers_to_what_is_stored() -> None:
    book = Passbook()
    book.give(100)
    answers = book.group(
        book.bet(60, id="b"), book.rollback("b"), book.win(9, id="w", reference="b")
    )
    assert outcomes(answers) == ["LINKED_FAILED", "LINKED_FAILED", "REFERENCE_REVERSED"]
    [bet] = [transfer for transfer in book.transfers if transfer.key == b"\x02b"]
    [win] = [transfer for transfer in book.transfers if transfer.key == b"\x02w"]
    assert win.original_seq == bet.seq


def test_an_undone_rollback_leaves_no_tombstone_and_a_refused_one_does() -> None:
    book = Passbook()
    book.give(100)
    assert outcomes(book.group(book.rollback("x"), book.bet(101))) == [
        "LINKED_FAILED",
        "INSUFFICIENT_FUNDS",
    ]
    assert book.apply(book.bet(1, id="x")).outcome is Outcome.APPLIED
    assert [each.kind for each in book.transfers].count(Kind.TOMBSTONE) == 0


def test_a_group_that_opens_a_wallet_closes_it_again_when_it_fails() -> None:
    book = Passbook()
    opened = OpenWallet(key=book.key(), player_id=OTHER, currency_code="EUR")
    answers = book.group(opened, book.bet(1, player_id=OTHER))
    assert outcomes(answers) == ["LINKED_FAILED", "INSUFFICIENT_FUNDS"]
    assert OTHER not in book.loaded.players
    assert book.apply(book.bet(1, player_id=OTHER)).outcome is Outcome.PLAYER_NOT_FOUND


def test_seqs_stay_dense_whatever_was_undone() -> None:
    book = Passbook()
    book.give(100)
    book.group(book.bet(60), book.bet(60))
    book.group(book.rollback("x"), book.bet(999))
    book.group(book.bet(1), book.bet(2))
    assert [each.seq for each in book.transfers] == list(range(1, len(book.transfers) + 1))


def test_earlier_operations_of_a_batch_count_as_known() -> None:
    book = Passbook()
    book.give(100)
    bet = book.bet(60, id="b")
    answers = book.batch(
        single(book, bet),
        single(book, bet),
        single(book, book.rollback("b")),
        single(book, book.rollback("c")),
        single(book, book.bet(1, id="c")),
        single(book, Bet(key=book.key("b"), player_id=PLAYER, currency_code="EUR", amount=61)),
    )
    assert [outcomes(each)[0] for each in answers] == [
        "APPLIED",
        "APPLIED",
        "APPLIED",
        "NOTHING_TO_REVERSE",
        "TOMBSTONED",
        "KEY_REUSED",
    ]
    assert book.cash == 100


def test_a_leg_never_tells_the_balance_of_another_tenants_player() -> None:
    book = Passbook()
    book.give(100)
    # The front door refuses such a group; the planner tells nothing of it all the same.
    unknown = Release(key=book.key(), player_id=PLAYER, hold_id=HoldId(bytes(16)))
    foreign = CloseRound(
        key=Key("u", "studio", "c"), player_id=PLAYER, currency_code="EUR", round_key="r"
    )
    first, second = results(book.group(unknown, foreign))
    assert (first.outcome, second.outcome) == (Outcome.HOLD_NOT_FOUND, Outcome.LINKED_FAILED)
    assert second.available is None
