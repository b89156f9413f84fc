"""What one page shows, gathered: the metrics' snapshot, the last minutes, and two bounded statements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.monitor.domain.history import STREAMS
from services.monitor.domain.overview import Overview, overview
from services.monitor.metrics import FlowCollector
from services.monitor.store.reading import Person
from shared.events import DriftAlarm, Path

PEOPLE_AT_MOST = 25
ALARMS_AT_MOST = 20


@dataclass(frozen=True, slots=True)
class Lag:
    """How far monitor is behind on a topic: records of all partitions, and the age of the oldest one."""

    topic: str
    records: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class Rates:
    """Per second: over the last minute, and over time; by stream of `history.STREAMS` and by `labels/<path>`."""

    now: Mapping[str, float | None]
    past: Mapping[str, Sequence[tuple[datetime, float]]]


@dataclass(frozen=True, slots=True)
class View:
    """One project.

    Attributes:
        projects: all of them, for the choice.
        at: when it is shown.
        stopped: why figures may be old: what is not ready.
        alarms: open ones first, then the latest of the others.
        people: by id from `after` on; `more`: there are others behind them.
    """

    projects: Sequence[str]
    at: datetime
    overview: Overview
    rates: Rates
    lags: Sequence[Lag]
    alarms: Sequence[DriftAlarm]
    people: Sequence[Person]
    after: str
    more: bool
    stopped: Mapping[str, str]


def overview_of(collector: FlowCollector, project: str) -> Overview | None:
    """The project as of the last snapshot; None where there is none, or no such project."""
    shown = collector.snapshot
    if shown is None or project not in shown.projects or project not in shown.figures:
        return None
    return overview(
        project,
        taken_at=shown.taken_at,
        totals=shown.totals,
        window=shown.window,
        reference=shown.reference,
        classes=shown.projects[project],
        figures=shown.figures[project],
        budget_left=shown.budget_left.get(project, 0),
    )


def rates_of(collector: FlowCollector, project: str) -> Rates:
    """The rates of a project."""
    history = collector.history
    streams = [*STREAMS, *(f"labels/{path.value}" for path in Path)]
    return Rates(
        {stream: history.rate(project, stream) for stream in streams},
        {stream: history.rates(project, stream) for stream in streams},
    )
