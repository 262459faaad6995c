"""What is secret is neither in the store nor in the logs."""

import contextlib
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pyotp
import pytest
import structlog
from croupier.security.v1 import security_service_pb2
from sqlalchemy import select, text

from services.kit import logs
from services.security.tables import METADATA
from tests.factories.security import (
    EMAIL,
    OPERATOR_PASSWORD,
    PASSWORD,
    bearer,
    login,
    refresh,
)
from tests.kit.refusals import told
from tests.security.doubles import LoggedIn, Security


async def use_everything(security: Security) -> list[str]:
    """Makes one of each secret, and returns them."""
    player = await security.player()
    operator = await security.operator()
    change = security_service_pb2.ChangePasswordRequest(
        old_password=PASSWORD, new_password="copper window 61"
    )
    await security.edge.ChangePassword(change, metadata=player.metadata)
    reset = security_service_pb2.CreatePasswordResetRequest(
        subject_id=player.player_id, reason="seen in person"
    )
    used = (await security.edge.CreatePasswordReset(reset, metadata=operator)).reset_token
    await security.edge.ResetPassword(
        security_service_pb2.ResetPasswordRequest(reset_token=used, new_password=PASSWORD)
    )
    open_reset = (await security.edge.CreatePasswordReset(reset, metadata=operator)).reset_token
    player = LoggedIn(player.player_id, EMAIL, (await security.login()).tokens)
    refreshed = await security.edge.RefreshToken(refresh(player.tokens.refresh_token))
    metadata = bearer(refreshed.tokens.access_token)
    enrolled = await security.edge.EnrollTotp(
        security_service_pb2.EnrollTotpRequest(), metadata=metadata
    )
    code = pyotp.TOTP(enrolled.secret).at(security.clock.now())
    await security.edge.ConfirmTotp(
        security_service_pb2.ConfirmTotpRequest(totp_code=code), metadata=metadata
    )
    created = await security.edge.CreateApiKey(
        security_service_pb2.CreateApiKeyRequest(provider_id="acme"),
        metadata=operator,
    )
    await told(security.login(EMAIL, "a wrong password"))
    await told(security.login(EMAIL, PASSWORD, "000000"))
    await told(security.edge.RefreshToken(refresh(player.tokens.refresh_token)))
    return [
        PASSWORD,
        OPERATOR_PASSWORD,
        "a wrong password",
        "copper window 61",
        used,
        open_reset,
        player.tokens.access_token,
        player.tokens.refresh_token,
        refreshed.tokens.access_token,
        refreshed.tokens.refresh_token,
        enrolled.secret,
        created.secret,
        created.secret[40:],
    ]


async def stored_bytes(security: Security) -> bytes:
    """Returns all that the store holds: every row, and on SQLite the files themselves."""
    found = b""
    async with security.database.snapshot() as connection:
        for table in METADATA.sorted_tables:
            for row in await connection.execute(select(table)):
                found += b"\n".join(
                    value if isinstance(value, bytes) else str(value).encode() for value in row
                )
    if security.database.is_sqlite:
        path = Path(security.database.url.database or "")
        for file in path.parent.glob(f"{path.name}*"):
            found += file.read_bytes()
    return found


async def test_store_holds_no_secret(security: Security) -> None:
    secrets = await use_everything(security)
    found = await stored_bytes(security)
    assert EMAIL.encode() in found
    for secret in secrets:
        assert secret.encode() not in found
    # Nor the private halves of signing keys: a PKCS #8 key on P-256 says so in its first bytes.
    assert b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07" not in found
    assert b"PRIVATE KEY" not in found


@pytest.fixture
def printed_logs() -> Iterator[Callable[[], str]]:
    """Sets logging up as a server does, and returns what was logged."""
    before, handlers = structlog.get_config(), logging.root.handlers[:]
    printed = io.StringIO()
    with contextlib.redirect_stderr(printed):
        logs.configure(service="security", level="debug")
    yield printed.getvalue
    structlog.configure(**before)
    logging.root.handlers[:] = handlers


async def test_logs_tell_no_secret(security: Security, printed_logs: Callable[[], str]) -> None:
    secrets = await use_everything(security)
    printed = printed_logs()
    assert "api key created" in printed
    for secret in (*secrets, EMAIL):
        assert secret not in printed


async def test_fault_during_a_login_tells_no_secret(
    security: Security, printed_logs: Callable[[], str]
) -> None:
    await security.register()
    async with security.database.transaction() as connection:
        await connection.execute(text("DROP TABLE login_failure"))
    refusal = await told(security.login())
    assert (refusal.code.name, refusal.reason) == ("INTERNAL", "INTERNAL")
    printed = printed_logs()
    assert "call failed" in printed
    assert "login_failure" in printed
    for secret in (PASSWORD, EMAIL, "$argon2"):
        assert secret not in printed


async def test_process_starts_from_its_environment_and_stops_when_told(
    idle: Security, tmp_path: Path
) -> None:
    settings = idle.settings(game_address="127.0.0.1:9")
    password_file = tmp_path / "operator"
    password_file.write_text(OPERATOR_PASSWORD)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": ".:generated",
        "CROUPIER_TLS_CERTIFICATE": str(settings.tls_certificate),
        "CROUPIER_TLS_KEY": str(settings.tls_key),
        "CROUPIER_TLS_AUTHORITY": str(settings.tls_authority),
        "CROUPIER_DATABASE_URL": idle.database_url,
        "CROUPIER_KEY_ENCRYPTION_KEY_FILE": str(settings.key_encryption_key_file),
        "CROUPIER_GAME_ADDRESS": settings.game_address,
        "CROUPIER_ACCESS_TOKEN_LIFE": "PT2S",
        "CROUPIER_FIRST_OPERATOR_EMAIL": EMAIL,
        "CROUPIER_FIRST_OPERATOR_PASSWORD_FILE": str(password_file),
    }
    process = subprocess.Popen(  # noqa: ASYNC220 (our own module; it is only started here)
        [sys.executable, "-m", "services.security"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    lines = []
    try:
        for line in process.stderr:
            lines.append(json.loads(line))
            if lines[-1]["event"] == "serving":
                break
        edge = idle.caller("edge", port=lines[-1]["port"])
        answer = await edge.Login(login(EMAIL, OPERATOR_PASSWORD))
        life = answer.tokens.access_expire_time.ToDatetime() - idle.clock.now().replace(tzinfo=None)
        assert life < timedelta(minutes=1)
    finally:
        process.terminate()
        rest = process.communicate(timeout=30)[1]
    assert process.returncode == 0
    lines += [json.loads(line) for line in rest.splitlines()]
    assert [line["event"] for line in lines] == [
        "signing key made",
        "first operator created",
        "serving",
        "draining",
        "stopped",
    ]
    assert EMAIL not in str(lines)
