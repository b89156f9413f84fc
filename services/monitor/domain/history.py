"""The last minutes of the flow, from one reading of the counters to the next: rates to show, kept in memory only."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from services.monitor.domain.counters import Counts, Kind

STREAMS = ("items", "predictions", "answers", "labels")
KEPT = timedelta(minutes=15)
RATE_OVER = timedelta(seconds=60)
_OF_KIND = {
    Kind.ITEMS: "items",
    Kind.PREDICTIONS: "predictions",
    Kind.ANNOTATIONS: "answers",
    Kind.LABELS: "labels",
}


class Point(NamedTuple):
    """How many of each stream had come to each project by a time; (project, stream) or (project, stream/part)."""

    at: datetime
    totals: Counter[tuple[str, str]]


class History:
    """Readings of the last `KEPT`; a replica that starts has none."""

    def __init__(self) -> None:
        self._points: deque[Point] = deque()

    def add(self, at: datetime, totals: Counts) -> None:
        """Take a reading in; an earlier one than the last is passed over."""
        if self._points and at <= self._points[-1].at:
            return
        self._points.append(Point(at, _summed(totals)))
        while self._points[0].at < at - KEPT:
            self._points.popleft()

    def rate(self, project: str, stream: str) -> float | None:
        """Per second over the last minute; None before there are two readings."""
        if len(self._points) < 2:  # noqa: PLR2004  # a difference needs two
            return None
        last = self._points[-1]
        first = next(point for point in self._points if point.at >= last.at - RATE_OVER or point is last)
        if first is last:
            first = self._points[-2]
        return _per_second(first, last, (project, stream))

    def rates(self, project: str, stream: str) -> Sequence[tuple[datetime, float]]:
        """Per second between each two readings, by the time of the later one."""
        return [(later.at, _per_second(earlier, later, (project, stream))) for earlier, later in pairwise(self._points)]


class Levels:
    """Levels of the last `KEPT`, by project and name."""

    def __init__(self) -> None:
        self._points: deque[tuple[datetime, Mapping[tuple[str, str], float]]] = deque()

    def add(self, at: datetime, levels: Mapping[tuple[str, str], float]) -> None:
        """Take a reading in; an earlier one than the last is passed over."""
        if self._points and at <= self._points[-1][0]:
            return
        self._points.append((at, levels))
        while self._points[0][0] < at - KEPT:
            self._points.popleft()

    def of(self, project: str) -> Mapping[str, Sequence[tuple[datetime, float]]]:
        """Name -> its levels, by time."""
        found: dict[str, list[tuple[datetime, float]]] = {}
        for at, levels in self._points:
            for (owner, name), level in levels.items():
                if owner == project:
                    found.setdefault(name, []).append((at, level))
        return found


def _summed(totals: Counts) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for key, n in totals.items():
        stream = _OF_KIND.get(key.kind)
        if stream is not None:
            found[key.project_id, stream] += n
            if stream == "labels":
                found[key.project_id, f"labels/{key.part}"] += n
    return found


def _per_second(first: Point, last: Point, key: tuple[str, str]) -> float:
    seconds = (last.at - first.at).total_seconds()
    return max(last.totals[key] - first.totals[key], 0) / seconds
