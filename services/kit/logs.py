"""Structured logs: one JSON object a line on standard error, with the trace id."""

import logging
import sys
from types import TracebackType
from typing import Any

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from services.kit.call import current_call
from services.kit.telemetry import current_trace_id
from services.kit.withheld import Withheld

# Without the local variables of each frame: a password or a key is often one of them.
_tell_frames = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)


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
        _withhold,
        structlog.processors.ExceptionRenderer(_tell_exception),
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
    sys.excepthook = _log_uncaught


def _withhold(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Takes out of the texts what an error of the database quotes."""
    del logger, method
    withheld = Withheld(_error_of(event.get("exc_info")))
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = withheld(value)
    return event


def _tell_exception(exc_info: ExcInfo) -> list[dict[str, Any]]:
    withheld = Withheld(exc_info[1])
    stacks = _tell_frames(exc_info)
    _withhold_in(stacks, withheld)
    return stacks


def _withhold_in(stacks: list[dict[str, Any]], withheld: Withheld) -> None:
    for stack in stacks:
        stack["exc_value"] = withheld(stack["exc_value"])
        stack["exc_notes"] = [withheld(note) for note in stack["exc_notes"]]
        for member in stack["exceptions"]:
            _withhold_in(member, withheld)


def _error_of(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        error = exc_info[1]
        return error if isinstance(error, BaseException) else None
    return sys.exc_info()[1] if exc_info else None


def _log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Logs what ends the process; the interpreter would print the error whole."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    structlog.get_logger().critical("uncaught", exc_info=(kind, error, traceback))
