import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.benchmarks import cases, ledger, mesh

ENTRIES = 20_000
KEYS = {"name", "rps", "p50_ms", "p95_ms", "p99_ms", "ratio"}


def bench(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    file = folder / "rows.json"
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(  # noqa: S603 (our own command)
            [
                *(sys.executable, "-m", "scripts.benchmarks", *arguments),
                *("--rounds", "1", "--seconds", "0.2", "--json", str(file)),
            ],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join((".", "generated")),
                "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        process.wait(timeout=200)
    finally:
        # It stops its servers only if it is asked to end, and not killed.
        process.terminate()
        process.wait(timeout=30)
    assert process.returncode == 0, log.read_text()[-4000:]
    rows: list[dict[str, Any]] = json.loads(file.read_text())
    for row in rows:
        assert row.keys() >= KEYS
        assert row["ratio"] > 0
    return rows


@pytest.mark.timeout(240)
@pytest.mark.postgresql
def test_ledger_writes_every_row_and_every_aim(tmp_path: Path) -> None:
    rows = bench(tmp_path, "ledger", "--entries", str(ENTRIES), "--pgbench-scale", "1")
    aims = {row["name"]: row for row in rows if row["name"].startswith("aim: ")}
    measured = {row["name"]: row for row in rows if row["name"] not in aims}
    by_engine = {
        name
        for engine in cases.ENGINES
        for name in (
            *(cases.engine_row(engine, callers) for callers in cases.CONCURRENCIES),
            cases.engine_row(engine, variant="one hot player"),
            cases.entries_row(engine, ENTRIES),
            f"unary bet, {engine}",
            f"PostBatch of {cases.BATCH}, {engine}",
            f"PostStream, {engine}",
            f"bytes per posting, {engine}",
        )
    }
    assert set(measured) == {cases.PGBENCH, cases.EMPTY_BARE, cases.EMPTY_CHAIN, *by_engine}
    assert set(aims) == {
        f"aim: {aim.row} / {measured[aim.row]['baseline']}" for aim in ledger.aims(ENTRIES)
    }
    for name in by_engine:
        # Whatever the ledger does, it does in commits, and the row tells how large they were.
        if name.startswith("bytes"):
            assert measured[name]["bytes_per_posting"] > 0
        else:
            assert 1 <= measured[name]["batch_p50"] <= measured[name]["batch_max"]


@pytest.mark.timeout(240)
@pytest.mark.e2e
def test_mesh_writes_every_row(tmp_path: Path) -> None:
    rows = bench(tmp_path, "mesh", "--callers", "2")
    assert [row["name"] for row in rows] == [
        mesh.BASELINE,
        *(
            f"{what}, {sampling}"
            for what in (
                "empty call, all interceptors",
                "Wallet bet, unary gRPC",
                "bet through Envoy as JSON",
            )
            for sampling in ("traces off", "traces 1 %", "traces 100 %")
        ),
    ]
