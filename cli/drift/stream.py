"""Reading a recorded stream, line by line, in bounded memory."""

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from shared.errors import ConfigurationError

MAX_SLICES = 1000
MAX_CLASS = 200


class Happened(NamedTuple):
    """One line: `offset` counts the events of the file from 0."""

    offset: int
    time: str
    symbol: str
    slice: str


@dataclass(slots=True)
class Extent:
    """What a file holds: events per slice; the slice is empty where the file has no such column."""

    events: Counter[str] = field(default_factory=Counter)


def read_stream(path: Path) -> Iterator[Happened]:
    """The events of a CSV file with the columns time, class and, where there are parts of the traffic, slice.

    Raises:
        ConfigurationError: names the file and the line, and says what to do.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _events(path, csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error


def _events(path: Path, reader: Any) -> Iterator[Happened]:
    header = [name.strip() for name in next(reader, [])]
    missing = [name for name in ("time", "class") if name not in header]
    if missing:
        raise ConfigurationError(
            f"{path}:1: no column {', '.join(missing)}; the first line must be time,class or time,class,slice"
        )
    time_at, class_at = header.index("time"), header.index("class")
    slice_at = header.index("slice") if "slice" in header else None
    width, offset = len(header), 0
    for row in reader:
        if not row:
            continue
        if len(row) != width:
            raise ConfigurationError(f"{path}:{reader.line_num}: {len(row)} columns where the first line has {width}")
        time, symbol = row[time_at], row[class_at]
        if not symbol or len(symbol) > MAX_CLASS:
            raise ConfigurationError(
                f"{path}:{reader.line_num}: a class has 1 to {MAX_CLASS} characters, this one {len(symbol)}"
            )
        if not _is_time(time):
            raise ConfigurationError(
                f"{path}:{reader.line_num}: time {time[:50]!r} is neither a number nor ISO 8601 (2026-01-31T12:00:00Z)"
            )
        yield Happened(offset, time, symbol, row[slice_at] if slice_at is not None else "")
        offset += 1


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        try:
            return float(text) == float(text)  # a number, and not NaN
        except ValueError:
            return False
    return True


def measure(path: Path) -> Extent:
    """Read the file once: every line is checked before anything is said about any.

    Raises:
        ConfigurationError: as `read_stream`; also where there is no event, or more than 1,000 slices.
    """
    found = Extent()
    for event in read_stream(path):
        found.events[event.slice] += 1
        if len(found.events) > MAX_SLICES:
            raise ConfigurationError(
                f"{path}: more than {MAX_SLICES} different slices; a slice is a part of the traffic, not an event's id"
            )
    if not found.events:
        raise ConfigurationError(f"{path}: no events below the first line")
    return found
