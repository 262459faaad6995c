from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from scripts.mesh.pki import DevelopmentAuthority
from services.kit import migrations
from services.player.__main__ import build
from services.player.settings import Settings
from tests.kit.postgres import shared_server
from tests.player.world import player_settings


def from_environment() -> Settings:
    return Settings()  # type: ignore[call-arg] # the environment gives what is required


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def give(**variables: str) -> None:
        required = {
            "TLS_CERTIFICATE": "certificate.pem",
            "TLS_KEY": "key.pem",
            "TLS_AUTHORITY": "authority.pem",
            "DATABASE_URL": "postgresql+asyncpg://croupier:hunter2@/player",
            "SECURITY_ADDRESS": "127.0.0.1:1",
            "WALLET_ADDRESS": "127.0.0.1:2",
            "IDENTITY_PROVIDER": "sandbox",
        }
        for name, value in {**required, **variables}.items():
            monkeypatch.setenv(f"CROUPIER_{name}", value)

    return give


def test_settings_come_from_the_environment(environment: Callable[..., None]) -> None:
    environment(COUNTRIES_ALLOWED="DE, AT ,", COUNTRIES_BLOCKED="")
    settings = from_environment()
    assert settings.countries_allowed == {"DE", "AT"}
    assert settings.countries_blocked == frozenset()
    assert settings.tls_key == Path("key.pem")


def test_countries_under_a_call_for_action_are_blocked_by_default(
    environment: Callable[..., None],
) -> None:
    environment()
    assert from_environment().countries_allowed == frozenset()
    assert from_environment().countries_blocked == {"IR", "KP", "MM"}


@pytest.mark.parametrize("name", ["", "Sandbox", "acme"])
def test_service_without_a_known_identity_provider_refuses_to_start(
    environment: Callable[..., None], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    environment(IDENTITY_PROVIDER=name)
    if not name:
        monkeypatch.delenv("CROUPIER_IDENTITY_PROVIDER")
    with pytest.raises(ValidationError) as raised:
        from_environment()
    told = str(raised.value)
    assert "CROUPIER_IDENTITY_PROVIDER must name who checks the identity of players" in told
    assert "sandbox" in told
    assert "hunter2" not in told


def test_country_that_is_none_is_told(environment: Callable[..., None]) -> None:
    environment(COUNTRIES_BLOCKED="DE,XX,de")
    with pytest.raises(ValidationError, match="not ISO 3166-1 alpha-2: XX, de"):
        from_environment()


@pytest.mark.postgresql
async def test_service_refuses_a_database_that_is_not_migrated(
    authority: DevelopmentAuthority, serve: Any
) -> None:
    url = shared_server().create_database("player_not_migrated")
    peers = {"security_address": "127.0.0.1:1", "wallet_address": "127.0.0.1:1"}
    with pytest.raises(migrations.NotMigratedError):
        await serve(build, player_settings(authority, url, **peers))
    await migrations.upgrade(url, "services.player")
    assert await serve(build, player_settings(authority, url, **peers)) > 0
    other = shared_server().create_database("player_migrates_itself")
    assert await serve(build, player_settings(authority, other, migrate=True, **peers)) > 0
