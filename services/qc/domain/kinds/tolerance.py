"""Gold with a tolerance: how far an answer of each kind may be from the known one and still be right."""

from services.qc.domain.kinds.registry import KINDS
from shared.labels import LabelValue

GOLD = {"spans": 0.2, "relations": 0.3, "segments": 0.3, "transcript": 0.1}
"""Of the kind's distance: 1 less the F1 of exact spans, 1 less the mean similarity of objects, words to edit."""


def right(answer: LabelValue, gold: LabelValue) -> bool | None:
    """Whether an answer to a gold item is right; None for kinds that are compared by being equal."""
    kind, tolerance = KINDS.get(gold.kind), GOLD.get(gold.kind)
    if kind is None or tolerance is None or answer.kind != gold.kind:
        return None
    return kind.distance(answer, gold) <= tolerance
