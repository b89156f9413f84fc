"""A Shiryaev-Roberts e-detector over a finite alphabet.

For each alternative j the ratio L_j of an event's chance under it and under the null, and

    R_j <- (g_j R_j + 1) L_j,        evidence = sum_j w_j R_j.

While nothing changes, E[L_j] g_j <= 1, so evidence - t is a supermartingale: the mean run to a false alarm at evidence
>= A is at least A events (Shin, Ramdas, Rinaldo: E-detectors, 2024). Replicas that see parts of the events merge by the
sum: that of the evidences, less the events of all, is a supermartingale again.

Three things make the null as wide as a reference of real traffic needs. Events repeat the one before with a chance of
`repeats` (a first-order chain: a repeat then tells little). What is left of overdispersion tempers the ratio:
L^(1/phi). And g_j < 1 pays for the reference being a sample: with n events in it, E[L_j] is off by sqrt(chi2_j / n).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.drift.alternatives import (
    NARROW,
    alternatives,
    project_on_ball,
    project_on_hull,
    splits,
)
from services.monitor.domain.drift.predictive import Predictive
from services.monitor.domain.drift.reference import Reference
from services.monitor.domain.drift.season import regimes
from services.monitor.domain.drift.steps import Steps, steps

Floats = NDArray[np.float64]
Codes = NDArray[np.integer[Any]]
SAMPLING, SEASONAL_SAMPLING = 0.65, 1.0
"""Standard errors of the reference that g_j pays for; found by simulation, see the decision record."""
SEASONAL_PARAMETERS = 3.0
"""A fitted season has three coefficients where a constant has one."""
LARGEST_RATIO = 1e4
BLOCK = 64
"""Events per update at most: the product of so many ratios stays finite."""
NEAR = 30.0
"""A block is looked at event by event where its evidence comes within this factor of the threshold."""


@dataclass(frozen=True, eq=False)
class Tables:
    """What follows from a reference. Rows: a symbol that differs from the one before; `size` on, one that repeats it.

    Attributes:
        ratios: (2 * size, alternatives) L_j.
        fading: (alternatives,) g_j.
        chained: whether a repeat has another ratio than what repeats nothing.
        predictive: what the ratios are to be taken against instead, event by event; None where the reference is known.
    """

    ratios: Floats
    fading: Floats
    chained: bool = True
    predictive: Predictive | None = None

    @property
    def size(self) -> int:
        return len(self.ratios) // 2

    @cached_property
    def steps(self) -> Steps:
        """How a block is taken in."""
        return steps(self.ratios if self.chained else self.ratios[: self.size], self.fading)

    @classmethod
    def of(cls, reference: Reference, *, tolerance: float, seasonal: bool) -> "Tables":
        """For a null of everything within `tolerance` of the reference (total variation), or of its own season."""
        p, predictive = reference.p, None
        sought = alternatives(p)
        if tolerance > 0.0:
            sought = np.concatenate([sought, splits(p, tolerance)])
            far = np.abs(sought - p).sum(axis=1) / 2.0 > tolerance + NARROW
            sought = sought[far]
            null = project_on_ball(sought, p, tolerance)
            wide, errors = 1.0, 0.0
        elif seasonal and (season := reference.season_points) is not None:
            null = project_on_hull(sought, regimes(p, season))
            wide, errors = SEASONAL_PARAMETERS, SEASONAL_SAMPLING
        else:
            null, wide, errors = np.broadcast_to(p, sought.shape), 1.0, SAMPLING
            if not reference.known:
                predictive, errors = Predictive.of(reference), 0.0
        stay, temper = reference.repeats, 1.0 / reference.overdispersion
        ratio = np.minimum(sought / null, LARGEST_RATIO)
        repeated = np.minimum((stay + (1.0 - stay) * sought) / (stay + (1.0 - stay) * null), LARGEST_RATIO)
        spread = np.sqrt(
            ((sought / null - 1.0) ** 2 * p).sum(axis=1) * wide * reference.inflation / max(reference.n, 1)
        )
        fading = 1.0 / (1.0 + errors * spread * (1.0 - stay) * temper)
        ratios = np.ascontiguousarray(np.concatenate([ratio.T, repeated.T]) ** temper)
        return cls(ratios, fading, stay > 0.0, predictive)


class Detector:
    """The evidence that a signal has left its reference.

    Attributes:
        r: (alternatives,) R_j.
        last: code of the last event; -1 before the first.
        seen: (size,) events so far by code, where the reference goes on being learned.
    """

    def __init__(self, tables: Tables, threshold: float) -> None:
        self.tables = tables
        self.threshold = threshold
        self.r = np.zeros(len(tables.fading))
        self.last = -1
        self.seen = np.zeros(tables.size, dtype=np.int64)
        self._near = False
        self._weights = np.full(len(self.r), 1.0 / max(len(self.r), 1))

    @property
    def evidence(self) -> float:
        """The mean of R over the alternatives."""
        return float(self.r.dot(self._weights))

    @property
    def log_evidence(self) -> float:
        return math.log(max(self.evidence, 1.0))

    def update(self, codes: Codes) -> int | None:
        """Take in the next events, at most `BLOCK`.

        The state afterwards is exactly that of one event at a time.

        Returns:
            The index of the event at which the evidence reached the threshold, where it did; the state is then that
            after this event, and the later ones are not taken in.
        """
        if not len(codes) or not len(self.r):
            return None
        if self.tables.predictive is not None:
            return self._learning(codes, self.tables.predictive)
        rows = self._rows(codes)
        after = self.tables.steps.after(self.r, rows)
        near = float(after.dot(self._weights)) * NEAR >= self.threshold
        if near or self._near:
            self._near = near
            return self._one_by_one(codes, self.tables.ratios[rows])
        self.r, self.last = after, int(codes[-1])
        return None

    def _learning(self, codes: Codes, predictive: Predictive) -> int | None:
        """As `update`, against the predictive distribution; there is no fading."""
        factors = predictive.factors(codes, self._repeated(codes), self.seen)
        ratios = self.tables.ratios[self._rows(codes)] * factors[:, None]
        products = np.multiply.accumulate(ratios[::-1], axis=0)
        after = products[-1] * self.r + products.sum(axis=0)
        near = float(after.dot(self._weights)) * NEAR >= self.threshold
        if near or self._near:
            self._near = near
            index = self._one_by_one(codes, ratios)
        else:
            self.r, self.last, index = after, int(codes[-1]), None
        self.seen += np.bincount(codes if index is None else codes[: index + 1], minlength=self.tables.size)
        return index

    def _repeated(self, codes: Codes) -> NDArray[np.bool_]:
        repeated = np.empty(len(codes), dtype=np.bool_)
        repeated[0] = codes[0] == self.last
        np.equal(codes[1:], codes[:-1], out=repeated[1:])
        return repeated

    def _rows(self, codes: Codes) -> Codes:
        """Of the tables."""
        if not self.tables.chained:
            return codes
        rows: Codes = codes + self._repeated(codes).view(np.uint8) * np.uint8(self.tables.size)
        return rows

    def _one_by_one(self, codes: Codes, ratios: Floats) -> int | None:
        r, fading, weights = self.r, self.tables.fading, self._weights
        for index, ratio in enumerate(ratios):
            r = (r * fading + 1.0) * ratio
            if r @ weights >= self.threshold:
                self.r, self.last, self._near = r, int(codes[index]), True
                return index
        self.r, self.last = r, int(codes[-1])
        return None

    def merge(self, others: Iterable["Detector"]) -> None:
        """Add the detectors of other replicas, of the same reference and each of its own events, in any order.

        The budget then counts the events of all of them.
        """
        every = [self, *others]
        self.r = np.sum([one.r for one in every], axis=0)
        self.seen = np.sum([one.seen for one in every], axis=0)
        self._near = True

    def state(self) -> dict[str, Any]:
        seen = {} if self.tables.predictive is None else {"seen": self.seen.tolist()}
        return {"r": [float(f"{value:.6g}") for value in self.r.tolist()], "last": self.last, **seen}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()` of a detector of the same reference."""
        if len(state["r"]) == len(self.r):
            self.r = np.array(state["r"], dtype=float)
        if "seen" in state:
            self.seen = np.array(state["seen"], dtype=np.int64)
        self.last, self._near = state["last"], True
