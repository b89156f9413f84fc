"""The detectors over the events of a file: one per slice, each event in exactly one."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cli.drift.stream import Happened
from services.monitor.domain.drift import Finding, Marks, Reference, Sensitivity, Watch

BLOCK = 64
TRACE = 1200
SHOWN_CLASSES = 20


@dataclass(slots=True)
class Trace:
    """Log evidence over the stream, thinned by maximum to at most `TRACE` points of equal width."""

    width: int = BLOCK
    points: list[float] = field(default_factory=list)
    _held: float = 0.0
    _events: int = 0

    def add(self, value: float, events: int) -> None:
        self._held = max(self._held, value)
        self._events += events
        if self._events >= self.width:
            self.points.append(self._held)
            self._held, self._events = 0.0, 0
        if len(self.points) == TRACE:
            self.points = [max(pair) for pair in zip(self.points[::2], self.points[1::2], strict=True)]
            self.width *= 2

    def shown(self) -> list[float]:
        return [*self.points, self._held] if self._events else self.points


@dataclass(slots=True)
class Sliced:
    """A detector, the events that wait for it, and what it has said."""

    watch: Watch
    waiting: list[Happened] = field(default_factory=list)
    marks: Marks = field(default_factory=Marks)
    trace: Trace = field(default_factory=Trace)
    alarms: list[dict[str, Any]] = field(default_factory=list)


class Run:
    """All detectors of a file.

    Args:
        sensitivities: by slice.
        reference: to begin with; absent: each learns its own.
    """

    def __init__(self, sensitivities: dict[str, Sensitivity], reference: Reference | None = None) -> None:
        self.slices = {name: Sliced(Watch(one)) for name, one in sensitivities.items()}
        for one in self.slices.values():
            if reference is not None:
                one.watch.given(reference)

    def take(self, events: Iterable[Happened]) -> None:
        """Take in events in the order of the file."""
        for event in events:
            one = self.slices[event.slice]
            one.waiting.append(event)
            if len(one.waiting) >= BLOCK:
                self._flush(event.slice, one)

    def finish(self) -> list[dict[str, Any]]:
        """Take in what waits; all alarms in the order of their offsets."""
        for name, one in self.slices.items():
            self._flush(name, one)
        found = [alarm for one in self.slices.values() for alarm in one.alarms]
        return sorted(found, key=lambda alarm: (alarm["offset"], alarm["slice"]))

    def _flush(self, name: str, one: Sliced) -> None:
        if not one.waiting:
            return
        start, events, one.waiting = one.watch.offset, one.waiting, []
        one.marks.add(start, (events[0].offset, events[0].time))
        for finding in one.watch.observe([event.symbol for event in events]):
            if finding.state == "open":
                one.trace.add(finding.log_evidence, 0)
                one.alarms.append(_alarm(name, one, finding, start, events))
            else:
                _tell(one.alarms[-1], finding, events[finding.offset - start])
        one.trace.add(one.watch.log_evidence, len(events))


def _alarm(name: str, one: Sliced, finding: Finding, start: int, events: list[Happened]) -> dict[str, Any]:
    at = events[finding.offset - start]

    def place(offset: int) -> tuple[int, str]:
        if offset >= start:
            event = events[min(offset - start, len(events) - 1)]
            return event.offset, event.time
        nearest = one.marks.nearest(offset)
        if nearest is None:
            return at.offset, at.time
        mark, (outer, time) = nearest
        return (outer + offset - mark if not name else outer), time

    change, low, high = (place(offset) for offset in finding.change)
    effect = finding.effect
    return {
        "slice": name, "offset": at.offset, "time": at.time, "state": "open",
        "change": change[0], "change_low": low[0], "change_high": high[0], "change_time": change[1],
        "log_evidence": round(finding.log_evidence, 3),
        "tvd": round(effect.tvd, 4), "tvd_low": round(effect.low, 4), "tvd_high": round(effect.high, 4),
        "classes": _classes(finding),
        "resolved": None, "resolved_time": None, "returned": False,
        "reference_events": finding.reference.n, "events_since_change": sum(finding.counts.values()),
    }  # fmt: skip


def _classes(finding: Finding) -> list[dict[str, Any]]:
    """The classes whose interval leaves out 0, the largest shift first."""
    return [
        {"class": s.symbol} | {name: round(getattr(s, name), 4) for name in ("before", "after", "delta", "low", "high")}
        for s in finding.effect.shifts
        if s.low > 0.0 or s.high < 0.0
    ][:SHOWN_CLASSES]


def _tell(alarm: dict[str, Any], finding: Finding, at: Happened) -> None:
    alarm["state"] = finding.state
    if not finding.returned:
        effect = finding.effect
        alarm["later"] = {
            "offset": at.offset, "tvd": round(effect.tvd, 4), "tvd_low": round(effect.low, 4),
            "tvd_high": round(effect.high, 4), "classes": _classes(finding),
        }  # fmt: skip
    if finding.state == "resolved":
        alarm |= {"resolved": at.offset, "resolved_time": at.time, "returned": finding.returned}
