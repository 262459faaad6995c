"""What differs between environments; everything else about the edge stands in `envoy/`."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

_ADDRESS = re.compile(r"(?P<host>\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):(?P<port>[0-9]{1,5})")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?")
_PORT_MAX = 65_535
_SOCKET_PATH_MAX = 107
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def split_address(address: str) -> tuple[str, int]:
    """Splits `host:port`.

    Raises:
        ValueError: It is something else.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or int(found["port"]) > _PORT_MAX:
        raise ValueError(f"{address!r} is not host:port")
    return found["host"].strip("[]"), int(found["port"])


def _is_address(value: str) -> str:
    split_address(value)
    return value


def _is_loopback(value: str) -> str:
    if split_address(value)[0] not in _LOOPBACK:
        raise ValueError("Envoy's admin interface can do anything: it stays on loopback")
    return value


def _is_origin(value: str) -> str:
    if not _ORIGIN.fullmatch(value):
        raise ValueError(f"{value!r} is not an origin such as https://play.example.com")
    return value


def _is_short(value: Path) -> Path:
    if len(str(value)) > _SOCKET_PATH_MAX:
        raise ValueError(f"a socket's path has at most {_SOCKET_PATH_MAX} characters")
    return value


Address = Annotated[str, AfterValidator(_is_address)]
AdminAddress = Annotated[str, AfterValidator(_is_loopback)]
Origin = Annotated[str, AfterValidator(_is_origin)]


class EdgeSettings(BaseSettings):
    """Where the edge listens, whom it serves and whom it trusts.

    Each name is an environment variable with the prefix `CROUPIER_EDGE_`.
    """

    model_config = SettingsConfigDict(env_prefix="CROUPIER_EDGE_", frozen=True, extra="forbid")

    listen: Address = "127.0.0.1:8443"
    """The public port: JSON, gRPC and grpc-web over TLS. Port 0 takes a free one."""
    admin: AdminAddress = "127.0.0.1:0"
    """Envoy's own interface, on loopback. Port 0 takes a free one."""
    keys_socket: Annotated[Path, AfterValidator(_is_short)]
    """A Unix socket on which Envoy asks itself for the keys of access tokens."""
    certificate: Path
    """The certificate that clients see, PEM."""
    key: Path
    """Its private key, PEM."""
    mesh_certificate: Path
    """The edge's own certificate in the mesh (`spiffe://croupier/edge`), PEM."""
    mesh_key: Path
    """Its private key, PEM."""
    mesh_authority: Path
    """The mesh's authority, PEM."""
    security: Address
    """Where Security listens; also where the keys of access tokens come from."""
    player: Address
    """Where Player listens."""
    wallet: Address
    """Where Wallet listens."""
    game: Address
    """Where Game listens."""
    analytics: Address
    """Where Analytics listens."""
    descriptors: Path = Path("generated/croupier.binpb")
    """The contracts, as `scripts/generate` writes them."""
    traces: Address | None = None
    """Where spans go, OTLP over gRPC without TLS (a collector beside the edge); unset: nowhere."""
    sampled_percent: float = Field(default=1.0, ge=0, le=100, allow_inf_nan=False)
    """How many of the traces that begin here are recorded."""
    trust_client_trace: bool = False
    """Whether a client's `traceparent` is continued. Only where all clients are our own."""
    origins: tuple[Origin, ...] = ()
    """Web origins whose pages may call from a browser."""
    trusted_hops: int = Field(default=0, ge=0, le=10)
    """How many proxies stand in front, whose `x-forwarded-for` is therefore true."""
    access_log: Path = Path("/dev/stdout")
    """Where one JSON line for each request goes."""
    deadline: timedelta = Field(
        default=timedelta(seconds=10), ge=timedelta(milliseconds=1), le=timedelta(minutes=5)
    )
    """How long a unary call may take, if the client does not say less."""
    stream_age_max: timedelta = Field(
        default=timedelta(hours=1), ge=timedelta(seconds=1), le=timedelta(days=1)
    )
    """How long a stream may live."""
    credential_calls_per_minute: int = Field(default=60, ge=0, le=1_000_000)
    """Login, registration and other PUBLIC changes, for each client address. 0: no limit."""
    calls_per_second: int = Field(default=100, ge=0, le=1_000_000)
    """Calls of players and operators, for each client address. 0: no limit."""
    provider_calls_per_second: int = Field(default=5000, ge=0, le=1_000_000)
    """Calls of game providers and payment webhooks, for each client address. 0: no limit."""
    heap_bytes_max: int = Field(default=1 << 29, ge=1 << 27, le=1 << 40)
    """Beyond 95 % of this Envoy refuses requests rather than die."""
    connections_max: int = Field(default=10_000, ge=1, le=1_000_000)
    """How many clients may be connected at once."""

    def upstreams(self) -> dict[str, str]:
        """The addresses of the services, by name."""
        return {
            name: getattr(self, name)
            for name in ("security", "player", "wallet", "game", "analytics")
        }
