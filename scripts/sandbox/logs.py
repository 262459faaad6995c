"""Structured logs for the sandbox: one JSON object a line on standard error."""

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger


def configure(party: str) -> None:
    """Sets logging up for this process; libraries that use `logging` come out the same."""

    def identify(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        del logger, method
        event["service"] = party
        return event

    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        identify,
        structlog.processors.dict_tracebacks,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
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
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
