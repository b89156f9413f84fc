"""When a project is trained: after enough new labels, or when an alarm asks for it. Reasons: decision 0109."""

import math

from shared.events import Training

AFTER_DRIFT = 0.25
"""Share of `after_labels` that drift waits for: what came before it teaches nothing of it."""


def due(
    training: Training,
    *,
    labels: int,
    since: int,
    tried: bool,
    live: bool,
    breached: bool = False,
    drifted: bool = False,
) -> bool:
    """Whether a training is to begin.

    Args:
        training: of the project.
        labels: in all.
        since: those that came after the last training.
        tried: there was one.
        live: a model is.
        breached: its certificate was withdrawn.
        drifted: an alarm about drift is open.
    """
    if not live:
        return labels >= training.first_after and (
            not tried or since >= min(training.first_after, training.after_labels)
        )
    wanted = training.after_labels
    if drifted:
        wanted = math.ceil(wanted * AFTER_DRIFT)
    return since >= (1 if breached else wanted)
