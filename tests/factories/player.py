"""Requests of Player with sane defaults; a test names what matters to it."""

from typing import Any
from uuid import uuid4

from croupier.player.v1 import player_service_pb2

PASSWORD = "correct horse battery staple"


def registration(**changes: Any) -> player_service_pb2.RegisterPlayerRequest:
    """A registration of somebody new, in Germany, of age."""
    unique = uuid4().hex
    letters = unique.translate(str.maketrans("0123456789", "ghijklmnop"))
    return player_service_pb2.RegisterPlayerRequest(
        **{
            "request_id": str(uuid4()),
            "email": f"{unique}@example.com",
            "password": PASSWORD,
            "given_name": "Erika",
            "family_name": f"Mustermann {letters}",
            "date_of_birth": "1990-08-12",
            "country_code": "DE",
            "postal_address": "Heidestraße 17, 51147 Köln",
            "currency_code": "EUR",
            "terms_accepted": True,
            **changes,
        }
    )


def changed(
    request: player_service_pb2.RegisterPlayerRequest, **changes: Any
) -> player_service_pb2.RegisterPlayerRequest:
    """The same registration with some fields changed."""
    copy = player_service_pb2.RegisterPlayerRequest()
    copy.CopyFrom(request)
    for name, value in changes.items():
        setattr(copy, name, value)
    return copy
