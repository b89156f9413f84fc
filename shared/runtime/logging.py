"""Structured logs: one JSON object a line, an event name and ids; never contents or secrets."""

import logging
import traceback
from pathlib import Path

import structlog

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_logging(service: str, level: str) -> None:
    """Set structlog up for a process, and quiet the libraries."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    for noisy in ("aiokafka", "faststream", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


def where(error: BaseException) -> dict[str, object]:
    """An error as log fields: its class and the frames it came through, without the message.

    The messages of drivers and validators repeat the data that they refuse, which must not reach a log.
    """
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error": type(error).__name__,
        "where": [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[-6:]],
    }
