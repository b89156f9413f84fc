"""What agreement is made of: integer counts over units, the same from a file, from a stream, and after a replay.

A unit is whatever several people judged: an item's round. Units of one size (opinions) are summed up together, as all
measures weigh a pair of answers by the size of its unit. A new answer moves its unit from one size to the next: one
subtraction and one addition of what the unit's value counts say, whatever was counted before.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Counts over units of several sizes.

    Attributes:
        units: size -> units.
        given: (size, class) -> answers.
        pairs: (size, class, class) -> ordered pairs of answers of one unit.
    """

    units: Counter[int] = field(default_factory=Counter)
    given: Counter[tuple[int, str]] = field(default_factory=Counter)
    pairs: Counter[tuple[int, str, str]] = field(default_factory=Counter)

    def add(self, counts: Mapping[str, int], times: int = 1) -> None:
        """Take in a unit with these answers per class; `times` -1 takes it out. O(classes of the unit squared)."""
        named = {name: number for name, number in counts.items() if number}
        size = sum(named.values())
        if size == 0:
            return
        self.units[size] += times
        for name, number in named.items():
            self.given[size, name] += times * number
            for other, second in named.items():
                self.pairs[size, name, other] += times * number * (second - (name == other))

    def move(self, counts: Counter[str], symbol: str) -> None:
        """One more answer to a unit; changes its `counts` too."""
        self.add(counts, -1)
        counts[symbol] += 1
        self.add(counts)

    def merge(self, other: "Tally", times: int = 1) -> None:
        """Add, or with -1 subtract, another tally."""
        for mine, theirs in ((self.units, other.units), (self.given, other.given), (self.pairs, other.pairs)):
            for key, number in theirs.items():
                mine[key] += times * number  # type: ignore[index]

    def nonzero(self) -> "Tally":
        """The same without the counts that are 0."""
        return Tally(*(Counter({k: n for k, n in one.items() if n}) for one in (self.units, self.given, self.pairs)))  # type: ignore[arg-type]

    def one_against_rest(self, name: str) -> "Tally":
        """The tally of the question "is it this class?"; the others are one class without a name."""
        found = Tally(units=Counter(self.units))
        for (size, given), number in self.given.items():
            found.given[size, name if given == name else ""] += number
        for (size, first, second), number in self.pairs.items():
            one, two = (name if each == name else "" for each in (first, second))
            found.pairs[size, one, two] += number
        return found


def tally_of(units: Iterable[Mapping[str, int]]) -> Tally:
    """The tally of units given as answers per class."""
    found = Tally()
    for counts in units:
        found.add(counts)
    return found.nonzero()
