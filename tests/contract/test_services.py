"""What holds for every service, whatever it does."""

import importlib
from typing import Any

import pytest
from pydantic import ValidationError

SERVICES = ("analytics", "game", "player", "security", "wallet")


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
