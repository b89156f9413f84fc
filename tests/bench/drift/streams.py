"""The streams of the drift bench: each by its scenario and number alone, so that parts of the work can run anywhere."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.support.drift import drawn, seasonal, shifted

REFERENCE, STEADY, BEFORE, AFTER = 10_000, 100_000, 20_000, 20_000
SWING, PERIOD = 0.08, 10_000
DISTANCES = (0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Scenario:
    """What happens in a stream.

    Attributes:
        name: as shown.
        seed: of its streams.
        tvd: total variation distance of the shift, in a random direction; 0: there is none.
        sticky: chance that an event repeats the one before it.
        swing: of the season, total variation distance from peak to peak.
    """

    name: str
    seed: int
    tvd: float = 0.0
    sticky: float = 0.0
    swing: float = 0.0

    @property
    def reference(self) -> int:
        """Events that make the reference; two periods where there are seasons."""
        return 2 * REFERENCE if self.swing else REFERENCE

    @property
    def stop(self) -> int | None:
        """Offset after the reference from which on the first alarm ends a stream."""
        return BEFORE if self.tvd else None

    def stream(self, number: int) -> NDArray[np.int8]:
        """(events,) class codes."""
        rng = np.random.default_rng((self.seed, number))
        n = self.reference + (BEFORE if self.tvd else STEADY)
        after = shifted(rng, self.tvd) if self.tvd else None
        if self.swing:
            y = seasonal(rng, n + (AFTER if self.tvd else 0), self.swing, PERIOD, after=after, change=n)
        else:
            y = drawn(rng, n, sticky=self.sticky)
            if after is not None:
                y = np.concatenate([y, drawn(rng, AFTER, after, sticky=self.sticky)])
        return y.astype(np.int8)

    def streams(self, numbers: Sequence[int]) -> NDArray[np.int8]:
        """(streams, events)."""
        return np.array([self.stream(number) for number in numbers])


STEADY_ONES = (Scenario("iid", 1), Scenario("bursty", 2, sticky=0.3), Scenario("seasonal", 3, swing=SWING))
SHIFTS = tuple(Scenario(f"shift {tvd:g}", 10 + place, tvd) for place, tvd in enumerate(DISTANCES))
BURSTY_SHIFTS = tuple(
    Scenario(f"bursty, shift {tvd:g}", 20 + place, tvd, sticky=0.3) for place, tvd in enumerate(DISTANCES)
)
SEASONAL_SHIFTS = tuple(
    Scenario(f"seasonal, shift {tvd:g}", 30 + place, tvd, swing=SWING) for place, tvd in enumerate(DISTANCES)
)
SCENARIOS = (*STEADY_ONES, *SHIFTS, *BURSTY_SHIFTS, *SEASONAL_SHIFTS)
