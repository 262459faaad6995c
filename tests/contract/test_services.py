"""What holds for every service, whatever it does."""

import importlib
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from alembic.script import ScriptDirectory
from pydantic import ValidationError

from scripts.mesh.pki import DevelopmentAuthority
from services.kit import migrations
from tests.kit.postgres import shared_server

SERVICES = ("analytics", "game", "player", "security", "wallet")
STORES = (*(f"services.{name}" for name in SERVICES), "services.wallet.payments")


@pytest.mark.parametrize("name", SERVICES)
def test_settings_that_are_refused_do_not_tell_passwords(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    settings: Any = importlib.import_module(f"services.{name}.settings").Settings
    for variable in ("DATABASE_URL", "PAYMENTS_DATABASE_URL"):
        monkeypatch.setenv(f"CROUPIER_{variable}", "postgresql+asyncpg://croupier:hunter2@db/x")
    monkeypatch.setenv("CROUPIER_CALLS_MAX", "hunter2, by mistake")
    with pytest.raises(ValidationError) as raised:
        settings()
    told = str(raised.value)
    assert "tls_certificate" in told
    assert "calls_max" in told
    assert "hunter2" not in told


@pytest.fixture
def settings_of(
    authority: DevelopmentAuthority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Reads a service's settings; only its databases are real."""
    file = tmp_path / "secret"
    file.write_text("c2VjcmV0")

    def read(name: str, **changes: str) -> Any:
        identity = authority.identity(name)
        variables = {
            "TLS_CERTIFICATE": str(identity.certificate),
            "TLS_KEY": str(identity.key),
            "TLS_AUTHORITY": str(identity.authority),
            "KEY_ENCRYPTION_KEY_FILE": str(file),
            "IDENTITY_PROVIDER": "sandbox",
            "PSP_SANDBOX_URL": "https://127.0.0.1:1",
            "PSP_SANDBOX_AUTHORITY": str(identity.authority),
            "PSP_SANDBOX_API_KEY_FILE": str(file),
            "PSP_SANDBOX_WEBHOOK_SECRET_FILE": str(file),
            **{f"{peer.upper()}_ADDRESS": "127.0.0.1:1" for peer in SERVICES},
            **changes,
        }
        for variable, value in variables.items():
            monkeypatch.setenv(f"CROUPIER_{variable}", value)
        return importlib.import_module(f"services.{name}.settings").Settings()

    return read


async def stale(package: str) -> str:
    """Makes a PostgreSQL database that lacks a service's newest migration."""
    url = shared_server().create_database(f"stale_{uuid4().hex}")
    scripts = ScriptDirectory(str(Path(package.replace(".", "/")) / "migrations"))
    head = scripts.get_current_head()
    assert head is not None
    before = scripts.get_revision(head).down_revision
    if before is not None:
        await migrations.upgrade(url, package, str(before))
    return url


@pytest.mark.postgresql
@pytest.mark.parametrize("package", STORES)
async def test_server_does_not_start_on_a_database_of_another_version(
    settings_of: Callable[..., Any], package: str
) -> None:
    name = package.split(".")[1]
    url = await stale(package)
    if package == "services.wallet.payments":
        ledger = shared_server().create_database(f"current_{uuid4().hex}")
        await migrations.upgrade(ledger, "services.wallet")
        settings = settings_of(name, DATABASE_URL=ledger, PAYMENTS_DATABASE_URL=url)
    else:
        settings = settings_of(name, DATABASE_URL=url, PAYMENTS_DATABASE_URL=url)
    build = importlib.import_module(f"services.{name}.__main__").build
    async with AsyncExitStack() as stack:
        with pytest.raises(migrations.NotMigratedError) as raised:
            await build(settings, stack)
    told = str(raised.value)
    assert f"the database of {package} is at revision " in told
    assert "CROUPIER_MIGRATE=true" in told
    assert "postgresql" not in told
