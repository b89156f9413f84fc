"""What other items say about an item's place in the queue: far from all of them comes up, nearly the same comes down.

One replica remembers, per project, what it queued lately: the last 2,048 sketches, and at most 64 centres that cover
them (streaming k-centre by doubling; Charikar, Chekuri, Feder and Motwani 1997). A restart forgets it, and of copies
that come through several replicas each lets one through at full score. Nothing is dropped for what is found here.
"""

from collections import OrderedDict
from collections.abc import Hashable

import numpy as np

from services.assignment.domain.priority import weight_of_all
from services.assignment.domain.sketch import SIZE, Vector, vector_of
from shared.events import Order

RECENT, CENTRES = 2048, 64
ALIKE, SAME = 0.9, 0.97
"""Likeness from which the policy's `duplicates` begins to count, and from which it counts in full. It is the cosine of
what is left of two sketches without the mean of all: else whatever a project's items have in common would make them
alike."""
PRIOR = 20.0
"""Items of no likeness that the mean begins with."""


class Surroundings:
    """What was queued lately in one project."""

    def __init__(self, *, recent: int = RECENT, centres: int = CENTRES) -> None:
        self._recent = np.zeros((recent, SIZE), dtype=np.float32)
        self._next = 0
        self._sum = np.zeros(SIZE, dtype=np.float64)
        self._centres: Vector = np.zeros((0, SIZE), dtype=np.float32)
        self._limit = centres
        self._radius = 0.0
        self._places: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    @property
    def centres(self) -> Vector:
        """(centres, 32)."""
        return self._centres

    @property
    def radius(self) -> float:
        """No remembered item is further than four times this from a centre, as a chord of the unit sphere."""
        return self._radius

    def spread(self, key: Hashable, sketch: bytes | None, order: Order | None) -> float:
        """The item's part of the score, and from now on it is one of those that others are compared with.

        The same item again (a batch that is tried anew) gets the same.
        """
        if sketch is None or order is None or not order.looks_around:
            return 0.0
        if key not in self._places:
            self._places[key] = self._take(vector_of(sketch))
            if len(self._places) > len(self._recent):
                self._places.popitem(last=False)
        far, near = self._places[key]
        total = weight_of_all(order)
        return order.diversity * far / total - order.duplicates * near

    def _take(self, vector: Vector) -> tuple[float, float]:
        """How far from every centre (0 to 1), and how near to the likest of the recent (0 to 1)."""
        likest = self._likest(vector)
        self._recent[self._next % len(self._recent)] = vector
        self._next += 1
        self._sum += vector
        return self._cover(vector), min(1.0, max(0.0, (likest - ALIKE) / (SAME - ALIKE)))

    def _likest(self, vector: Vector) -> float:
        if self._next == 0:
            return 0.0
        mean = (self._sum / (self._next + PRIOR)).astype(np.float32)
        others = self._recent[: self._next] - mean
        own = vector - mean
        lengths = np.linalg.norm(others, axis=1) * np.linalg.norm(own)
        return float(np.max(others @ own / np.maximum(lengths, 1e-6)))

    def _cover(self, vector: Vector) -> float:
        gap = float(np.min(_chords(self._centres, vector))) if len(self._centres) else np.inf
        far = min(1.0, gap / (4.0 * self._radius)) if self._radius > 0.0 else float(gap > 0.0)
        if gap > 4.0 * self._radius:
            self._centres = np.vstack([self._centres, vector[None, :]])
        while len(self._centres) > self._limit:
            self._double()
        return far

    def _double(self) -> None:
        """Take a larger radius, and keep only centres that are further apart than twice the larger one."""
        self._radius = 2.0 * self._radius if self._radius > 0.0 else _closest(self._centres) / 2.0
        kept = self._centres[:1]
        for vector in self._centres[1:]:
            if float(np.min(_chords(kept, vector))) > 2.0 * self._radius:
                kept = np.vstack([kept, vector[None, :]])
        self._centres = kept


def _chords(vectors: Vector, vector: Vector) -> Vector:
    found: Vector = np.sqrt(np.maximum(0.0, 2.0 - 2.0 * (vectors @ vector)))
    return found


def _closest(vectors: Vector) -> float:
    """The smallest distance of two of them."""
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -1.0)
    return float(np.sqrt(max(1e-9, 2.0 - 2.0 * float(np.max(likeness)))))
