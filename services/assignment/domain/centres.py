"""Few sketches that all others are near to: streaming k-centre by doubling (Charikar, Chekuri, Feder, Motwani 1997)."""

import numpy as np

from services.assignment.domain.neighbours import WORDS, Words, distances

CENTRES = 64


class Centres:
    """At most `most` centres. Distances are in bits."""

    def __init__(self, most: int = CENTRES) -> None:
        self._most = most
        self.centres: Words = np.zeros((0, WORDS), dtype=np.uint64)
        self.radius = 0.0
        """Nothing that was ever covered is further than four times this from a centre."""

    def cover(self, sketch: Words) -> float:
        """Take one in; how far it was from every centre: 0 to 1."""
        gap = float(distances(self.centres, sketch).min(initial=1 << 20))
        far = min(1.0, gap / (4.0 * self.radius)) if self.radius > 0.0 else float(gap > 0.0)
        if gap > 4.0 * self.radius:
            self.centres = np.vstack([self.centres, sketch[None, :]])
        while len(self.centres) > self._most:
            self._double()
        return far

    def _double(self) -> None:
        """Take a larger radius, and keep only centres that are further apart than twice the larger one."""
        self.radius = 2.0 * self.radius if self.radius > 0.0 else _closest(self.centres) / 2.0
        kept = self.centres[:1]
        for one in self.centres[1:]:
            if distances(kept, one).min() > 2.0 * self.radius:
                kept = np.vstack([kept, one[None, :]])
        self.centres = kept


def _closest(several: Words) -> float:
    """The smallest distance of two of them."""
    return float(min(distances(several[place + 1 :], several[place]).min() for place in range(len(several) - 1)))
