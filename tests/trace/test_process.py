"""The process and the command, as a person starts them."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.trace.sending import request, span

ROOT = Path(__file__).parents[2]
WAIT_S = 30

Start = Callable[..., Awaitable[tuple[Process, dict[str, Any]]]]


def environment(**changes: str) -> dict[str, str]:
    return {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}",
        "CROUPIER_TRACE_GRPC_LISTEN": "127.0.0.1:0",
        "CROUPIER_TRACE_HTTP_LISTEN": "127.0.0.1:0",
        "PYTHONUTF8": "1",
        **changes,
    }


async def run(*arguments: str, **changes: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=environment(**changes), cwd=ROOT, stdout=PIPE, stderr=PIPE
    )
    async with asyncio.timeout(WAIT_S):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def next_line(process: Process) -> dict[str, Any]:
    assert process.stderr
    async with asyncio.timeout(WAIT_S):
        line = await process.stderr.readline()
    read: dict[str, Any] = json.loads(line)
    return read


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts `python -m services.trace`, waits until it is ready, and stops it in the end."""
    started: list[Process] = []

    async def start_process(**changes: str) -> tuple[Process, dict[str, Any]]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.trace",
            env=environment(CROUPIER_TRACE_DATA=str(tmp_path / "trace.sqlite"), **changes),
            cwd=ROOT,
            stderr=PIPE,
        )
        started.append(process)
        ready = await next_line(process)
        assert ready["event"] == "ready"
        return process, ready

    yield start_process
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def post(page: str, message: bytes) -> None:
    async with httpx.AsyncClient(base_url=page) as http:
        answer = await http.post(
            "/v1/traces", content=message, headers={"content-type": "application/x-protobuf"}
        )
        assert answer.status_code == 200


async def stop(process: Process) -> None:
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(WAIT_S):
        assert await process.wait() == 0


async def test_sigterm_writes_what_is_queued_and_ends_well(start: Start) -> None:
    process, ready = await start()
    spans = [span(span_id=number) for number in range(1, 5_001)]
    await post(ready["page"], request(game=spans).SerializeToString())
    await stop(process)
    assert (await next_line(process))["event"] == "draining"
    assert (await next_line(process))["event"] == "stopped"

    _, ready = await start()
    async with httpx.AsyncClient(base_url=ready["page"]) as http:
        answer = await http.get(f"/api/traces/{1:032x}")
    assert len(answer.json()["data"][0]["spans"]) == 5_000


async def test_an_address_that_is_taken_is_an_error(start: Start, tmp_path: Path) -> None:
    _, ready = await start()
    for variable, port in (("GRPC", ready["grpc_port"]), ("HTTP", ready["http_port"])):
        code, _, err = await run(
            "-m",
            "services.trace",
            **{
                f"CROUPIER_TRACE_{variable}_LISTEN": f"127.0.0.1:{port}",
                "CROUPIER_TRACE_DATA": str(tmp_path / "second.sqlite"),
            },
        )
        assert code == 1
        assert f"cannot listen on 127.0.0.1:{port}" in json.loads(err.splitlines()[-1])["error"]


async def test_an_address_that_others_reach_is_refused_with_a_reason() -> None:
    code, _, err = await run("-m", "services.trace", CROUPIER_TRACE_HTTP_LISTEN="0.0.0.0:0")
    assert code == 2
    assert "CROUPIER_TRACE_ALLOW_REMOTE=true" in err


async def test_a_foreign_file_is_refused_with_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "letter"
    path.write_text("dear friend " * 1_000)
    code, _, err = await run("-m", "services.trace", CROUPIER_TRACE_DATA=str(path))
    assert code == 1
    assert "cannot be used as a trace store" in err


async def test_the_backend_cannot_trace_itself() -> None:
    code, out, _ = await run(
        "-c",
        "import services.trace.__main__, sys\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])",
    )
    assert (code, out) == (0, "[]\n")


async def test_the_command_prints_a_transaction_as_a_tree(start: Start) -> None:
    _, ready = await start()
    bet = span("Bet", span_id=2, parent=1, attributes={"croupier.transaction_id": "bet-1"})
    edge = span("POST /bet <script>", span_id=1, duration_us=2_000)
    await post(ready["page"], request(edge=[edge], game=[bet]).SerializeToString())
    command = ("-m", "services.trace.cli", "--url", ready["page"])
    expected = [
        f"trace {1:032x}  2.00 ms, 2 spans, 2 services",
        "edge POST /bet <script>    2.00 ms  ━━━━━━━━━━━━━━━━━━━━━━━━",
        "└─ game Bet                1.00 ms  ━━━━━━━━━━━━",
    ]
    for identifier in ("bet-1", f"{1:032x}"):
        code, out, _ = await run(*command, identifier, "--wait", "20")
        assert (code, out.splitlines()) == (0, expected)
    code, out, _ = await run(*command, "bet-1", "--json")
    assert code == 0
    assert json.loads(out)["data"][0]["traceID"] == f"{1:032x}"


async def test_the_command_says_what_it_did_not_find(start: Start) -> None:
    _, ready = await start()
    code, out, err = await run("-m", "services.trace.cli", "--url", ready["page"], "bet-9")
    assert (code, out) == (1, "")
    assert err == f"no trace and no transaction 'bet-9' at {ready['page']}\n"


async def test_the_command_waits_for_a_parent_that_is_on_its_way(start: Start) -> None:
    _, ready = await start()
    await post(ready["page"], request(game=[span(span_id=2, parent=1)]).SerializeToString())
    waiting = asyncio.create_task(
        run("-m", "services.trace.cli", "--url", ready["page"], "1".zfill(32), "--wait", "25")
    )
    await post(ready["page"], request(edge=[span("late", span_id=1)]).SerializeToString())
    code, out, _ = await waiting
    assert code == 0
    assert "edge late" in out


async def test_the_command_says_that_the_backend_is_away() -> None:
    code, _, err = await run("-m", "services.trace.cli", "--url", "http://127.0.0.1:9", "bet-1")
    assert code == 3
    assert "cannot be reached" in err
