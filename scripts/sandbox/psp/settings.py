"""What the environment says; read once, in `__main__`."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Each name is an environment variable with the prefix `SANDBOX_PSP_`."""

    model_config = SettingsConfigDict(env_prefix="SANDBOX_PSP_", frozen=True)

    port: int = Field(ge=0, le=65_535)
    """Where it listens, on the loopback interface; 0 takes a free port."""
    tls_certificate: Path
    """Its certificate, PEM."""
    tls_key: Path
    """Its private key, PEM."""
    database: Path
    """The SQLite file with checkouts and webhooks that are under way."""
    api_key_file: Path
    """The key that its one merchant sends."""
    webhook_url: str
    """Where the merchant takes webhooks."""
    webhook_authority: Path
    """What the merchant's certificate is verified by, PEM."""
    webhook_secret_file: Path
    """What webhooks are signed with."""

    @property
    def api_key(self) -> str:
        """The merchant's key."""
        return self.api_key_file.read_text().strip()

    @property
    def webhook_secret(self) -> bytes:
        """The key of the signature."""
        return self.webhook_secret_file.read_text().strip().encode()
