"""The one place that reads the wall clock; everything else takes time as an argument."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The current time, in UTC and with its time zone."""
    return datetime.now(UTC)
