"""What is counted of a period, per dimension along which a cause may lie."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, TypeVar

BANDS = (0.5, 0.7, 0.9)
"""Confidence edges: a prediction's band is how many of them it reaches."""
OTHER = "other"


class Dimension(StrEnum):
    """Along what a change is split. `CLASS` is no key of a period: the classes are in every count."""

    MODEL = "model_version"
    ANNOTATOR = "annotator"
    GUIDELINE = "guideline_version"
    SOURCE = "source"
    CLIENT = "client"
    CLASS = "class"

    __hash__ = str.__hash__


class Predicted(NamedTuple):
    """A proposal: its class and confidence band."""

    symbol: str
    band: int


class Answered(NamedTuple):
    """A person's answer to an item with a proposal."""

    predicted: Predicted
    symbol: str

    @property
    def agrees(self) -> bool:
        return self.predicted.symbol == self.symbol


class Tally(NamedTuple):
    """Of gold answers, or of answers beside somebody else's: how many were right, or equal, and how many were not."""

    yes: int = 0
    no: int = 0

    @property
    def total(self) -> int:
        return self.yes + self.no

    @property
    def rate(self) -> float:
        return self.yes / self.total if self.total else 0.0

    def plus(self, other: "Tally") -> "Tally":
        return Tally(self.yes + other.yes, self.no + other.no)


Predictions = Counter[Predicted]
Answers = Counter[Answered]


@dataclass(frozen=True, slots=True)
class Period:
    """The counts of one period.

    Attributes:
        predictions: of all traffic, by model version, source and client.
        answers: of people, not to gold, by each dimension but the class.
        gold: by annotator; whether the answer was right.
        agreement: by annotator and source; whether an answer equals another one to the same item.
    """

    predictions: Mapping[Dimension, Mapping[str, Predictions]] = field(default_factory=dict)
    answers: Mapping[Dimension, Mapping[str, Answers]] = field(default_factory=dict)
    gold: Mapping[str, Tally] = field(default_factory=dict)
    agreement: Mapping[Dimension, Mapping[str, Tally]] = field(default_factory=dict)

    @property
    def all_predictions(self) -> Predictions:
        """Over the dimension that has most of them: one need not be known of every prediction."""
        return _widest(self.predictions)

    @property
    def all_answers(self) -> Answers:
        return _widest(self.answers)

    def predicted(self, dimension: Dimension, only: Callable[[str], bool]) -> Predictions:
        """Of the values that `only` takes."""
        return _sum(self.predictions.get(dimension, {}), only)

    def answered(self, dimension: Dimension, only: Callable[[str], bool]) -> Answers:
        return _sum(self.answers.get(dimension, {}), only)

    def agreed(self, dimension: Dimension, only: Callable[[str], bool]) -> Tally:
        return added(t for value, t in self.agreement.get(dimension, {}).items() if only(value))


def band(confidence: float) -> int:
    """The place of a confidence among the bands."""
    return sum(confidence >= edge for edge in BANDS)


def added(tallies: Iterable[Tally]) -> Tally:
    """Their sum."""
    total = Tally()
    for one in tallies:
        total = total.plus(one)
    return total


def anything(_: str) -> bool:
    """Takes every value."""
    return True


K = TypeVar("K", Predicted, Answered)


def _sum(tables: Mapping[str, Counter[K]], only: Callable[[str], bool]) -> Counter[K]:
    total: Counter[K] = Counter()
    for value, counts in tables.items():
        if only(value):
            total.update(counts)
    return total


def _widest(tables: Mapping[Dimension, Mapping[str, Counter[K]]]) -> Counter[K]:
    sums = [_sum(by_value, anything) for by_value in tables.values()]
    return max(sums, key=Counter.total, default=Counter())
