"""Providers, games, game sessions, movements and rounds, and the rules about them."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Generic, NewType, TypeVar

from services.game.errors import (
    CurrencyMismatchError,
    CurrencyNotOfferedError,
    GameDisabledError,
    SessionEndedError,
    SessionExpiredError,
)
from services.kit.errors import InvalidRequestError
from services.kit.ids import new_id
from services.kit.money import Money

ProviderId = NewType("ProviderId", str)
GameId = NewType("GameId", str)
PlayerId = NewType("PlayerId", str)
LoginSessionId = NewType("LoginSessionId", str)
GameSessionId = NewType("GameSessionId", str)
RoundId = NewType("RoundId", str)
ProviderRoundId = NewType("ProviderRoundId", str)
"""The provider's id of a round; unique for one provider and player."""
TransactionId = NewType("TransactionId", str)
"""The provider's id of a movement."""
SessionToken = NewType("SessionToken", str)
TokenHash = NewType("TokenHash", bytes)

_TOKEN_BYTES = 32
# A provider's certificate carries its id, and a certificate with one of these names is that
# service's everywhere in the mesh.
_RESERVED_NAMES = frozenset({"analytics", "edge", "game", "player", "security", "trace", "wallet"})

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class Page(Generic[ItemT]):
    """Some items of a list, and the token of the next page; empty on the last."""

    items: Sequence[ItemT]
    next_page_token: str


# The catalogue.


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A company that runs games."""

    provider_id: ProviderId
    display_name: str
    launch_address: str
    create_time: datetime

    def same_content(self, other: "Provider") -> bool:
        """Tells whether both say the same, no matter when."""
        return replace(self, create_time=other.create_time) == other


@dataclass(frozen=True, slots=True, kw_only=True)
class Game:
    """A game in the catalogue."""

    game_id: GameId
    provider_id: ProviderId
    display_name: str
    currency_codes: tuple[str, ...]
    """In alphabetical order."""
    wager_weight_bp: int
    disabled: bool
    create_time: datetime

    def same_content(self, other: "Game") -> bool:
        """Tells whether both were added with the same content; being disabled is no part of it."""
        return replace(self, create_time=other.create_time, disabled=other.disabled) == other


def check_provider_id(provider_id: ProviderId) -> None:
    """Refuses the names of Croupier's own services.

    Raises:
        InvalidRequestError: It is one.
    """
    if provider_id in _RESERVED_NAMES:
        raise InvalidRequestError({"provider_id": "must not be the name of a Croupier service"})


def check_launch(game: Game, *, currency_code: str) -> None:
    """Decides whether a game may be launched in a currency.

    Raises:
        GameDisabledError: An operator disabled it.
        CurrencyNotOfferedError: It is not played in this currency.
    """
    if game.disabled:
        raise GameDisabledError(game_id=game.game_id)
    if currency_code not in game.currency_codes:
        raise CurrencyNotOfferedError(game_id=game.game_id, currency_code=currency_code)


# Game sessions.


class SessionState(StrEnum):
    """Whether a game session admits bets until it expires."""

    OPEN = "open"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class GameSession:
    """A player at a game."""

    game_session_id: GameSessionId
    player_id: PlayerId
    game_id: GameId
    provider_id: ProviderId
    currency_code: str
    login_session_id: LoginSessionId
    state: SessionState
    create_time: datetime
    expire_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """What a movement in a session needs to know: the session, and its game as it is now."""

    session: GameSession
    game_disabled: bool
    wager_weight_bp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayerSummary:
    """What a provider may know of a player."""

    player_id: PlayerId
    country_code: str
    currency_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a player asks for."""

    player_id: PlayerId
    login_session_id: LoginSessionId
    game_id: GameId
    currency_code: str
    locale: str
    return_url: str


def new_session_token() -> SessionToken:
    """Makes a token of 256 random bits, in characters that fit into a URL."""
    return SessionToken(secrets.token_urlsafe(_TOKEN_BYTES))


def token_hash(token: SessionToken) -> TokenHash:
    """Returns what is stored of a token, which is random enough to need no salt."""
    return TokenHash(hashlib.sha256(token.encode()).digest())


def open_session(launch: Launch, game: Game, *, now: datetime, life: timedelta) -> GameSession:
    """Makes the session that a launch asks for."""
    return GameSession(
        game_session_id=GameSessionId(new_id()),
        player_id=launch.player_id,
        game_id=game.game_id,
        provider_id=game.provider_id,
        currency_code=launch.currency_code,
        login_session_id=launch.login_session_id,
        state=SessionState.OPEN,
        create_time=now,
        expire_time=now + life,
    )


def check_open(session: GameSession, *, now: datetime) -> None:
    """Decides whether a session is still one to play in.

    Raises:
        SessionEndedError: A logout or another launch ended it.
        SessionExpiredError: It is too old.
    """
    if session.state is SessionState.ENDED:
        raise SessionEndedError
    if session.expire_time <= now:
        raise SessionExpiredError(expire_time=session.expire_time)


def check_bet(play: Play, *, now: datetime) -> None:
    """Decides whether a session admits a new bet.

    Raises:
        SessionEndedError: A logout or another launch ended it.
        SessionExpiredError: It is too old.
        GameDisabledError: An operator disabled its game.
    """
    check_open(play.session, now=now)
    if play.game_disabled:
        raise GameDisabledError(game_id=play.session.game_id)


def check_currency(session: GameSession, amount: Money) -> None:
    """Refuses an amount that is not in the session's currency.

    Raises:
        CurrencyMismatchError: It is in another one.
    """
    if amount.currency_code != session.currency_code:
        raise CurrencyMismatchError(
            currency_code=amount.currency_code, session_currency_code=session.currency_code
        )


# Movements.


@dataclass(frozen=True, slots=True, kw_only=True)
class Bet:
    """A stake, as a provider asks for it."""

    transaction_id: TransactionId
    provider_round_id: ProviderRoundId
    amount: Money
    end_round: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Win:
    """A win, as a provider pays it."""

    transaction_id: TransactionId
    provider_round_id: ProviderRoundId
    amount: Money
    bet_transaction_id: TransactionId
    """Empty if the provider names no single bet."""
    end_round: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledBet:
    """A stake with its win, as a provider tells both in one."""

    bet_transaction_id: TransactionId
    win_transaction_id: TransactionId
    provider_round_id: ProviderRoundId
    bet_amount: Money
    win_amount: Money
    end_round: bool


class MovementKind(StrEnum):
    """What an original is, for providers that use one id for a bet and its win."""

    BET = "bet"
    WIN = "win"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """The reversal of a bet or a win, as a provider asks for it."""

    transaction_id: TransactionId
    original_transaction_id: TransactionId
    original_kind: MovementKind | None
    provider_round_id: ProviderRoundId
    amount: Money | None
    """None takes back all that is left."""
    end_round: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundEnd:
    """The end of a round, as a provider tells it."""

    transaction_id: TransactionId
    provider_round_id: ProviderRoundId


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """The ledger's record of what a provider asked for."""

    seq: int
    outcome: str
    """The wallet's name of it, such as `APPLIED`."""
    balance: Money
    """What the player could bet right after it."""
    create_time: datetime
    replayed: bool
    """Whether it was recorded by an earlier call with the same id."""


# Rounds.


class RoundState(StrEnum):
    """How far a round is (GLI-19 2.8.2)."""

    IN_PROGRESS = "in_progress"
    COMPLETE = "complete"
    CANCELLED = "cancelled"


class StepKind(StrEnum):
    """What a transfer is in its round."""

    BET = "bet"
    WIN = "win"
    BET_ROLLBACK = "bet_rollback"
    BET_PART_ROLLBACK = "bet_part_rollback"
    """Something of the bet is left."""
    WIN_ROLLBACK = "win_rollback"
    CLOSE = "close"
    """It moves nothing: the round was closed, or a rollback found nothing to reverse."""


@dataclass(frozen=True, slots=True)
class RoundKey:
    """What names a round: players of a live table share the provider's id of one."""

    provider_id: ProviderId
    player_id: PlayerId
    provider_round_id: ProviderRoundId


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One accepted transfer of the ledger, as far as it concerns a round."""

    key: RoundKey
    kind: StepKind
    seq: int
    game_id: GameId
    change: Money
    """What was really moved from or to the player, cash and bonus: negative for a stake."""
    closed: bool
    """Whether the ledger takes no more bets in the round after it."""
    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One cycle of a game, as the steps so far make it."""

    round_id: RoundId
    key: RoundKey
    game_id: GameId
    currency_code: str
    staked_minor_units: int
    won_minor_units: int
    bet_count: int
    reversed_bet_count: int
    closed: bool
    start_seq: int
    start_time: datetime
    end_time: datetime | None

    @property
    def state(self) -> RoundState:
        """How far it is: a function of its bets and of whether it is closed, of nothing else."""
        if self.bet_count and self.bet_count == self.reversed_bet_count:
            return RoundState.CANCELLED
        return RoundState.COMPLETE if self.closed else RoundState.IN_PROGRESS

    def after(self, step: Step) -> "Round":
        """Returns the round as `step` leaves it."""
        moved = step.change.minor_units
        stakes = step.kind in _ON_STAKES
        wins = step.kind in (StepKind.WIN, StepKind.WIN_ROLLBACK)
        changed = replace(
            self,
            staked_minor_units=self.staked_minor_units - (moved if stakes else 0),
            won_minor_units=self.won_minor_units + (moved if wins else 0),
            bet_count=self.bet_count + (step.kind is StepKind.BET),
            reversed_bet_count=self.reversed_bet_count + (step.kind is StepKind.BET_ROLLBACK),
            closed=self.closed or step.closed,
        )
        if changed.state is RoundState.IN_PROGRESS:
            # A cancelled round that was not closed goes on with its next bet.
            return replace(changed, end_time=None)
        return changed if changed.end_time is not None else replace(changed, end_time=step.time)


_ON_STAKES = frozenset({StepKind.BET, StepKind.BET_ROLLBACK, StepKind.BET_PART_ROLLBACK})


def begin_round(step: Step) -> Round:
    """Makes the round of which `step` is the first."""
    return Round(
        round_id=RoundId(new_id()),
        key=step.key,
        game_id=step.game_id,
        currency_code=step.change.currency_code,
        staked_minor_units=0,
        won_minor_units=0,
        bet_count=0,
        reversed_bet_count=0,
        closed=False,
        start_seq=step.seq,
        start_time=step.time,
        end_time=None,
    ).after(step)
