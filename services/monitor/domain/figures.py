"""What measurements of quality come to per project: numbers for metrics and the status page. Nobody is named here."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from services.monitor.domain.accuracy import wilson
from services.monitor.domain.counters import Counts, Kind
from shared.events import (
    Accuracy,
    Agreement,
    Calibration,
    Certificate,
    ConfusedPair,
    ErrorPatterns,
    ModelCalibration,
    Path,
)

BANDS = 10
"""Of people's accuracy: a tenth each."""
AUDIT = "audit"
MAX_PAIRS = 10

Kept = Agreement | Calibration | Certificate | ErrorPatterns | Accuracy | ModelCalibration
KINDS = ("agreement", "calibration", "certificate", "error_patterns")
"""The measurements that figures are made of, as `quality.v1` names them."""
ROLLING = ("accuracy", "model_calibration")
"""Those of a rolling week: of what is not measured any more the last one says nothing."""
MAX_MODELS = 5
"""Model versions shown per project, those with most labels."""


class Right(NamedTuple):
    """How often live labels of one path are right, with a 95 % interval, and what that stands on."""

    accuracy: float
    low: float
    high: float
    labels: int
    basis: str
    estimate: float | None = None


class Audited(NamedTuple):
    """Blind audits of one model in the window: how many; the share that agrees, weighed by chance; its 95 %."""

    labels: int
    agreement: float
    low: float
    high: float


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
        accuracy: by (`model` or `path`, which).
        model_calibration: by model version.
    """

    agreement: Agreement | None = None
    by_class: dict[str, Agreement] = field(default_factory=dict)
    calibration: dict[str, Calibration] = field(default_factory=dict)
    certificate: Certificate | None = None
    confused: tuple[ConfusedPair, ...] = ()
    people: People = field(default_factory=People)
    accuracy: dict[tuple[str, str], Accuracy] = field(default_factory=dict)
    model_calibration: dict[str, ModelCalibration] = field(default_factory=dict)

    def models(self) -> dict[str, Accuracy]:
        """Accuracy of the models that most is known of, those first."""
        some = [one for (of, _), one in self.accuracy.items() if of == "model"]
        ranked = sorted(some, key=lambda one: (-one.labels, one.name))
        return {one.name: one for one in ranked[:MAX_MODELS]}

    def paths(self) -> dict[str, Right]:
        """Accuracy of live labels by path, as far as it is known.

        Of `consensus` it is qc's, by gold, else by experts; the interval is Wilson's. Nothing judges experts.
        """
        found = {
            one.name: Right(one.accuracy, one.low, one.high, one.labels, one.basis, one.estimate)
            for (of, _), one in sorted(self.accuracy.items())
            if of == "path"
        }
        for against in ("gold", "expert"):
            one = self.calibration.get(against)
            if one is not None and one.labels and Path.CONSENSUS.value not in found:
                low, high = wilson(one.accuracy, one.labels)
                found[Path.CONSENSUS.value] = Right(one.accuracy, low, high, one.labels, against)
        return found


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
        case Accuracy():
            figures.accuracy[one.of, one.name] = one
        case ModelCalibration():
            figures.model_calibration[one.model_version] = one


def audited(window: Counts) -> dict[tuple[str, str], Audited]:
    """Per (project, model version) with audits in the window.

    The interval is Wilson's at as many audits of equal weight as tell as much (Kish 1965); those of one time bucket and
    verdict are taken to weigh the same.
    """
    labels: Counter[tuple[str, str]] = Counter()
    weight: Counter[tuple[str, str]] = Counter()
    agreed: Counter[tuple[str, str]] = Counter()
    squares: dict[tuple[str, str], float] = defaultdict(float)
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
            squares[place] += n * n / max(window[key._replace(kind=Kind.COMPARED)], 1)
    found = {}
    for place, total in weight.items():
        if total > 0:
            rate = agreed[place] / total
            found[place] = Audited(labels[place], rate, *wilson(rate, total**2 / squares[place]))
    return found


def worst_classes(figures: Figures, limit: int) -> dict[str, Agreement]:
    """The classes that people agree least on, at most `limit`: by AC1, which no ruling class pulls down."""
    ranked = sorted(figures.by_class.items(), key=lambda pair: (_coefficient(pair[1]), pair[0]))
    return dict(ranked[:limit])


def _coefficient(one: Agreement) -> float:
    return one.ac1 if one.ac1 is not None else one.percent
