"""The part of every service's settings that is the same."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.kit.tls import Identity

# Every number and duration of a setting has a bound on both sides; `tests/contract` holds it.

Timeout = Annotated[timedelta, Field(ge=timedelta(milliseconds=10), le=timedelta(minutes=5))]
"""How long a call may take: none is over at once, and none holds its caller for ever."""

Every = Annotated[timedelta, Field(ge=timedelta(milliseconds=5), le=timedelta(days=1))]
"""The pause between two rounds of work that is always done again: never a busy loop."""

_DRAIN_MAX = timedelta(minutes=10)


class ServerSettings(BaseSettings):
    """How a server listens, proves who it is and reports; read once, from the environment.

    Each name is an environment variable with the prefix `CROUPIER_`, such as `CROUPIER_LISTEN`.
    Traces follow OpenTelemetry's own variables, such as `OTEL_EXPORTER_OTLP_ENDPOINT`.
    """

    # A refusal shows no values: the environment holds passwords, such as in a database's address.
    model_config = SettingsConfigDict(
        env_prefix="CROUPIER_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    listen: str = "127.0.0.1:0"
    """Where the gRPC server listens; port 0 takes a free one."""
    metrics_listen: str = ""
    """Where `/metrics` is served for Prometheus, `host:port`; empty: nowhere."""
    tls_certificate: Path
    """This service's certificate, PEM."""
    tls_key: Path
    """Its private key, PEM."""
    tls_authority: Path
    """The mesh's authority, PEM."""
    traces_endpoint: str = Field(
        default="",
        validation_alias=AliasChoices(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
        ),
    )
    """Where spans go; empty: nowhere. OpenTelemetry's exporter reads the variables itself."""
    traces_protocol: Literal["grpc", "http/protobuf"] = Field(
        default="grpc",
        validation_alias=AliasChoices(
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"
        ),
    )
    """How they are sent there."""
    log_level: str = "info"
    """The least severe level that is logged."""
    default_deadline: Timeout = timedelta(seconds=10)
    """How long a unary call may run if its client set no deadline."""
    calls_max: int = Field(default=1000, ge=1, le=100_000)
    """How many unary calls may be under way; a further one is refused with OVERLOADED."""
    message_bytes_max: int = Field(default=1_048_576, ge=1_024, le=1 << 26)
    """The largest message that is taken."""
    drain_pause: timedelta = Field(default=timedelta(0), ge=timedelta(0), le=_DRAIN_MAX)
    """How long the server says NOT_SERVING and still takes calls, so that balancers notice."""
    drain_grace: timedelta = Field(default=timedelta(seconds=10), ge=timedelta(0), le=_DRAIN_MAX)
    """How long calls under way may take to end once the server takes no more."""

    @property
    def identity(self) -> Identity:
        """The files by which this process proves who it is."""
        return Identity(
            certificate=self.tls_certificate, key=self.tls_key, authority=self.tls_authority
        )
