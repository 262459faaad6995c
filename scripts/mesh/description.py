"""Where everything of a running mesh is: written by `up`, read by scripts and tests."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scripts.mesh.folder import write_private


@dataclass(frozen=True, slots=True)
class Description:
    """Addresses, and the files that hold what one must know to use them. No secrets."""

    edge_url: str
    """The front door: JSON, gRPC and grpc-web."""
    authority: str
    """What its certificate is verified by, PEM."""
    trace_url: str
    """The trace backend's page and query API; empty if spans go elsewhere."""
    traces_endpoint: str
    """Where spans go, OTLP over gRPC."""
    operator_email: str
    """The first operator."""
    operator_password_file: str
    """That operator's password."""
    provider_id: str
    """The sandbox provider's id at Croupier."""
    provider_url: str
    """Its website."""
    provider_control_key_file: str
    """The key of whoever may tell it what to call."""
    psp_url: str
    """The sandbox PSP."""
    game_ids: tuple[str, ...]
    """The games in the catalogue."""
    ports: dict[str, int]
    """Every port."""
    pids: dict[str, int]
    """The processes as they were when all was ready."""
    logs: str
    """The folder with a log for each process."""

    @property
    def edge_address(self) -> str:
        """The front door as `host:port`, for gRPC."""
        return self.edge_url.removeprefix("https://")

    def write(self, file: Path) -> None:
        """Writes the description."""
        write_private(file, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, file: Path) -> "Description":
        """Reads a description.

        Raises:
            FileNotFoundError: No mesh runs there.
        """
        read: dict[str, Any] = json.loads(file.read_text())
        return cls(**{**read, "game_ids": tuple(read["game_ids"])})
