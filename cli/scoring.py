"""What a run came to: labels against the truth, opinions and money, by path. Pure; used by demo and replay."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from shared.events import Annotation, Label, Outcome
from shared.labels import category

PATHS = ("auto", "single", "consensus", "expert")


@dataclass(frozen=True, slots=True)
class PathScore:
    """The labels of one path, and what all their versions took; `accuracy` is None where no truth is known."""

    labels: int
    opinions: int
    cost: float
    accuracy: float | None


@dataclass(slots=True)
class Ledger:
    """Live labels and accepted opinions, gathered from the topics in any order, repeats included.

    Attributes:
        labels: item -> the label of the highest version.
        spent: item -> version -> opinions and cost; every version was paid for.
        opinions: item -> annotation id -> category; gold and skips are left out.
    """

    labels: dict[str, Label] = field(default_factory=dict)
    spent: dict[str, dict[int, tuple[int, float]]] = field(default_factory=dict)
    opinions: dict[str, dict[str, str]] = field(default_factory=dict)
    gold_answers: set[str] = field(default_factory=set)

    def add_label(self, label: Label) -> None:
        """Take a label in; the highest version is the live one."""
        known = self.labels.get(label.item_id)
        if known is None or label.version > known.version:
            self.labels[label.item_id] = label
        self.spent.setdefault(label.item_id, {})[label.version] = (label.opinions, label.cost)

    def add_annotation(self, annotation: Annotation) -> None:
        """Take an annotation in."""
        if annotation.outcome is not Outcome.ANSWERED or annotation.value is None:
            return
        if annotation.gold:
            self.gold_answers.add(str(annotation.annotation_id))
            return
        votes = self.opinions.setdefault(annotation.item_id, {})
        votes[str(annotation.annotation_id)] = category(annotation.value)

    @property
    def opinion_count(self) -> int:
        return sum(len(votes) for votes in self.opinions.values())

    @property
    def cost(self) -> float:
        """What all labels cost, in the project's currency."""
        return sum(cost for versions in self.spent.values() for _, cost in versions.values())

    def by_path(self, truth: Mapping[str, str]) -> dict[str, PathScore]:
        """The live labels of each path."""
        found: dict[str, list[Label]] = {path: [] for path in PATHS}
        for label in self.labels.values():
            found[label.path.value].append(label)
        return {path: self._score(labels, truth) for path, labels in found.items()}

    def _score(self, labels: Sequence[Label], truth: Mapping[str, str]) -> PathScore:
        spent = [both for label in labels for both in self.spent[label.item_id].values()]
        opinions, cost = sum(opinions for opinions, _ in spent), sum(cost for _, cost in spent)
        return PathScore(len(labels), opinions, cost, accuracy(labels, truth))

    def accuracy(self, truth: Mapping[str, str]) -> float | None:
        """Share of the live labels that are right, over items whose truth is known; None without any."""
        return accuracy(self.labels.values(), truth)

    def right(self, truth: Mapping[str, str]) -> dict[str, bool]:
        """Item -> whether its live label is right, of items whose truth is known."""
        labels = self.labels.items()
        return {item: category(label.value) == truth[item] for item, label in labels if item in truth}

    def majority(self, truth: Mapping[str, str]) -> float | None:
        """As `accuracy`, of the plain majority over the same opinions."""
        return majority_accuracy({item: list(votes.values()) for item, votes in self.opinions.items()}, truth)


def accuracy(labels: Iterable[Label], truth: Mapping[str, str]) -> float | None:
    """Share of the labels that equal the truth, over those that have one; None without any."""
    judged = [category(label.value) == truth[label.item_id] for label in labels if label.item_id in truth]
    return sum(judged) / len(judged) if judged else None


def majority_accuracy(votes: Mapping[str, Sequence[str]], truth: Mapping[str, str]) -> float | None:
    """Expected accuracy of the plain majority: a tie of k classes that holds the truth counts 1/k.

    Args:
        votes: item -> the categories that people chose.
        truth: item -> category; items without votes or truth are left out.
    """
    credits_: list[float] = []
    for item, given in votes.items():
        if item not in truth or not given:
            continue
        counts = Counter(given)
        most = max(counts.values())
        winners = [name for name, number in counts.items() if number == most]
        credits_.append(1 / len(winners) if truth[item] in winners else 0.0)
    return sum(credits_) / len(credits_) if credits_ else None
