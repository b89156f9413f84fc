"""What rounds taught about people on kinds that are fused: integer cells, and the parameters made of them.

A cell is kept as the cells of choices are: by annotator, source, truth and answer, with answers and mills. So it is a
sum over items, the same after any replay.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from services.qc.domain.answers import Floats
from services.qc.domain.kinds.objects import OFF, OWN_EXTENTS, Crowd, Skill
from services.qc.domain.kinds.presence import EDGE, LURE, Anchors
from services.qc.domain.kinds.ratios import Sums
from services.qc.domain.rows import Priors, columns, expected_columns

FOUND, FALSE, CLASS, EXTENT, TAGS, WORDS, PIXELS, PROPOSAL = (
    "found", "false", "class", "extent", "tags", "words", "pixels", "proposal",
)  # fmt: skip
CONSENSUS: Final = "consensus"
SOURCES: Final = frozenset({FOUND, FALSE, CLASS, EXTENT, TAGS, WORDS, PIXELS, PROPOSAL})
"""What is counted: objects of the label found or missed, false objects, their classes, how near extents are, tags of
atoms, words, disputed pixels, and what was done to proposals."""
ARCS: Final = "~arcs"
"""The part of relations that holds them; their spans are the part without a name."""
YES, NO, GIVEN = "=", "!", ""
"""Right, wrong; and an answer as such."""
SQUARES, CROSS = "==", "=!"
"""Squares over answers, so that intervals know what errs together: the weight of `SQUARES` is of what is right, its
answers are the mills of what was seen; the weight of `CROSS` is of their product, its answers are answers."""
MILLS = 1000
ANSWERS = 3.0
"""Answers that the assumed density is worth."""
NEAR: Final = 0.85
NEAR_ANSWERS = 20.0
"""How often people are assumed to draw an extent as it is, and the objects that this is worth."""

Cell = tuple[str, str, str]
"""(source, truth, answered)."""
CellKey = tuple[str, str, str, str]
"""(annotator, truth, answered, source)."""


@dataclass(slots=True)
class Cells:
    """Answers and mills by cell."""

    answers: Counter[CellKey] = field(default_factory=Counter)
    weights: Counter[CellKey] = field(default_factory=Counter)

    def add(self, who: str, cell: Cell, number: int, mills: int | None = None) -> None:
        """Count so many; `mills` where they are not worth 1000 each."""
        source, truth, answered = cell
        key = (who, truth, answered, source)
        self.answers[key] += number
        self.weights[key] += MILLS * number if mills is None else mills

    def add_squares(self, who: str, source: str, right: int, seen: int, answers: int = 1) -> None:
        """Count what one answer adds to a share, of whose trials so many mills are right."""
        if seen:
            self.add(who, (source, "", SQUARES), seen * seen // MILLS, right * right // MILLS)
            self.add(who, (source, "", CROSS), answers, right * seen // MILLS)


def part_of(source: str) -> tuple[str, str]:
    """The part of the label that a stored source speaks of, and the source."""
    part, _, name = source.rpartition("/")
    return part, name


def within(part: str, source: str) -> str:
    """A source as it is stored for a part of the label."""
    return f"{part}/{source}" if part else source


@dataclass(slots=True)
class Counted:
    """The cells of one part of the label: of each annotator, and of everybody together."""

    people: dict[str, dict[Cell, tuple[float, float]]] = field(default_factory=dict)
    crowd: dict[Cell, tuple[float, float]] = field(default_factory=dict)

    def add(self, who: str, cell: Cell, answers: float, weight: float) -> None:
        """Answers, and their weight in answers; those of nobody say something about the crowd alone."""
        for known in (self.crowd, *([self.people.setdefault(who, {})] if who else [])):
            before = known.get(cell, (0.0, 0.0))
            known[cell] = (before[0] + answers, before[1] + weight)

    def own(self, who: str) -> Mapping[Cell, tuple[float, float]]:
        return self.people.get(who, {})


NOTHING = Counted()


def weight(cells: Mapping[Cell, tuple[float, float]], source: str, answered: str) -> float:
    return cells.get((source, "", answered), (0.0, 0.0))[1]


def number(cells: Mapping[Cell, tuple[float, float]], source: str, answered: str) -> float:
    return cells.get((source, "", answered), (0.0, 0.0))[0]


def sums(cells: Mapping[Cell, tuple[float, float]], source: str, right: str, wrong: str) -> Sums:
    """What is known of a share: of one annotator, or of everybody."""
    hits = weight(cells, source, right)
    cross = weight(cells, source, CROSS)
    turned = right != YES  # squares are of what is under YES
    seen = hits + weight(cells, source, wrong)
    whole, squares = number(cells, source, SQUARES) / MILLS, weight(cells, source, SQUARES)
    if turned:
        squares, cross = whole - 2.0 * cross + squares, whole - cross
    each = (hits, seen, number(cells, source, CROSS), squares, cross, whole)
    return Sums(*(np.array([max(one, 0.0)]) for one in each))


def matrix(cells: Mapping[Cell, tuple[float, float]], source: str, names: Sequence[str]) -> Floats:
    """(answered, truth); of these names alone."""
    place = {name: index for index, name in enumerate(names)}
    found = np.zeros((len(names), len(names)))
    for (of, truth, answered), (_, mass) in cells.items():
        if of == source and truth in place and answered in place:
            found[place[answered], place[truth]] += mass
    return found


def rate(hits: float, seen: float, prior: float, strength: float) -> float:
    """A share of what was seen, shrunk."""
    return (hits + strength * prior) / (seen + strength)


@dataclass(frozen=True, slots=True)
class Rates:
    """What one annotator is like, or the crowd; see `objects.Skill`. `near`: P(draws an extent as it is)."""

    detection: float
    false: float
    off: float
    near: float
    spread: float = OFF


def crowd_rates(counted: Counted) -> Rates:
    """Of everybody, anchored."""
    anchors, cells = Anchors(), counted.crowd
    hits, missed = weight(cells, FOUND, YES), weight(cells, FOUND, NO)
    marks, left = weight(cells, FALSE, NO), weight(cells, FALSE, YES)
    close, apart = weight(cells, EXTENT, YES), weight(cells, EXTENT, NO)
    near, far = number(cells, EXTENT, YES), number(cells, EXTENT, NO)
    detection = rate(hits, hits + missed, anchors.detection, anchors.crowd)
    return Rates(
        detection,
        min(rate(marks, marks + left, anchors.false, anchors.crowd), LURE * detection),
        rate(apart, close + apart, OFF, OWN_EXTENTS),
        rate(near, near + far, NEAR, NEAR_ANSWERS),
        _root(cells, OFF),
    )


def rates_of(who: str, counted: Counted, crowd: Rates) -> Rates:
    """Of one annotator, shrunk to the crowd's."""
    own, cells = Anchors().own, counted.own(who)
    hits, missed = weight(cells, FOUND, YES), weight(cells, FOUND, NO)
    marks, left = weight(cells, FALSE, NO), weight(cells, FALSE, YES)
    close, apart = weight(cells, EXTENT, YES), weight(cells, EXTENT, NO)
    near, far = number(cells, EXTENT, YES), number(cells, EXTENT, NO)
    false = min(max(rate(marks, marks + left, crowd.false, own), EDGE), 1.0 - 2.0 * EDGE)
    detection = max(rate(hits, hits + missed, crowd.detection, own), false + EDGE)
    return Rates(
        min(detection, 1.0 - EDGE),
        false,
        rate(apart, close + apart, crowd.off, OWN_EXTENTS),
        rate(near, near + far, crowd.near, own),
        _root(cells, crowd.spread),
    )


def spread(cells: Mapping[Cell, tuple[float, float]]) -> float | None:
    """The root mean square of how far extents are from those of labels; None where none was compared."""
    met, apart = number(cells, EXTENT, CROSS), _apart(cells)
    return (apart / met) ** 0.5 if met > 0.0 else None


def _apart(cells: Mapping[Cell, tuple[float, float]]) -> float:
    """The sum of the squares of distances: of 1 - similarity."""
    close, met = weight(cells, EXTENT, CROSS), number(cells, EXTENT, CROSS)
    return max(met - 2.0 * close + weight(cells, EXTENT, SQUARES), 0.0)


def _root(cells: Mapping[Cell, tuple[float, float]], prior: float) -> float:
    """The spread, shrunk."""
    met = max(number(cells, EXTENT, CROSS), 0.0)
    return float(((_apart(cells) + OWN_EXTENTS * prior**2) / (met + OWN_EXTENTS)) ** 0.5)


def crowd_of(counted: Counted, classes: Sequence[str], people: Iterable[str]) -> Crowd:
    """The parameters by which `objects.fuse` fuses the answers of these people.

    How many real and false things an item holds follows from how many an answer has of each, by the crowd's rates.
    """
    names, typical, anchors = sorted(set(people)), crowd_rates(counted), Anchors()
    answers = number(counted.crowd, FOUND, GIVEN)
    real, _, false = anchors.density
    found = rate(weight(counted.crowd, FOUND, YES), answers, real * anchors.detection, ANSWERS) / typical.detection
    wrong = rate(weight(counted.crowd, FALSE, NO), answers, false * anchors.false, ANSWERS) / typical.false
    priors, pooled = Priors(), matrix(counted.crowd, CLASS, classes)
    own = np.stack([matrix(counted.own(name), CLASS, classes) for name in names] or [np.zeros_like(pooled)])
    told = columns(own, expected_columns(own, priors, pooled), priors.row_answers)
    nobody = expected_columns(np.zeros_like(pooled)[None], priors, pooled)[0]
    share = pooled.sum(axis=0) + priors.class_items
    share = share / share.sum()
    rates = {name: rates_of(name, counted, typical) for name in names}
    return Crowd(
        {
            name: Skill(one.detection, one.false, float(np.diag(told[at]) @ share), one.off, spread=one.spread)
            for at, (name, one) in enumerate(rates.items())
        },
        Skill(typical.detection, typical.false, float(np.diag(nobody) @ share), typical.off, spread=typical.spread),
        tuple(classes),
        share,
        {name: told[at] for at, name in enumerate(names)},
        nobody,
        (found, 0.0, wrong),
    )
