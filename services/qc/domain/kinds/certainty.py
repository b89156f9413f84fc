"""How well an annotator's skill with objects is known: 95 % intervals."""

from collections.abc import Mapping

import numpy as np
from scipy.special import betaincinv

from services.qc.domain.kinds.measures import Interval
from services.qc.domain.kinds.objects import Skill

PRIOR = 8.0
"""Objects that the crowd counts for in each rate, as while learning."""
NEVER = 1e-6
SIDE = 0.025
WIDE = 1.959964


def certainty(skill: Skill) -> Mapping[str, Interval]:
    """Of `detection`, `false` and `class` by beta posteriors, of `extent` by its standard error."""
    found = {
        "detection": _rate(skill.detection, skill.seen),
        "false": _rate(skill.false, skill.lures),
        "class": _rate(skill.accuracy, skill.detection * skill.seen),
    }
    half = WIDE * skill.off_error
    return found | {"extent": (max(1.0 - skill.off - half, 0.0), min(1.0 - skill.off + half, 1.0))}


def _rate(mean: float, seen: float) -> Interval:
    mass, mean = seen + PRIOR, min(max(mean, NEVER), 1.0 - NEVER)
    low, high = betaincinv(mean * mass, (1.0 - mean) * mass, np.array([SIDE, 1.0 - SIDE])).tolist()
    return low, high
