"""What is published of people on kinds that are fused."""

from collections.abc import Iterable, Mapping

import numpy as np

from services.qc.domain.fusing.counted import (
    ARCS,
    CLASS,
    CONSENSUS,
    EXTENT,
    FALSE,
    FOUND,
    GIVEN,
    NO,
    PIXELS,
    PROPOSAL,
    SQUARES,
    WORDS,
    YES,
    Cell,
    Counted,
    spread,
    sums,
    weight,
)
from services.qc.domain.fusing.proposals import Deed
from services.qc.domain.kinds.ratings import within
from services.qc.domain.kinds.ratios import Sums, around, interval, rate
from services.qc.domain.raters import Raters
from shared.events import Corrections, PartSkill

DIGITS = 6
Own = Mapping[Cell, tuple[float, float]]


def _share(right: float, wrong: float) -> float | None:
    return round(right / (right + wrong), DIGITS) if right + wrong > 0 else None


def _known(own: Own, classes: tuple[float, float], answers: float) -> dict[str, tuple[float, float]]:
    """95 % of each figure that has one: what comes together in an answer makes it wider."""
    right, seen = classes[0], sum(classes)
    one = [np.array([value]) for value in (right, seen, seen, right, right, seen)]  # each object is one trial
    shares = {
        "detection": (sums(own, FOUND, YES, NO), True),
        "right_class": (Sums(*one), True),
        "extent": (sums(own, EXTENT, YES, NO), False),
        "words": (sums(own, WORDS, NO, YES), True),
        "pixels": (sums(own, PIXELS, YES, NO), False),
    }
    found = {
        name: around(float(told.share[0]), interval(told, whole=whole)[0])
        for name, (told, whole) in shares.items()
        if told.seen[0] > 0.0
    }
    if answers:
        found["false"] = rate(weight(own, FALSE, NO), answers, max(weight(own, FALSE, SQUARES), 0.0))
    return {name: (round(low, DIGITS), round(high, DIGITS)) for name, (low, high) in found.items()}


def part_skills(who: str, counted: Mapping[str, Counted]) -> tuple[PartSkill, ...]:
    """Their skill on each part of the label, as counted, without priors."""
    found = (_part(part, one.own(who)) for part, one in sorted(counted.items()))
    return tuple(one for one in found if one is not None)


def rater_skill(who: str, raters: Raters | None, tolerance: float) -> tuple[PartSkill, ...]:
    """How somebody gives numbers, as the last snapshot knows it; nothing where people are alike, as far as it can tell.

    Args:
        who: the annotator.
        raters: of the snapshot, in tolerances.
        tolerance: of the project's scale.
    """
    if raters is None or who not in raters.people:
        return ()
    offset, spread = raters.people[who]
    met = raters.met.get(who, 0.0)
    half, low, high = (float(one[0]) for one in within(np.array([met]), np.array([spread])))
    known = {"offset": (offset - half, offset + half), "deviation": (low, high)}
    return (
        PartSkill(
            answers=round(met),
            offset=round(offset * tolerance, DIGITS),
            deviation=round(spread * tolerance, DIGITS),
            intervals={
                name: (round(a * tolerance, DIGITS), round(b * tolerance, DIGITS)) for name, (a, b) in known.items()
            },
        ),
    )


def _part(part: str, own: Own) -> PartSkill | None:
    answers = own.get((FOUND, "", GIVEN), (0.0, 0.0))[0]
    spoken = weight(own, WORDS, YES) + weight(own, WORDS, NO)
    chosen = {cell: both for cell, both in own.items() if cell[0] == CONSENSUS}
    if not answers and not spoken and not chosen:
        return None
    right, wrong = _classes((cell, mass) for cell, (_, mass) in own.items() if cell[0] in (CLASS, CONSENSUS))
    off = spread(own)
    return PartSkill(
        part=(part.removesuffix(ARCS) + " relations").strip() if part.endswith(ARCS) else part or None,
        answers=round(answers or sum(number for number, _ in chosen.values())),
        detection=_share(weight(own, FOUND, YES), weight(own, FOUND, NO)),
        false=round(weight(own, FALSE, NO) / answers, DIGITS) if answers else None,
        right_class=_share(right, wrong),
        extent=_share(weight(own, EXTENT, YES), weight(own, EXTENT, NO)),
        words=_share(weight(own, WORDS, NO), weight(own, WORDS, YES)),
        pixels=_share(weight(own, PIXELS, YES), weight(own, PIXELS, NO)),
        spread=None if off is None else round(off, DIGITS),
        intervals=_known(own, (right, wrong), answers),
    )


def _classes(cells: Iterable[tuple[Cell, float]]) -> tuple[float, float]:
    right = wrong = 0.0
    for (_, truth, answered), mass in cells:
        same = truth == answered or (truth, answered) == ("", YES)
        right, wrong = right + mass * same, wrong + mass * (not same)
    return right, wrong


def corrections(who: str, counted: Mapping[str, Counted]) -> Corrections | None:
    """What became of the proposals that they saw."""
    own = counted[""].own(who) if "" in counted else {}
    done = {deed: own.get((PROPOSAL, "", deed.value), (0.0, 0.0)) for deed in Deed}
    total = sum(number for number, _ in done.values())
    if not total:
        return None
    return Corrections(
        accepted=round(done[Deed.ACCEPTED][0]),
        edited=round(done[Deed.EDITED][0]),
        replaced=round(done[Deed.REPLACED][0]),
        distance=round(min(sum(apart for _, apart in done.values()) / total, 1.0), DIGITS),
    )
