"""Structured logs: one JSON object a line on standard error, with the trace id."""

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from services.kit.call import current_call
from services.kit.telemetry import current_trace_id


def configure(*, service: str, level: str) -> None:
    """Sets logging up for this process; libraries that use `logging` come out the same."""

    def identify(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        del logger, method
        event["service"] = service
        trace_id = current_trace_id()
        if trace_id:
            event["trace_id"] = trace_id
        call = current_call.get(None)
        if call is not None:
            event.setdefault("request_id", call.request_id)
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        identify,
        # Without the local variables of each frame: a password or a key is often one of them.
        structlog.processors.ExceptionRenderer(
            structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        ),
    ]
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.WARNING), force=True)
