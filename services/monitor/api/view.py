"""What one page shows, gathered: the metrics' snapshot, the last minutes, and two bounded statements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.monitor.domain.drift.standing import DetectorState, Standing
from services.monitor.domain.history import STREAMS
from services.monitor.domain.overview import Overview, overview
from services.monitor.metrics import FlowCollector
from services.monitor.store.reading import Person
from shared.events import DriftAlarm, Path

PEOPLE_AT_MOST = 25
ALARMS_AT_MOST = 20
DETECTORS_AT_MOST = 12


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
class Watching:
    """How the detectors of a project stand.

    Attributes:
        budget: events between false alarms, of all of them together; None: drift is not watched.
        counts: detectors by state.
        surest: those that are nearest to an alarm.
        past: signal -> how far its surest one was on the way to an alarm, over the last minutes.
    """

    budget: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    surest: Sequence[Standing] = ()
    past: Mapping[str, Sequence[tuple[datetime, float]]] = field(default_factory=dict)

    @property
    def false_alarms(self) -> float | None:
        """Per 100,000 events, at most."""
        return None if self.budget is None else 100_000 / self.budget


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
    watching: Watching = Watching()


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


def watching_of(collector: FlowCollector, project: str, surest: Sequence[Standing]) -> Watching:
    """How a project's detectors stood at the last snapshot; none of a project that is not watched."""
    shown = collector.snapshot
    if shown is None or project not in shown.drift_budgets:
        return Watching()
    own = [one for (name, _), one in shown.watched.items() if name == project]
    counts = {state.value: sum(getattr(one, state.value) for one in own) for state in DetectorState}
    return Watching(shown.drift_budgets[project], counts, surest, collector.evidence.of(project))
