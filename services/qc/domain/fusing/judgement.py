"""A fused label and the answers of its item: who is near to it, and who to whom; looked at once.

Distances are a few milliseconds each where there are many objects, and several counts ask for the same ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.qc.domain.kinds.tolerance import right
from shared.labels import LabelValue

ROOM = 1000


@dataclass(slots=True)
class Nearness:
    """Which values of one item say the same, by their symbols; what was asked once is known."""

    known: dict[tuple[str, str], bool] = field(default_factory=dict)

    def near(self, one: tuple[str, LabelValue | None], other: tuple[str, LabelValue | None]) -> bool:
        """Whether two values, each with its symbol, are within their kind's tolerance."""
        (first, value), (second, beside) = sorted((one, other), key=lambda each: each[0])
        if first == second:
            return True
        if value is None or beside is None:
            return False
        found = self.known.get((first, second))
        if found is None:
            if len(self.known) >= ROOM:
                self.known.clear()
            found = self.known[first, second] = bool(right(value, beside))
        return found

    def agreeing_pairs(self, values: Sequence[tuple[str, LabelValue | None]]) -> int:
        """How many of all pairs say the same."""
        return sum(self.near(one, other) for at, one in enumerate(values) for other in values[:at])
