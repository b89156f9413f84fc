"""Which labels a change of the guideline or of the classes puts in doubt, and how far a review of them has come."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from services.qc.domain.conduct import ItemKey
from services.qc.domain.item import Answer, ItemState, LiveLabel
from services.qc.domain.rounds import Touched, outdated
from services.qc.domain.scale import Kind, Scale
from shared.events import ProjectSpec
from shared.labels import Choice, Choices, LabelValue

PASSES = 2


@dataclass(frozen=True, slots=True)
class Review:
    """One review; see the table of the same name."""

    project_id: str
    version: int
    after: str = ""
    passes: int = 0
    not_before: datetime | None = None
    day: date | None = None
    used: int = 0

    @property
    def over(self) -> bool:
        """Whether nothing is left to look at."""
        return self.passes >= PASSES

    def due(self, now: datetime) -> bool:
        """Whether there is anything to look at now."""
        return not self.over and (self.not_before is None or self.not_before <= now)

    def left(self, budget: int, now: datetime) -> int:
        """Requests that may still be made today."""
        return max(budget - (self.used if self.day == now.date() else 0), 0)


def affected(item: ItemState, guideline: int, touched: Touched) -> LiveLabel | None:
    """The label, where everybody who gave it did so under a guideline whose meaning of its class has changed since."""
    words = _words(item)
    return item.label if words and all(outdated(answer, guideline, touched) for answer in words) else None


def homeless(item: ItemState, classes: AbstractSet[str]) -> LiveLabel | None:
    """The label, where it names a class that the project no longer has."""
    return item.label if any(not _names(answer.value) <= classes for answer in _words(item)) else None


def _words(item: ItemState) -> list[Answer]:
    """The answers of the round that gave the live label; where none of them says it, those that it pools."""
    label = item.label
    if label is None or item.erased:
        return []
    same = [
        a
        for a in item.answers.values()
        if a.is_answer and not a.late and a.round <= label.given and a.symbol == label.symbol
    ]
    return [a for a in same if a.round == label.given] or same


def _names(value: LabelValue | None) -> frozenset[str]:
    match value:
        case Choice(choice=name):
            return frozenset({name})
        case Choices(choices=names):
            return frozenset(names)
        case _:
            return frozenset()


def still_fits(answer: Answer, scale: Scale) -> bool:
    """Whether an answer names only classes that there are; an answer of before a split is none any more."""
    return scale.kind is not Kind.CLOSED or answer.symbol in scale.classes


def classes_gone(specs: Mapping[int, ProjectSpec]) -> int:
    """The latest project version that no longer has a class of the one before; 0 where none ever went."""
    found, before = 0, frozenset[str]()
    for version, spec in sorted(specs.items()):
        classes = frozenset(getattr(spec.label, "classes", ()))
        found = version if before - classes else found
        before = classes
    return found


def reviewed(
    review: Review,
    items: Mapping[ItemKey, ItemState],
    doubtful: Callable[[ItemState], LiveLabel | None],
    *,
    chunk: int,
    budget: int,
    pause_s: float,
    now: datetime,
) -> tuple[Review, Sequence[tuple[ItemKey, LiveLabel]]]:
    """Look at one chunk of items.

    Args:
        review: as it stands; due.
        items: the next items of the project by id, at most `chunk`.
        doubtful: the label of an item, where it is to be given again.
        chunk: fewer items than that are the last ones.
        budget: requests of a day; where it is used up the review stops before the first item that it cannot pay.
        pause_s: between the passes: the longest that a round which was open at the change may take.
        now: the time.

    Returns:
        The review after them, and the labels to be given to people again.
    """
    left, found, last = review.left(budget, now), list[tuple[ItemKey, LiveLabel]](), review.after
    stopped = False
    for key, item in sorted(items.items()):
        label = doubtful(item)
        if label is not None and len(found) == left:
            stopped = True
            break
        if label is not None:
            found.append((key, label))
        last = key[1]
    used = len(found) + (review.used if review.day == now.date() else 0)
    fresh = replace(review, after=last, day=now.date(), used=used)
    if not stopped and len(items) < chunk:
        fresh = passed(fresh, pause_s, now)
    return fresh, found


def passed(review: Review, pause_s: float, now: datetime) -> Review:
    """All items were looked at once more; the next pass waits so long."""
    return replace(review, after="", passes=review.passes + 1, not_before=now + timedelta(seconds=pause_s))
