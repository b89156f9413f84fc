"""Objects with an extent: fused by the engine of objects, with a chance for existence, class and extent of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.qc.domain.answers import Floats
from services.qc.domain.fusing.counted import Counted, Rates, crowd_of, crowd_rates, rates_of
from services.qc.domain.fusing.outcome import LeftOut, Part
from services.qc.domain.kinds.clusters import Answer, Geometry
from services.qc.domain.kinds.objects import Object, fuse

CHANCE = 0.1
"""P(somebody who drew it wrongly is as near to the fused extent as if it were right)."""
WORTH_TELLING = 0.05


@dataclass(frozen=True, slots=True)
class Objects:
    """What came of the answers: objects of the label with their parts, and those left out."""

    kept: tuple[Object[Any], ...]
    parts: tuple[Part, ...]
    left_out: tuple[LeftOut, ...]
    unseen: float


def fused(
    answers: Sequence[Answer[Any]],
    geometry: Geometry[Any],
    counted: Counted,
    classes: Sequence[str],
    *,
    near: float,
    place: int = 0,
) -> Objects:
    """Fuse the objects of one item.

    Args:
        answers: at most one by an annotator.
        geometry: of the extents.
        counted: of the annotators.
        classes: of the project.
        near: similarity at which two extents are the same.
        place: of the first object in the value.
    """
    crowd = crowd_of(counted, classes, (answer.annotator for answer in answers))
    found, typical = fuse(answers, geometry, crowd), crowd_rates(counted)
    rates = [rates_of(answer.annotator, counted, typical) for answer in answers]
    kept = tuple(one for one in found.objects if one.kept)
    parts = tuple(
        Part(
            place + at,
            one.existence,
            one.classes.get(one.label, 1.0),
            extent_posterior(one, geometry, rates, near),
            one.votes,
        )
        for at, one in enumerate(kept)
    )
    others = tuple(LeftOut(one.existence, one.votes) for one in found.objects if not one.kept)
    return Objects(kept, parts, tuple(one for one in others if one.existence >= WORTH_TELLING), found.unseen)


def extent_posterior(one: Object[Any], geometry: Geometry[Any], rates: Sequence[Rates], near: float) -> float:
    """P(the fused extent is right): each person who drew it is near to it or not, if it is right or by chance."""
    drawn = list(one.drawn)
    alike: Floats = geometry.similarity([one.extent], [one.drawn[at].extent for at in drawn])[0]
    right, wrong = 0.0, 0.0
    for at, similarity in zip(drawn, alike.tolist(), strict=True):
        skill = rates[at].near
        right += np.log(skill if similarity >= near else 1.0 - skill)
        wrong += np.log(CHANCE if similarity >= near else 1.0 - CHANCE)
    return float(1.0 / (1.0 + np.exp(wrong - right)))


def nothing_missed(numbers: Sequence[int], counted: Counted) -> float:
    """P(a lone person who gave so many objects missed none), as the crowd detects."""
    typical = crowd_rates(counted)
    missed = 1.0 - typical.detection
    return float(np.exp(-sum(1.0 + number for number in numbers) * missed / (1.0 + typical.detection)))
