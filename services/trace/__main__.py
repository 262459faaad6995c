"""`python -m services.trace`: reads the settings, serves until SIGTERM or SIGINT."""

import asyncio
import logging
import signal
import sys

import structlog
import uvloop
from pydantic import ValidationError
from structlog.typing import EventDict, Processor, WrappedLogger

from services.kit.clock import SystemClock
from services.trace.server import serve
from services.trace.settings import Settings
from services.trace.store import ForeignFileError

_log = structlog.get_logger()


def main() -> int:
    """Runs the process and returns its exit code."""
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors():
            sys.stderr.write(f"{problem['msg'].removeprefix('Value error, ')}\n")
        return 2
    _configure_log(settings.log_level)
    try:
        uvloop.run(_run(settings))
    except (OSError, ForeignFileError) as error:
        _log.error("start failed", error=str(error))
        return 1
    return 0


async def _run(settings: Settings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with serve(settings, SystemClock()) as running:
        _log.info(
            "ready",
            grpc_port=running.grpc.port,
            http_port=running.http.port,
            grpc=str(running.grpc),
            page=running.page_url,
        )
        await stopping.wait()
        _log.info("draining")
    _log.info("stopped")


def _configure_log(level: str) -> None:
    """Logs as the other services do: one JSON object a line on standard error.

    Not by `kit.logs`, which adds trace ids and for that loads OpenTelemetry's SDK and SQLAlchemy:
    this process makes no spans and shares the machine with everything that does.
    """
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _name_service,
        structlog.processors.dict_tracebacks,
    ]
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
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
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.WARNING))


def _name_service(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    del logger, method
    event["service"] = "trace"
    return event


if __name__ == "__main__":
    sys.exit(main())
