"""Labels that a later snapshot no longer believes.

A label is given when the posterior reaches the target, under what was known of its people then. What is learned of them
later may leave it short; it is asked for again while it may have more opinions. On recorded crowds those opinions are
better spent than the same number by a higher target (decision 27).
"""

SLACK = 1.1
"""How many times the error that the target allows a label may have: none is asked for again for a rounding."""


def in_doubt(posterior: float, target: float) -> bool:
    """Whether a label that the target once admitted falls clearly short of it now."""
    return 1.0 - posterior > SLACK * (1.0 - target)
