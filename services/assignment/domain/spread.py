"""What other items say about an item's place in the queue: far from all of them comes up, nearly the same comes down.

One replica remembers, per project, what it queued lately: the last 65,536 sketches that were no copies themselves
(domain/neighbours.py), and at most 64 centres that cover all (domain/centres.py). Time and memory for an item are
constant, however many there are. A restart forgets it, and of copies that come through several replicas each lets one
through at full score. Nothing is dropped for what is found here.
"""

from collections import OrderedDict
from collections.abc import Hashable

import numpy as np

from services.assignment.domain.centres import CENTRES, Centres
from services.assignment.domain.likeness import Likeness
from services.assignment.domain.neighbours import WINDOW, Neighbours, Words, words_of
from services.assignment.domain.priority import weight_of_all
from shared.events import Order
from shared.sketches import BITS

SAME, ALIKE = 0.15, 0.3
"""The distance from which the policy's `duplicates` counts in full, and from which it begins to: as a share of what two
items of the project differ in on average. Else whatever they all have in common would make them alike."""
PRIOR = 20.0
"""Items with nothing in common that the average begins with."""
PLACES = 8192
"""Items whose place is remembered, should their batch be tried anew."""
SPACES = 4
"""Of the spaces that sketches lie in (a model's features are one; another model's, another) the last ones are kept."""
Place = tuple[float, float]
"""How far from every centre, and how near to the likest of the recent: 0 to 1."""


class Surroundings:
    """What was queued lately in one project."""

    def __init__(self, *, recent: int = WINDOW, centres: int = CENTRES) -> None:
        self._recent, self._centres = recent, centres
        self._spaces: OrderedDict[str, Space] = OrderedDict()
        self._places: OrderedDict[Hashable, Place] = OrderedDict()

    def spread(self, key: Hashable, likeness: Likeness | None, order: Order | None) -> float:
        """The item's part of the score, and from now on it is one of those that others are compared with.

        The same item again (a batch that is tried anew) gets the same.
        """
        if likeness is None or order is None or not order.looks_around:
            return 0.0
        if key not in self._places:
            self._places[key] = self._take(likeness)
            if len(self._places) > PLACES:
                self._places.popitem(last=False)
        far, near = self._places[key]
        return order.diversity * far / weight_of_all(order) - order.duplicates * near

    def _take(self, likeness: Likeness) -> Place:
        near, far = likeness.near, likeness.far
        nearness = self._space(near.space).nearness(words_of(near.bits))
        return 0.0 if far is None else self._space(far.space).far.cover(words_of(far.bits)), nearness

    def _space(self, name: str) -> "Space":
        if name not in self._spaces:
            self._spaces[name] = Space(Neighbours(self._recent), Centres(self._centres))
            if len(self._spaces) > SPACES:
                self._spaces.popitem(last=False)
        self._spaces.move_to_end(name)
        return self._spaces[name]


class Space:
    """The sketches of one space: only they can be compared."""

    def __init__(self, near: Neighbours, far: Centres) -> None:
        self.near, self.far = near, far
        self._ones = np.full(BITS, PRIOR / 2.0)
        self._all = PRIOR

    @property
    def typical(self) -> float:
        """In how many bits two items differ on average, if each bit came as often as it did, by itself."""
        share = self._ones / self._all
        return float(2.0 * (share * (1.0 - share)).sum())

    def nearness(self, sketch: Words) -> float:
        """How near it is to the likest of the recent, 0 to 1; from now on it is one of them."""
        typical = self.typical
        apart, since = self.near.nearest(sketch)
        near = min(1.0, max(0.0, (ALIKE * typical - apart) / ((ALIKE - SAME) * typical)))
        if near < 1.0 or self.near.fading(since):  # of a group of copies one is kept, and stays while they come
            self.near.add(sketch)
        self._ones += np.unpackbits(sketch.view(np.uint8))
        self._all += 1.0
        return near
