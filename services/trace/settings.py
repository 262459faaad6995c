"""What the environment may set."""

from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.trace.domain import RetentionPolicy

_PORT_MAX = 65_535
_BYTES_MIN = 1024 * 1024
_BYTES_MAX = 1024**4

# From a second to ten years.
Hours = Annotated[float, Field(ge=1 / 3_600, le=87_840, allow_inf_nan=False)]


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `host:port`; an IPv6 host stands in brackets. Port 0 takes any free port.

        Raises:
            ValueError: `text` has another form.
        """
        host, separator, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not separator or not host or not port.isdecimal() or int(port) > _PORT_MAX:
            raise ValueError(f"{text!r} is not host:port")
        return cls(host, int(port))

    @property
    def is_loopback(self) -> bool:
        """Tells whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


class Settings(BaseSettings):
    """Read once in `__main__`; the prefix of each variable is `CROUPIER_TRACE_`."""

    model_config = SettingsConfigDict(env_prefix="CROUPIER_TRACE_", frozen=True)

    grpc_listen: str = "127.0.0.1:4317"
    """Where OTLP over gRPC is received: `host:port`."""
    http_listen: str = "127.0.0.1:4318"
    """Where OTLP over HTTP is received, and the query API and the page are served: `host:port`."""
    allow_remote: bool = False
    """Permits an address that other machines reach, though nobody is authenticated."""
    allowed_hosts: tuple[str, ...] = ()
    """What a Host header may carry besides `localhost` and plain addresses: a JSON list."""
    data: Path = Path("var/trace.sqlite")
    """The SQLite file."""
    retention_hours: Hours = 24
    """How long an ordinary trace is kept."""
    notable_retention_hours: Hours = 168
    """How long a trace is kept that has an error or is slow."""
    slow_trace_ms: Annotated[int, Field(ge=1, le=86_400_000)] = 1_000
    """From this length on a trace is slow."""
    max_bytes: Annotated[int, Field(ge=_BYTES_MIN, le=_BYTES_MAX)] = 512 * 1024 * 1024
    """The size that the file is kept below."""
    queue_size: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    """How many spans may wait to be written."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe level that is logged."""

    @model_validator(mode="after")
    def _refuse_remote(self) -> Self:
        for name, text in (("GRPC", self.grpc_listen), ("HTTP", self.http_listen)):
            if not Address.parse(text).is_loopback and not self.allow_remote:
                raise ValueError(
                    f"CROUPIER_TRACE_{name}_LISTEN={text} can be reached from other machines, and "
                    "this server asks nobody who they are. If a network that you trust surrounds "
                    "it, set CROUPIER_TRACE_ALLOW_REMOTE=true."
                )
        return self

    @property
    def retention(self) -> RetentionPolicy:
        """What is kept, and for how long."""
        return RetentionPolicy(
            ordinary=timedelta(hours=self.retention_hours),
            notable=timedelta(hours=max(self.retention_hours, self.notable_retention_hours)),
            slow=timedelta(milliseconds=self.slow_trace_ms),
            bytes_max=self.max_bytes,
        )
