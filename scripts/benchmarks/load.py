"""Puts load on a server with k6 and reads what the server spent on it."""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from services.kit.tls import Identity

_SCRIPT = Path(__file__).with_name("load.js")
_PROTOSET = Path("generated/croupier.binpb")
_TICKS = os.sysconf("SC_CLK_TCK")
_GRACE_S = 30
# k6 takes no shorter one.
_SECONDS_MIN = 1.0


class LoadError(Exception):
    """The load did not run, or calls failed: its figures would mean nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is called, and how."""

    kind: str
    """`grpc` or `json`."""
    address: str
    """`host:port`."""
    method: str
    """`package.Service/Method`, or a path."""
    bodies: Sequence[Mapping[str, object]]
    """The request as JSON, without the ids that differ from call to call; one a caller."""
    processes: Sequence[int]
    """The servers whose CPU time is counted, by process id."""
    identity: Identity | None = None
    """Who calls, for gRPC."""
    api_key: str = ""
    """Who calls, for JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one load measured."""

    rps: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu_us_per_call: float


def cpu_seconds(process: int) -> float:
    """Returns the CPU time that a process has used so far."""
    stat = Path(f"/proc/{process}/stat").read_text()
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def run(target: Target, *, callers: int, seconds: float, sampled_percent: float) -> Round:
    """Calls as fast as `callers` callers can, for `seconds`, and one second at least.

    Raises:
        LoadError: A call failed.
    """
    seconds = max(seconds, _SECONDS_MIN)
    with tempfile.TemporaryDirectory() as folder:
        bodies = Path(folder) / "targets.json"
        bodies.write_text(json.dumps(list(target.bodies)))
        summary = Path(folder) / "summary.json"
        environment = {
            "KIND": target.kind,
            "ADDRESS": target.address,
            "METHOD": target.method,
            "TARGETS": str(bodies),
            "SUMMARY": str(summary),
            "CALLERS": str(callers),
            "DURATION": f"{seconds}s",
            "SAMPLED_PERCENT": str(sampled_percent),
            "RUN": uuid4().hex[:12],
            "PROTOSET": str(_PROTOSET.resolve()),
            "API_KEY": target.api_key,
        }
        if target.identity is not None:
            environment |= {
                "AUTHORITY": str(target.identity.authority.resolve()),
                "CERTIFICATE": str(target.identity.certificate.resolve()),
                "KEY": str(target.identity.key.resolve()),
            }
        before = sum(map(cpu_seconds, target.processes))
        done = subprocess.run(
            ["k6", "run", "--quiet", "--no-color", "--insecure-skip-tls-verify", str(_SCRIPT)],
            env={**os.environ, **environment, "K6_NO_USAGE_REPORT": "true"},
            capture_output=True,
            text=True,
            timeout=seconds + _GRACE_S,
            check=False,
        )
        spent = sum(map(cpu_seconds, target.processes)) - before
        if done.returncode != 0 or not summary.exists():
            raise LoadError(done.stderr[-2000:])
        metrics = json.loads(summary.read_text())
    return _round(target, metrics, spent, done.stderr)


def _round(
    target: Target, metrics: Mapping[str, Mapping[str, Mapping[str, float]]], spent: float, log: str
) -> Round:
    if metrics.get("failed", {}).get("values", {}).get("count"):
        raise LoadError(f"calls failed: {log[-2000:]}")
    calls = metrics["iterations"]["values"]
    times = metrics["grpc_req_duration" if target.kind == "grpc" else "took"]["values"]
    return Round(
        rps=calls["rate"],
        p50_ms=times["med"],
        p95_ms=times["p(95)"],
        p99_ms=times["p(99)"],
        cpu_us_per_call=spent / calls["count"] * 1_000_000,
    )
