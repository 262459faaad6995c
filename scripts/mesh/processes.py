"""The table of all processes of a mesh on one machine, and what each of them gets to know.

A process inherits nothing. It gets the variables below, its own identity and the addresses of those
whom it calls; so whoever takes one over holds only the secrets of that one.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from scripts.mesh.child import Program
from scripts.mesh.edge import EdgeSettings, render
from scripts.mesh.edge.process import Admin, command
from scripts.mesh.folder import DataFolder, random_key, random_secret, write_private
from scripts.mesh.probes import Probes
from services.kit.tls import Identity

ROOT = Path(__file__).parents[2]
SERVICES = ("security", "player", "wallet", "game", "analytics")
PROVIDER = "acme"
OPERATOR_EMAIL = "operator@croupier.example"
ACCESS_LOG = "access"
# What a change of port would break: the provider is registered with its address.
STEADY_PORTS = ("provider_launch",)
# Where OpenTelemetry's exporters and `./scripts/trace` look by themselves.
USUAL_PORTS = {"trace_grpc": 4317, "trace_http": 4318}

_PORTS = (
    "edge",
    "edge_admin",
    *SERVICES,
    *(f"{service}_metrics" for service in SERVICES),
    "trace_grpc",
    "trace_http",
    "psp",
    "provider_launch",
    "provider_web",
)
# What stops together, the first first: nobody is stopped before those who call them. The edge has
# been drained by then and stops after the services, so that streams get their last message; the
# trace backend goes last, so that the last spans arrive.
_STAGES = {
    "provider": 1,
    "analytics": 1,
    "game": 2,
    "player": 2,
    "security": 3,
    "wallet": 4,
    "psp": 5,
    "edge": 5,
    "trace": 6,
}
# Whom each service calls; its environment has their addresses.
_CALLS = {
    "security": ("game",),
    "player": ("security", "wallet"),
    "wallet": ("security",),
    "game": ("security", "player", "wallet"),
    "analytics": ("security", "wallet"),
}
# Who follows the outbox of each service that has one, so that events may go behind them. In this
# mesh nobody does: Game and Analytics follow the ledger, which is its own log and is never pruned.
_FOLLOWERS: Mapping[str, Sequence[str]] = {"security": (), "player": (), "game": ()}
_DRAIN_S = 2
_EDGE_DRAIN = timedelta(seconds=2)
_RETENTION_HOURS = 24
# Variables of OpenTelemetry's exporters that the mesh sets itself, whatever the user's shell has:
# each may also stand with TRACES_ in the middle, which exporters prefer.
_OF_THE_MESH = ("_ENDPOINT", "_PROTOCOL", "_INSECURE")


@dataclass(frozen=True, slots=True)
class Options:
    """What a user may choose."""

    port: int = 0
    """The public port; 0 takes that of the last time, else the default."""
    default_port: int = 0
    """The public port the first time; 0 takes a free one."""
    sampled_percent: float = 100.0
    """How many of the traces are recorded."""
    traces_endpoint: str = ""
    """Where spans go, `http://host:port`; empty: to the embedded backend."""
    postgres_url: str = ""
    """One PostgreSQL database for all services; empty: SQLite files."""
    access_token_life: timedelta | None = None
    """How long access tokens live; None: as Security has it."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Files with secrets, made at the first start."""

    key_encryption_key: Path
    operator_password: Path
    psp_api_key: Path
    psp_webhook_secret: Path
    provider_api_key: Path
    """Written once Croupier has given it."""
    provider_control_key: Path

    @classmethod
    def of(cls, folder: DataFolder) -> "Secrets":
        """Finds them in the folder, and makes those that are missing."""
        return cls(
            key_encryption_key=folder.secret("key-encryption-key", random_key),
            operator_password=folder.secret("operator-password", random_secret),
            psp_api_key=folder.secret("psp-api-key", lambda: random_secret("sk_sandbox_")),
            psp_webhook_secret=folder.secret("psp-webhook-secret", lambda: random_secret("whsec_")),
            provider_api_key=folder.path / "secrets" / f"{PROVIDER}-api-key",
            provider_control_key=folder.secret(f"{PROVIDER}-control-key", random_secret),
        )


class Table:
    """Builds the programs of one mesh."""

    def __init__(
        self, options: Options, folder: DataFolder, ports: Mapping[str, int], probes: Probes
    ) -> None:
        """Takes what the programs are built from."""
        self._options = options
        self._folder = folder
        self._ports = ports
        self._probes = probes
        self._authority = folder.authority()
        self.secrets = Secrets.of(folder)

    @staticmethod
    def port_names() -> tuple[str, ...]:
        """The names of all ports that are needed."""
        return _PORTS

    @property
    def traces_endpoint(self) -> str:
        """Where spans go, OTLP over gRPC."""
        return self._options.traces_endpoint or f"http://127.0.0.1:{self._ports['trace_grpc']}"

    def programs(self) -> list[Program]:
        """Returns the programs, in the order in which they are started."""
        embedded = [] if self._options.traces_endpoint else [self._trace()]
        return [
            *embedded,
            *(self._service(name) for name in SERVICES),
            self._edge(),
            self._psp(),
            self._provider(),
        ]

    def _service(self, name: str) -> Program:
        identity = self._authority.identity(name)
        environment = {
            "CROUPIER_LISTEN": self._at(name),
            "CROUPIER_METRICS_LISTEN": self._at(f"{name}_metrics"),
            "CROUPIER_TLS_CERTIFICATE": str(identity.certificate),
            "CROUPIER_TLS_KEY": str(identity.key),
            "CROUPIER_TLS_AUTHORITY": str(identity.authority),
            "CROUPIER_DATABASE_URL": self._database(name),
            "CROUPIER_MIGRATE": "true",
            "CROUPIER_DRAIN_GRACE": _seconds(_DRAIN_S),
            **{f"CROUPIER_{peer.upper()}_ADDRESS": self._at(peer) for peer in _CALLS[name]},
            **self._own(name),
        }
        if name in _FOLLOWERS:
            environment["CROUPIER_FEED_CONSUMERS"] = json.dumps(list(_FOLLOWERS[name]))
        return Program(
            name=name,
            command=(sys.executable, "-m", f"services.{name}"),
            environment={**self._base(), **environment},
            stage=_STAGES[name],
            is_ready=self._probes.grpc(self._ports[name], name=name),
        )

    def _own(self, name: str) -> dict[str, str]:
        """What only this service gets."""
        if name == "security":
            own = {
                "CROUPIER_KEY_ENCRYPTION_KEY_FILE": str(self.secrets.key_encryption_key),
                "CROUPIER_FIRST_OPERATOR_EMAIL": OPERATOR_EMAIL,
                "CROUPIER_FIRST_OPERATOR_PASSWORD_FILE": str(self.secrets.operator_password),
            }
            lifetime = self._options.access_token_life
            if lifetime is not None:
                own["CROUPIER_ACCESS_TOKEN_LIFE"] = _seconds(lifetime.total_seconds())
            return own
        if name == "player":
            return {"CROUPIER_IDENTITY_PROVIDER": "sandbox"}
        if name == "wallet":
            return {
                "CROUPIER_PAYMENTS_DATABASE_URL": self._database("payments"),
                "CROUPIER_PSP_SANDBOX_URL": f"https://{self._at('psp')}",
                "CROUPIER_PSP_SANDBOX_AUTHORITY": str(self._authority.certificate_path),
                "CROUPIER_PSP_SANDBOX_API_KEY_FILE": str(self.secrets.psp_api_key),
                "CROUPIER_PSP_SANDBOX_WEBHOOK_SECRET_FILE": str(self.secrets.psp_webhook_secret),
            }
        return {}

    def _edge(self) -> Program:
        identity = self._authority.identity("edge")
        endpoint = self.traces_endpoint.partition("://")[2].partition("/")[0]
        settings = EdgeSettings(
            listen=self._at("edge"),
            admin=self._at("edge_admin"),
            keys_socket=self._folder.socket("keys"),
            certificate=identity.certificate,
            key=identity.key,
            mesh_certificate=identity.certificate,
            mesh_key=identity.key,
            mesh_authority=identity.authority,
            security=self._at("security"),
            player=self._at("player"),
            wallet=self._at("wallet"),
            game=self._at("game"),
            analytics=self._at("analytics"),
            descriptors=ROOT / "generated" / "croupier.binpb",
            traces=endpoint,
            sampled_percent=self._options.sampled_percent,
            # Every client of a mesh on one machine is its owner's.
            trust_client_trace=True,
            access_log=self._folder.logs / f"{ACCESS_LOG}.log",
        )
        file = self._folder.edge / "envoy.yaml"
        write_private(file, render(settings))
        admin = Admin(self._at("edge_admin"))

        async def is_ready() -> bool:
            return not await admin.missing()

        return Program(
            name="edge",
            command=tuple(command(file, admin_address=self._folder.edge / "admin-address")),
            environment=self._base(),
            stage=_STAGES["edge"],
            is_ready=is_ready,
            drain=lambda: admin.drain(pause=_EDGE_DRAIN),
        )

    def _trace(self) -> Program:
        return Program(
            name="trace",
            command=(sys.executable, "-m", "services.trace"),
            environment={
                **self._base(),
                "CROUPIER_TRACE_GRPC_LISTEN": self._at("trace_grpc"),
                "CROUPIER_TRACE_HTTP_LISTEN": self._at("trace_http"),
                "CROUPIER_TRACE_DATA": str(self._folder.database("trace")),
                "CROUPIER_TRACE_RETENTION_HOURS": str(_RETENTION_HOURS),
            },
            stage=_STAGES["trace"],
            is_ready=self._probes.grpc(self._ports["trace_grpc"], name=None),
        )

    def _psp(self) -> Program:
        identity = self._authority.identity("psp")
        return Program(
            name="psp",
            command=(sys.executable, "-m", "scripts.sandbox.psp"),
            environment={
                **self._base(traced=False),
                **_outsider("PSP", identity),
                "SANDBOX_PSP_PORT": str(self._ports["psp"]),
                "SANDBOX_PSP_DATABASE": str(self._folder.database("psp")),
                "SANDBOX_PSP_API_KEY_FILE": str(self.secrets.psp_api_key),
                "SANDBOX_PSP_WEBHOOK_URL": f"https://{self._at('edge')}/v1/webhooks/payments/sandbox",
                "SANDBOX_PSP_WEBHOOK_AUTHORITY": str(self._authority.certificate_path),
                "SANDBOX_PSP_WEBHOOK_SECRET_FILE": str(self.secrets.psp_webhook_secret),
            },
            stage=_STAGES["psp"],
            is_ready=self._probes.http(f"https://{self._at('psp')}/healthz"),
        )

    def _provider(self) -> Program:
        identity = self._authority.identity(PROVIDER)
        return Program(
            name="provider",
            command=(sys.executable, "-m", "scripts.sandbox.provider"),
            environment={
                **self._base(),
                **_outsider("PROVIDER", identity),
                "SANDBOX_PROVIDER_NAME": PROVIDER,
                "SANDBOX_PROVIDER_EDGE_ADDRESS": self._at("edge"),
                "SANDBOX_PROVIDER_EDGE_AUTHORITY": str(self._authority.certificate_path),
                "SANDBOX_PROVIDER_API_KEY_FILE": str(self.secrets.provider_api_key),
                "SANDBOX_PROVIDER_CONTROL_KEY_FILE": str(self.secrets.provider_control_key),
                "SANDBOX_PROVIDER_LAUNCH_PORT": str(self._ports["provider_launch"]),
                "SANDBOX_PROVIDER_WEB_PORT": str(self._ports["provider_web"]),
                # The standard names of OpenTelemetry's own sampler: as many as the edge records.
                "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                "OTEL_TRACES_SAMPLER_ARG": str(self._options.sampled_percent / 100),
            },
            stage=_STAGES["provider"],
            is_ready=self._probes.http(f"https://{self._at('provider_web')}/healthz"),
        )

    def _base(self, *, traced: bool = True) -> dict[str, str]:
        """What every process gets."""
        base = {
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'generated'}",
        }
        if traced:
            # Headers, certificates and limits of an exporter that the user may need to set; but
            # where spans go, and how, is the same for the whole mesh.
            chosen = {
                name: value
                for name, value in os.environ.items()
                if name.startswith("OTEL_") and not name.endswith(_OF_THE_MESH)
            }
            base |= {
                **chosen,
                "OTEL_EXPORTER_OTLP_ENDPOINT": self.traces_endpoint,
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            }
        return base

    def _at(self, name: str) -> str:
        return f"127.0.0.1:{self._ports[name]}"

    def _database(self, name: str) -> str:
        if self._options.postgres_url:
            _, separator, rest = self._options.postgres_url.partition("://")
            return f"postgresql+asyncpg{separator}{rest}"
        return f"sqlite+aiosqlite:///{self._folder.database(name)}"


def _outsider(party: str, identity: Identity) -> dict[str, str]:
    return {
        f"SANDBOX_{party}_TLS_CERTIFICATE": str(identity.certificate),
        f"SANDBOX_{party}_TLS_KEY": str(identity.key),
    }


def _seconds(seconds: float) -> str:
    """Writes a duration as settings read it: ISO 8601."""
    return f"PT{seconds:g}S"
