"""How far an answer of each kind may be from another, the label or gold, and still say the same."""

from collections.abc import Callable, Mapping
from typing import Any

from services.qc.domain.kinds.registry import KINDS
from services.qc.domain.kinds.shapes import DRAWINGS
from shared.labels import LabelValue, Masks, Mixed

TOLERANCE = {
    "spans": 0.2, "relations": 0.3, "segments": 0.3, "transcript": 0.1, "boxes": 0.3, "polygons": 0.3, "masks": 0.3,
    "tracks": 0.4,
}  # fmt: skip
"""Of the kind's distance: 1 less the F1 of exact spans, 1 less the mean similarity of objects, words to edit."""
DISTANCES: Mapping[str, Callable[[Any, Any], float]] = {
    **{name: drawings.distance for name, drawings in DRAWINGS.items()},
    **{name: KINDS[name].distance for name in ("spans", "relations", "transcript")},
}


def distance(one: LabelValue, other: LabelValue) -> float:
    """From 0, the same, to 1; of two kinds, of masks of different pictures, and of what has no distance, 0 or 1.

    Of a mix the mean over its parts; a part that one of both left out is as far as can be.
    """
    if isinstance(one, Mixed) and isinstance(other, Mixed):
        both = one.parts.keys() & other.parts.keys()
        every = one.parts.keys() | other.parts.keys()
        apart = sum(distance(one.parts[name], other.parts[name]) for name in sorted(both))
        return (apart + len(every) - len(both)) / len(every)
    of = DISTANCES.get(one.kind)
    if of is None or one.kind != other.kind or _other_picture(one, other):
        return float(one != other)
    return of(one, other)


def _other_picture(one: LabelValue, other: LabelValue) -> bool:
    if not isinstance(one, Masks) or not isinstance(other, Masks):
        return False
    return (one.width, one.height) != (other.width, other.height)


def right(answer: LabelValue, gold: LabelValue) -> bool | None:
    """Whether an answer to a gold item is right; None for kinds that are compared by being equal.

    Of a mix every part must be.
    """
    if isinstance(answer, Mixed) and isinstance(gold, Mixed):
        return answer.parts.keys() == gold.parts.keys() and all(
            part == gold.parts[name] or bool(right(part, gold.parts[name])) for name, part in answer.parts.items()
        )
    tolerance = TOLERANCE.get(gold.kind)
    if tolerance is None or answer.kind != gold.kind:
        return None
    return distance(answer, gold) <= tolerance
