"""Requests and settings of Security, with sane defaults."""

import base64
from pathlib import Path
from typing import Any
from uuid import uuid4

from croupier.security.v1 import security_service_pb2

from services.kit.tls import Identity
from services.security.settings import Settings

EMAIL = "ada@players.example"
PASSWORD = "violet kettle 92"
OPERATOR_EMAIL = "grace@casino.example"
OPERATOR_PASSWORD = "amber lantern 47"
CLIENT_ADDRESS = "203.0.113.7"
FROM_CLIENT = (("x-envoy-external-address", CLIENT_ADDRESS),)
KEY_ENCRYPTION_KEY = bytes(range(32))


def settings(identity: Identity, *, database_url: str, folder: Path, **changes: Any) -> Settings:
    key_file = folder / "key-encryption-key"
    if not key_file.exists():
        key_file.write_text(base64.b64encode(KEY_ENCRYPTION_KEY).decode())
    return Settings(
        **{
            "tls_certificate": identity.certificate,
            "tls_key": identity.key,
            "tls_authority": identity.authority,
            "traces_endpoint": "",
            "database_url": database_url,
            "key_encryption_key_file": key_file,
            # As weak as Argon2id can be: what is tested is what it is used for.
            "password_hash_memory_kib": 8,
            "password_hash_passes": 1,
            # Nothing happens without a caller, but where a test is about that.
            "upkeep_every": "PT1H",
            **changes,
        }
    )


def create_credential(
    player_id: str | None = None, *, email: str = EMAIL, password: str = PASSWORD
) -> security_service_pb2.CreateCredentialRequest:
    return security_service_pb2.CreateCredentialRequest(
        player_id=player_id or str(uuid4()), email=email, password=password
    )


def login(
    email: str = EMAIL, password: str = PASSWORD, totp_code: str = ""
) -> security_service_pb2.LoginRequest:
    return security_service_pb2.LoginRequest(email=email, password=password, totp_code=totp_code)


def refresh(token: str) -> security_service_pb2.RefreshTokenRequest:
    return security_service_pb2.RefreshTokenRequest(refresh_token=token)


def bearer(access_token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {access_token}"),)
