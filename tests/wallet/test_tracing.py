"""What a trace shows of the ledger."""

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.kit import telemetry
from services.kit.ids import new_id
from services.wallet.domain import Deposit, Key, OpenWallet, PlayerId
from services.wallet.service import WalletService
from services.wallet.tracing import spans_by
from tests.kit.clock import ManualClock

PLAYER = PlayerId(bytes(15) + b"\x01")
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_batch_spans_all_its_statements_and_nothing_else(
    wallet_url: str, clock: ManualClock, engine_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = InMemorySpanExporter()
    # Put back at the end.
    monkeypatch.setattr(telemetry, "_tracer", telemetry._tracer)
    provider = telemetry.configure(service="wallet", exporter=exporter)
    service = WalletService(wallet_url, clock, on_batch=spans_by(engine_name))
    await service.start()
    try:
        await service.submit(
            OpenWallet(key=Key("t", "player", new_id()), player_id=PLAYER, currency_code="EUR")
        )
        call = telemetry.start_span("a deposit", parent=telemetry.RemoteSpan(TRACEPARENT))
        await service.submit(
            Deposit(
                key=Key("t", "psp", new_id()),
                player_id=PLAYER,
                currency_code="EUR",
                amount=100,
                trace=call,
            )
        )
        call.end()
    finally:
        await service.stop()
        provider.shutdown()
    spans = {span.name: span for span in exporter.get_finished_spans()}
    top, batch = spans.pop("a deposit"), spans.pop("commit batch")
    assert batch.parent == top.get_span_context()
    assert {"fence_shard", "insert_transfer", "insert_entry", "commit"} <= set(spans)
    assert all(span.parent == batch.get_span_context() for span in spans.values())
    began = [span.start_time for span in spans.values() if span.start_time is not None]
    ended = [span.end_time for span in spans.values() if span.end_time is not None]
    assert (batch.start_time, batch.end_time) == (min(began), max(ended))
    assert top.start_time is not None
    assert top.end_time is not None
    assert batch.start_time is not None
    assert batch.end_time is not None
    assert top.start_time <= batch.start_time <= batch.end_time <= top.end_time
