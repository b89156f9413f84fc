"""Whether an exported model says what was fitted."""

from collections.abc import Mapping, Sequence

TOLERANCE = 2e-3


def mismatch(own: Mapping[str, Sequence[float]], exported: Mapping[str, Sequence[float]]) -> str | None:
    """How the two differ beyond what single precision explains, or None.

    Args:
        own: content hash to the trainer's own probabilities.
        exported: the same from the exported model, as prelabel reads it; empty where it abstains.
    """
    for name, expected in own.items():
        found = exported.get(name, ())
        if len(found) != len(expected):
            return f"the exported model abstains on a content that was learned from ({len(found)} probabilities)"
        gap = max(abs(one - other) for one, other in zip(found, expected, strict=True))
        if gap > TOLERANCE:
            return f"a probability of the exported model is off by {gap:.4f}"
    return None
