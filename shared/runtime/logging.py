"""Structured logs: one JSON object a line, an event name and ids; never contents or secrets."""

import logging
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

QUIET_S = 10.0
MAX_KINDS = 1000

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
    logging.basicConfig(level=logging.WARNING, handlers=[LibraryLog(structlog.get_logger().log)], force=True)
    for noisy in ("aiokafka", "faststream", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


class LibraryLog(logging.Handler):
    """What libraries say, as lines of ours: one of a kind in `QUIET_S` seconds, and never the text of an exception.

    While a broker is away its clients repeat themselves hundreds of times a second.

    Args:
        say: takes a level, an event name and fields.
        clock: monotonic seconds.
    """

    def __init__(self, say: Callable[..., Any], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._say = say
        self._clock = clock
        self._kinds: dict[tuple[str, str], tuple[float, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Say it, or count it."""
        kind, now = (record.name, str(record.msg)), self._clock()
        quiet_until, dropped = self._kinds.get(kind, (0.0, 0))
        if now < quiet_until:
            self._kinds[kind] = (quiet_until, dropped + 1)
            return
        if len(self._kinds) >= MAX_KINDS:
            self._kinds.clear()
        self._kinds[kind] = (now + QUIET_S, 0)
        error = record.exc_info[1] if record.exc_info else None
        fields: dict[str, object] = {} if error is None else where(error)
        self._say(
            record.levelno, "library", logger=record.name, message=record.getMessage()[:500], unsaid=dropped, **fields
        )


def where(error: BaseException) -> dict[str, object]:
    """An error as log fields: its class and the frames it came through, without the message.

    The messages of drivers and validators repeat the data that they refuse, which must not reach a log.
    """
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error": type(error).__name__,
        "where": [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[-6:]],
    }
