"""Access tokens: JWTs (RFC 7519) signed with ECDSA on P-256."""

import base64
from dataclasses import dataclass, field

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.kit import tokens
from services.security.domain.credentials import Credential, SubjectKind
from services.security.domain.sessions import LoginSessionId, Span

_COORDINATE_BYTES = 32
_KINDS = {
    SubjectKind.PLAYER: tokens.KIND_PLAYER,
    SubjectKind.OPERATOR: tokens.KIND_OPERATOR,
}


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A new signing key, before it is sealed."""

    private_key: bytes = field(repr=False)
    """PKCS #8, DER."""
    x: str
    y: str


def new_key_pair() -> KeyPair:
    """Makes a key pair on P-256."""
    private_key = ec.generate_private_key(ec.SECP256R1())
    point = private_key.public_key().public_numbers()
    return KeyPair(
        private_key=private_key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        x=_coordinate(point.x),
        y=_coordinate(point.y),
    )


class Signer:
    """Signs with one private key."""

    def __init__(self, signing_key_id: str, private_key: bytes) -> None:
        """Takes the key's id and the key as in `KeyPair`."""
        loaded = serialization.load_der_private_key(private_key, password=None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise TypeError(f"signing key {signing_key_id} is not an EC key")
        self._signing_key_id = signing_key_id
        self._private_key = loaded

    def sign(self, credential: Credential, *, login_session_id: LoginSessionId, span: Span) -> str:
        """Makes the access token of a login session."""
        claims: dict[str, object] = {
            "iss": tokens.ISSUER,
            "aud": tokens.AUDIENCE,
            "sub": credential.subject_id,
            "sid": login_session_id,
            "kind": _KINDS[credential.kind],
            "roles": sorted(credential.roles),
            "iat": int(span.issue_time.timestamp()),
            "exp": int(span.access_expire_time.timestamp()),
        }
        return jwt.encode(
            claims,
            self._private_key,
            algorithm=tokens.ALGORITHM,
            headers={"kid": self._signing_key_id},
        )


def _coordinate(number: int) -> str:
    # Fixed width (RFC 7518 6.2.1.2): leading zeros belong to it.
    raw = number.to_bytes(_COORDINATE_BYTES, "big")
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
