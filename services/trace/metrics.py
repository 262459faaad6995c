"""What this service counts about itself, in the Prometheus text format at `/metrics`."""

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest


class Metrics:
    """The counters of one process. Its own registry: what libraries register is not shown."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.received = Counter(
            "croupier_trace_spans_received",
            "Spans in export requests that could be read.",
            registry=self.registry,
        )
        self.stored = Counter(
            "croupier_trace_spans_stored", "Spans that were written.", registry=self.registry
        )
        self.dropped = Counter(
            "croupier_trace_spans_dropped",
            "Spans that were not kept: the queue was full, the span had no valid id, "
            "or the store failed.",
            ["reason"],
            registry=self.registry,
        )
        self.pruned = Counter(
            "croupier_trace_spans_pruned", "Spans that retention deleted.", registry=self.registry
        )
        self.queued = Gauge(
            "croupier_trace_queue_spans", "Spans that wait to be written.", registry=self.registry
        )
        self.store_bytes = Gauge(
            "croupier_trace_store_bytes", "Bytes in use in the file.", registry=self.registry
        )
        for reason in ("queue_full", "invalid", "store_failed"):
            self.dropped.labels(reason)

    def expose(self) -> bytes:
        """Returns all of it as text."""
        return generate_latest(self.registry)
