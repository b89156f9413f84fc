"""What the metrics and the status page show."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.monitor.domain.counters import Counts
from services.monitor.domain.drift.standing import Watched
from services.monitor.domain.figures import Figures
from shared.events import DriftAlarm


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one reading of the database found.

    Attributes:
        taken_at: when.
        totals: the counters that are kept for good.
        window: those of the rolling window.
        reference: classes of the day before the window.
        projects: the project's classes; empty where its labels have no list of classes.
        budget_left: relabel requests still possible, per project.
        anchoring: per project, -1 to 1; absent where there is nothing to compare.
        figures: per project, what was measured about its labels and people.
        alarms: (project, alarm), those that are open.
        watched: (project, signal) -> its detectors, of projects that are watched for drift.
        drift_budgets: of these, events between false alarms.
    """

    taken_at: datetime
    totals: Counts = field(default_factory=Counter)
    window: Counts = field(default_factory=Counter)
    reference: Counts = field(default_factory=Counter)
    projects: Mapping[str, Collection[str]] = field(default_factory=dict)
    budget_left: Mapping[str, int] = field(default_factory=dict)
    anchoring: Mapping[str, float] = field(default_factory=dict)
    figures: Mapping[str, Figures] = field(default_factory=dict)
    alarms: Sequence[tuple[str, DriftAlarm]] = ()
    watched: Mapping[tuple[str, str], Watched] = field(default_factory=dict)
    drift_budgets: Mapping[str, int] = field(default_factory=dict)
