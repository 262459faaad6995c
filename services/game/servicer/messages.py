"""Domain values as messages of the contract, and back."""

from croupier.game.v1 import game_pb2
from croupier.type.v1 import money_pb2

from services.game.domain import (
    Game,
    GameSession,
    Movement,
    Provider,
    Round,
    RoundState,
    SessionState,
)
from services.kit.clock import to_timestamp
from services.kit.money import Money

_SESSION_STATES = {
    SessionState.OPEN: game_pb2.GameSession.STATE_OPEN,
    SessionState.ENDED: game_pb2.GameSession.STATE_ENDED,
}
_ROUND_STATES = {
    RoundState.IN_PROGRESS: game_pb2.Round.STATE_IN_PROGRESS,
    RoundState.COMPLETE: game_pb2.Round.STATE_COMPLETE,
    RoundState.CANCELLED: game_pb2.Round.STATE_CANCELLED,
}


def money_of(message: money_pb2.Money) -> Money:
    """Reads an amount."""
    return Money(message.currency_code, message.minor_units)


def money_message(money: Money) -> money_pb2.Money:
    """Renders an amount."""
    return money_pb2.Money(currency_code=money.currency_code, minor_units=money.minor_units)


def provider_message(provider: Provider) -> game_pb2.Provider:
    """Renders a provider."""
    return game_pb2.Provider(
        provider_id=provider.provider_id,
        display_name=provider.display_name,
        launch_address=provider.launch_address,
        create_time=to_timestamp(provider.create_time),
    )


def game_message(game: Game) -> game_pb2.Game:
    """Renders a game."""
    return game_pb2.Game(
        game_id=game.game_id,
        provider_id=game.provider_id,
        display_name=game.display_name,
        currency_codes=game.currency_codes,
        disabled=game.disabled,
        wager_weight_bp=game.wager_weight_bp,
        create_time=to_timestamp(game.create_time),
    )


def session_message(session: GameSession) -> game_pb2.GameSession:
    """Renders a game session."""
    return game_pb2.GameSession(
        game_session_id=session.game_session_id,
        player_id=session.player_id,
        game_id=session.game_id,
        provider_id=session.provider_id,
        currency_code=session.currency_code,
        state=_SESSION_STATES[session.state],
        create_time=to_timestamp(session.create_time),
        expire_time=to_timestamp(session.expire_time),
    )


def movement_message(movement: Movement) -> game_pb2.Movement:
    """Renders a movement."""
    return game_pb2.Movement(
        seq=movement.seq,
        balance=money_message(movement.balance),
        outcome=movement.outcome,
        create_time=to_timestamp(movement.create_time),
    )


def round_message(round_: Round) -> game_pb2.Round:
    """Renders a round."""
    return game_pb2.Round(
        round_id=round_.round_id,
        provider_round_id=round_.key.provider_round_id,
        provider_id=round_.key.provider_id,
        game_id=round_.game_id,
        state=_ROUND_STATES[round_.state],
        staked=money_message(Money(round_.currency_code, round_.staked_minor_units)),
        won=money_message(Money(round_.currency_code, round_.won_minor_units)),
        bet_count=round_.bet_count,
        start_time=to_timestamp(round_.start_time),
        end_time=None if round_.end_time is None else to_timestamp(round_.end_time),
    )
