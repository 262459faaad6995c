"""Servers that a run starts for itself, and ends by their process ids."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.benchmarks.load import LoadError
from scripts.mesh.pki import DevelopmentAuthority
from scripts.mesh.probes import Probes

_STOP_TIMEOUT_S = 15
_START_TIMEOUT_S = 60
_POLL_S = 0.05
# The discard port: nobody answers there.
_NOBODY = "127.0.0.1:9"


@dataclass(frozen=True, slots=True)
class Served:
    """A server that listens on the loopback interface."""

    address: str
    process: int


@contextmanager
def empty_server(
    mode: str, authority: DevelopmentAuthority, *, traces_endpoint: str = ""
) -> Iterator[Served]:
    """Runs `empty_server`, `bare` or with the whole `chain` of interceptors."""
    environment = _environment(authority, traces_endpoint=traces_endpoint)
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.benchmarks.empty_server", mode],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        printed = process.stdout.readline() if process.stdout is not None else ""
        if not printed.strip().isdigit():
            raise LoadError(f"the empty server did not start: {printed}")
        yield Served(f"127.0.0.1:{int(printed)}", process.pid)
    finally:
        _end(process)
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def wallet_server(
    authority: DevelopmentAuthority, *, database_url: str, payments_url: str, folder: Path
) -> Iterator[Served]:
    """Runs the Wallet service on a ledger, as `python -m services.wallet` does anywhere.

    Nothing here has an access token or a payment, so it needs no Security and no PSP to answer.
    """
    folder.mkdir()
    secret = folder / "secret"
    secret.write_text("none")
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    environment = {
        **_environment(authority, traces_endpoint=""),
        "CROUPIER_LISTEN": f"127.0.0.1:{port}",
        "CROUPIER_DATABASE_URL": database_url,
        "CROUPIER_PAYMENTS_DATABASE_URL": payments_url,
        "CROUPIER_MIGRATE": "true",
        "CROUPIER_LOG_LEVEL": "warning",
        "CROUPIER_DRAIN_GRACE": "PT2S",
        "CROUPIER_SECURITY_ADDRESS": _NOBODY,
        "CROUPIER_PSP_SANDBOX_URL": f"https://{_NOBODY}",
        "CROUPIER_PSP_SANDBOX_AUTHORITY": str(authority.certificate_path),
        "CROUPIER_PSP_SANDBOX_API_KEY_FILE": str(secret),
        "CROUPIER_PSP_SANDBOX_WEBHOOK_SECRET_FILE": str(secret),
    }
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.wallet"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        if not asyncio.run(_is_ready(authority, port, process)):
            raise LoadError(f"the wallet did not start: {log.read_text()[-2000:]}")
        yield Served(f"127.0.0.1:{port}", process.pid)
    finally:
        _end(process)


async def _is_ready(
    authority: DevelopmentAuthority, port: int, process: "subprocess.Popen[bytes]"
) -> bool:
    """Waits until the server serves; it may end before."""
    async with Probes(authority.identity("supervisor")) as probes:
        ask = probes.grpc(port, name="wallet")
        ends = time.monotonic() + _START_TIMEOUT_S
        while process.poll() is None and time.monotonic() < ends:
            if await ask():
                return True
            await asyncio.sleep(_POLL_S)
    return False


def _environment(authority: DevelopmentAuthority, *, traces_endpoint: str) -> dict[str, str]:
    identity = authority.identity("wallet")
    return {
        **os.environ,
        "CROUPIER_TLS_CERTIFICATE": str(identity.certificate),
        "CROUPIER_TLS_KEY": str(identity.key),
        "CROUPIER_TLS_AUTHORITY": str(identity.authority),
        "OTEL_EXPORTER_OTLP_ENDPOINT": traces_endpoint,
        "OTEL_EXPORTER_OTLP_INSECURE": "true",
    }


def _end(process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=_STOP_TIMEOUT_S)
