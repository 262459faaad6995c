"""What the environment says; read once, in `__main__`."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Each name is an environment variable with the prefix `SANDBOX_PROVIDER_`."""

    model_config = SettingsConfigDict(env_prefix="SANDBOX_PROVIDER_", frozen=True)

    name: str
    """The provider's id at Croupier."""
    edge_address: str
    """Where Croupier's `ProviderService` is, `host:port`."""
    edge_authority: Path
    """What Croupier's certificates are verified by, PEM."""
    api_key_file: Path
    """The API key that Croupier's operator gave; read when it is first needed."""
    launch_port: int = Field(ge=0, le=65_535)
    """Where `LaunchService` listens, on the loopback interface."""
    web_port: int = Field(ge=0, le=65_535)
    """Where the game itself is, over HTTPS, on the loopback interface."""
    tls_certificate: Path
    """Its certificate, PEM."""
    tls_key: Path
    """Its private key, PEM."""
    control_key_file: Path
    """The key of whoever may tell it what to call."""
