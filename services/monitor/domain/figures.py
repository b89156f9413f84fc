"""What measurements of quality come to per project: numbers for metrics and the status page. Nobody is named here."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from services.monitor.domain.counters import Counts, Kind
from shared.events import Agreement, Calibration, Certificate, ConfusedPair, ErrorPatterns

BANDS = 10
"""Of people's accuracy: a tenth each."""
AUDIT = "audit"
MAX_PAIRS = 10

Kept = Agreement | Calibration | Certificate | ErrorPatterns
KINDS = ("agreement", "calibration", "certificate", "error_patterns")
"""The measurements that figures are made of, as `quality.v1` names them."""


class Audited(NamedTuple):
    """Blind audits of one model in the window: how many, and the share that agrees, each weighed by its chance."""

    labels: int
    agreement: float


@dataclass(frozen=True, slots=True)
class People:
    """Annotators of a project whose skill was measured, by tenths of accuracy; and those in quarantine."""

    by_band: Mapping[int, int] = field(default_factory=dict)
    quarantined: int = 0


@dataclass(slots=True)
class Figures:
    """The latest measurements of one project.

    Attributes:
        agreement: over the project; by_class: each class against the rest, by its present name.
        calibration: by what labels are compared with: gold, expert.
        certificate: the last one, granted or withdrawn.
        confused: pairs of classes, the costliest first.
        people: counts of annotators.
    """

    agreement: Agreement | None = None
    by_class: dict[str, Agreement] = field(default_factory=dict)
    calibration: dict[str, Calibration] = field(default_factory=dict)
    certificate: Certificate | None = None
    confused: tuple[ConfusedPair, ...] = ()
    people: People = field(default_factory=People)


def figures_of(
    projects: Iterable[str], measured: Iterable[tuple[str, Kept]], people: Mapping[str, People]
) -> dict[str, Figures]:
    """The figures of the projects that there are.

    Args:
        projects: their ids.
        measured: (project, measurement), the newest of each kind and subject.
        people: by project.
    """
    found = {project: Figures(people=people.get(project, People())) for project in projects}
    for project, one in measured:
        if project in found:
            _add(found[project], one)
    return found


def _add(figures: Figures, one: Kept) -> None:
    match one:
        case Agreement(scope="project"):
            figures.agreement = one
        case Agreement(scope="class"):
            figures.by_class[one.name] = one
        case Calibration():
            figures.calibration[one.against] = one
        case Certificate():
            if figures.certificate is None or figures.certificate.number < one.number:
                figures.certificate = one
        case ErrorPatterns():
            figures.confused = one.pairs[:MAX_PAIRS]


def audited(window: Counts) -> dict[tuple[str, str], Audited]:
    """Per (project, model version) with audits in the window."""
    labels: Counter[tuple[str, str]] = Counter()
    weight: Counter[tuple[str, str]] = Counter()
    agreed: Counter[tuple[str, str]] = Counter()
    for key, n in window.items():
        lane, _, verdict = key.symbol.partition(":")
        if lane != AUDIT:
            continue
        place = (key.project_id, key.part)
        if key.kind == Kind.COMPARED:
            labels[place] += n
        elif key.kind == Kind.COMPARED_WEIGHT:
            weight[place] += n
            agreed[place] += n if verdict == "agree" else 0
    return {place: Audited(labels[place], agreed[place] / weight[place]) for place in labels if weight[place] > 0}


def worst_classes(figures: Figures, limit: int) -> dict[str, Agreement]:
    """The classes that people agree least on, at most `limit`: by AC1, which no ruling class pulls down."""
    ranked = sorted(figures.by_class.items(), key=lambda pair: (_coefficient(pair[1]), pair[0]))
    return dict(ranked[:limit])


def _coefficient(one: Agreement) -> float:
    return one.ac1 if one.ac1 is not None else one.percent
