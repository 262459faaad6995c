"""Rounds as tables: what happens from top to bottom, and how the round looks after each line."""

from datetime import UTC, datetime, timedelta

import pytest

from services.game.domain import (
    GameId,
    PlayerId,
    ProviderId,
    ProviderRoundId,
    Round,
    RoundKey,
    RoundState,
    Step,
    StepKind,
    begin_round,
    new_session_token,
    token_hash,
)
from services.kit.money import Money
from tests.factories.game import PLAYER_ID

START = datetime(2027, 1, 15, 12, 0, tzinfo=UTC)
KEY = RoundKey(ProviderId("acme"), PlayerId(PLAYER_ID), ProviderRoundId("r-1"))
KINDS = {
    "bet": StepKind.BET,
    "win": StepKind.WIN,
    "bet back": StepKind.BET_ROLLBACK,
    "bet part back": StepKind.BET_PART_ROLLBACK,
    "win back": StepKind.WIN_ROLLBACK,
    "close": StepKind.CLOSE,
}

# Step, change, closed after it | staked, won, state, line of the end (0: none).
Line = tuple[str, int, bool, int, int, RoundState, int]
IN_PROGRESS, COMPLETE, CANCELLED = RoundState
STORIES: dict[str, list[Line]] = {
    "a bet, a win and the end": [
        ("bet", -100, False, 100, 0, IN_PROGRESS, 0),
        ("win", 250, False, 100, 250, IN_PROGRESS, 0),
        ("close", 0, True, 100, 250, COMPLETE, 3),
    ],
    "a bet that ends its round": [("bet", -100, True, 100, 0, COMPLETE, 1)],
    "a win that ends its round": [
        ("bet", -100, False, 100, 0, IN_PROGRESS, 0),
        ("win", 0, True, 100, 0, COMPLETE, 2),
    ],
    "a late win": [
        ("bet", -100, True, 100, 0, COMPLETE, 1),
        ("win", 900, True, 100, 900, COMPLETE, 1),
    ],
    "a bet taken back": [
        ("bet", -100, False, 100, 0, IN_PROGRESS, 0),
        ("bet back", 100, False, 0, 0, CANCELLED, 2),
        ("close", 0, True, 0, 0, CANCELLED, 2),
    ],
    "one bet of two taken back": [
        ("bet", -100, False, 100, 0, IN_PROGRESS, 0),
        ("bet", -40, False, 140, 0, IN_PROGRESS, 0),
        ("bet back", 100, False, 40, 0, IN_PROGRESS, 0),
        ("close", 0, True, 40, 0, COMPLETE, 4),
    ],
    "a bet taken back in parts": [
        ("bet", -100, False, 100, 0, IN_PROGRESS, 0),
        ("bet part back", 30, False, 70, 0, IN_PROGRESS, 0),
        ("bet part back", 20, False, 50, 0, IN_PROGRESS, 0),
        ("bet back", 50, False, 0, 0, CANCELLED, 4),
    ],
    "a part of a bet taken back before the end": [
        ("bet", -100, False, 100, 0, IN_PROGRESS, 0),
        ("bet part back", 30, False, 70, 0, IN_PROGRESS, 0),
        ("close", 0, True, 70, 0, COMPLETE, 3),
        ("bet part back", 10, True, 60, 0, COMPLETE, 3),
    ],
    "a bet after a cancelled one goes on": [
        ("bet", -100, False, 100, 0, IN_PROGRESS, 0),
        ("bet back", 100, False, 0, 0, CANCELLED, 2),
        ("bet", -30, False, 30, 0, IN_PROGRESS, 0),
        ("win", 60, True, 30, 60, COMPLETE, 4),
    ],
    "a settled bet taken back": [
        ("bet", -100, False, 100, 0, IN_PROGRESS, 0),
        ("win", 50, True, 100, 50, COMPLETE, 2),
        ("bet back", 100, True, 0, 50, CANCELLED, 2),
    ],
    "a win taken back": [
        ("bet", -100, False, 100, 0, IN_PROGRESS, 0),
        ("win", 250, False, 100, 250, IN_PROGRESS, 0),
        ("win back", -250, False, 100, 0, IN_PROGRESS, 0),
    ],
    "a win of which half was spent, taken back": [
        ("bet", -100, False, 100, 0, IN_PROGRESS, 0),
        ("win", 250, False, 100, 250, IN_PROGRESS, 0),
        ("win back", -125, True, 100, 125, COMPLETE, 3),
    ],
    "a free round": [
        ("bet", 0, False, 0, 0, IN_PROGRESS, 0),
        ("win", 70, True, 0, 70, COMPLETE, 2),
    ],
    "a free round taken back": [
        ("bet", 0, False, 0, 0, IN_PROGRESS, 0),
        ("bet back", 0, False, 0, 0, CANCELLED, 2),
    ],
    "a win without a bet": [
        ("win", 70, False, 0, 70, IN_PROGRESS, 0),
        ("close", 0, True, 0, 70, COMPLETE, 2),
    ],
    "the end of a round in which nothing happened": [("close", 0, True, 0, 0, COMPLETE, 1)],
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_round_after_each_step(story: list[Line]) -> None:
    round_: Round | None = None
    for number, (kind, change, closed, staked, won, state, end) in enumerate(story, start=1):
        step = Step(
            key=KEY,
            kind=KINDS[kind],
            seq=40 + number,
            game_id=GameId("plinko"),
            change=Money("EUR", change),
            closed=closed,
            time=START + timedelta(seconds=number),
        )
        round_ = begin_round(step) if round_ is None else round_.after(step)
        assert (round_.staked_minor_units, round_.won_minor_units) == (staked, won), number
        assert round_.state is state, number
        expected = START + timedelta(seconds=end) if end else None
        assert round_.end_time == expected, number
    assert round_ is not None
    assert (round_.start_seq, round_.start_time) == (41, START + timedelta(seconds=1))
    assert round_.bet_count == sum(kind == "bet" for kind, *_ in story)


def test_session_tokens_differ_and_their_hashes_too() -> None:
    tokens = {new_session_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert len({token_hash(token) for token in tokens}) == 1000
