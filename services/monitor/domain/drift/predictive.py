"""The null of a small reference: its shares are not known, so they go on being learned while they are compared with.

Against a point estimate the mean of a likelihood ratio is above 1 in some direction, for good, and sooner or later that
is an alarm. Against the predictive distribution it is 1: where the shares are from a Dirichlet prior, the next event is
of symbol k with probability (m_k + s_k) / (m + s), m the counts of the reference and the prior, s those of the events
since (Dawid 1984; with Jeffreys' prior Krichevsky and Trofimov 1981). So the budget holds on average over what the
shares may be, and a change is found as soon as the reference is large enough to tell it from a reference that is off.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.drift.reference import Reference

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Predictive:
    """Of a first-order chain of tempered events, whose counts are worth less than their number.

    Attributes:
        p: (size,) shares by the reference and the prior, none of them zero.
        mass: events that they are worth, and the prior.
        worth: of an event since, beside an independent one.
        stay: chance that an event repeats the one before, beyond its share.
        temper: exponent of likelihood ratios.
    """

    p: Floats
    mass: float
    worth: float
    stay: float
    temper: float

    @classmethod
    def of(cls, reference: Reference) -> "Predictive":
        """By a reference."""
        p, worth = reference.p, 1.0 / reference.inflation
        mass = (reference.n + reference.singles + 0.5 * len(p)) * worth
        return cls(p, mass, worth, reference.repeats, 1.0 / reference.overdispersion)

    def factors(self, codes: NDArray[np.integer[Any]], repeated: NDArray[np.bool_], seen: NDArray[np.int64]) -> Floats:
        """(events,) by what ratios against `p` are multiplied so that they are against the predictive distribution.

        Args:
            codes: of the next events.
            repeated: which of them equal the one before.
            seen: (size,) events before, by code.
        """
        same = np.tril(codes[:, None] == codes, -1).sum(axis=1)
        own = self.mass * self.p[codes] + self.worth * (seen[codes] + same)
        now = own / (self.mass + self.worth * (seen.sum() + np.arange(len(codes))))
        stay = np.where(repeated, self.stay, 0.0)
        result: Floats = ((stay + (1.0 - stay) * self.p[codes]) / (stay + (1.0 - stay) * now)) ** self.temper
        return result
