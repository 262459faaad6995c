import json
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from services.kit import tokens


class TokenIssuer:
    """Signs access tokens as Security does, with a key of its own."""

    def __init__(self, key_id: str = "test-key") -> None:
        self.key_id = key_id
        self.key = ec.generate_private_key(ec.SECP256R1())

    async def fetch_keys(self) -> Mapping[str, Any]:
        public = jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key())
        return {
            "keys": [
                {**json.loads(public), "kid": self.key_id, "use": "sig", "alg": tokens.ALGORITHM}
            ]
        }

    def sign(self, **claims: Any) -> str:
        now = int(time.time())
        merged = {
            "iss": tokens.ISSUER,
            "aud": tokens.AUDIENCE,
            "iat": now,
            "exp": now + 3_600,
            "sid": str(uuid4()),
            **claims,
        }
        return jwt.encode(
            merged, self.key, algorithm=tokens.ALGORITHM, headers={"kid": self.key_id}
        )

    def player(self, player_id: str, **claims: Any) -> tuple[tuple[str, str], ...]:
        """Returns the metadata of a call by a player."""
        token = self.sign(sub=player_id, kind=tokens.KIND_PLAYER, **claims)
        return (("authorization", f"Bearer {token}"),)

    def operator(self, *roles: str, **claims: Any) -> tuple[tuple[str, str], ...]:
        """Returns the metadata of a call by an operator."""
        token = self.sign(
            **{"sub": str(uuid4()), "kind": tokens.KIND_OPERATOR, "roles": list(roles), **claims}
        )
        return (("authorization", f"Bearer {token}"),)
