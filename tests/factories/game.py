"""Requests to the Game service, with defaults that each test overrides where it matters."""

from typing import Any
from uuid import uuid4

from croupier.game.v1 import game_service_pb2, provider_service_pb2
from croupier.type.v1 import money_pb2

PLAYER_ID = "0198c0de-0000-7000-8000-000000000001"
OTHER_PLAYER_ID = "0198c0de-0000-7000-8000-000000000002"
PROVIDER_ID = "acme"
GAME_ID = "plinko"


def euros(minor_units: int) -> money_pb2.Money:
    return money_pb2.Money(currency_code="EUR", minor_units=minor_units)


def provider(**changes: Any) -> game_service_pb2.CreateProviderRequest:
    return game_service_pb2.CreateProviderRequest(
        **{
            "provider_id": PROVIDER_ID,
            "display_name": "Acme Games",
            "launch_address": "127.0.0.1:9",
            **changes,
        }
    )


def game(**changes: Any) -> game_service_pb2.CreateGameRequest:
    return game_service_pb2.CreateGameRequest(
        **{
            "provider_id": PROVIDER_ID,
            "game_id": GAME_ID,
            "display_name": "Plinko",
            "currency_codes": ["EUR", "USD"],
            "wager_weight_bp": 5000,
            **changes,
        }
    )


def launch(**changes: Any) -> game_service_pb2.LaunchGameRequest:
    return game_service_pb2.LaunchGameRequest(
        **{"game_id": GAME_ID, "currency_code": "EUR", **changes}
    )


def bet(session_token: str, **changes: Any) -> provider_service_pb2.PlaceBetRequest:
    return provider_service_pb2.PlaceBetRequest(
        **{
            "session_token": session_token,
            "transaction_id": str(uuid4()),
            "round_id": "r-1",
            "amount": euros(100),
            **changes,
        }
    )


def win(session_token: str, **changes: Any) -> provider_service_pb2.PayWinRequest:
    return provider_service_pb2.PayWinRequest(
        **{
            "session_token": session_token,
            "transaction_id": str(uuid4()),
            "round_id": "r-1",
            "amount": euros(250),
            **changes,
        }
    )


def settled_bet(session_token: str, **changes: Any) -> provider_service_pb2.PlaceAndSettleRequest:
    return provider_service_pb2.PlaceAndSettleRequest(
        **{
            "session_token": session_token,
            "bet_transaction_id": str(uuid4()),
            "win_transaction_id": str(uuid4()),
            "round_id": "r-1",
            "bet_amount": euros(100),
            "win_amount": euros(250),
            **changes,
        }
    )


def rollback(
    session_token: str, original_transaction_id: str, **changes: Any
) -> provider_service_pb2.RollBackRequest:
    return provider_service_pb2.RollBackRequest(
        **{
            "session_token": session_token,
            "transaction_id": str(uuid4()),
            "original_transaction_id": original_transaction_id,
            "round_id": "r-1",
            **changes,
        }
    )


def round_end(session_token: str, **changes: Any) -> provider_service_pb2.EndRoundRequest:
    return provider_service_pb2.EndRoundRequest(
        **{
            "session_token": session_token,
            "transaction_id": str(uuid4()),
            "round_id": "r-1",
            **changes,
        }
    )
