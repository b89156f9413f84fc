"""What is confused with what, and over which items people go wrong."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.qc.domain.conduct import ItemKey
from services.qc.domain.facts import judged_by
from services.qc.domain.item import ItemState
from services.qc.domain.scale import Kind
from services.qc.domain.skill import TAIL, beta_quantile

MOST_PAIRS, MOST_ITEMS, EXAMPLES = 30, 50, 5


@dataclass(frozen=True, slots=True)
class Dispute:
    """So many people answered an item differently from what is true."""

    key: ItemKey
    gold: bool
    truth: str
    answered: str
    times: int
    answers: int


@dataclass(frozen=True, slots=True)
class Pair:
    """Answers `answered` where `truth` was true: their share of all judged answers there, with a 95 % interval."""

    truth: str
    answered: str
    answers: int
    share: float
    low: float
    high: float


def disputes_of(items: Mapping[ItemKey, ItemState], before: frozenset[UUID]) -> list[Dispute]:
    """Of the items of which an answer was judged just now, each answer that their label calls wrong."""
    found = []
    for key, item in sorted(items.items()):
        label = item.label
        if label is None or label.kind is not Kind.CLOSED:
            continue
        judged = [answer for answer in item.answers.values() if judged_by(answer, label)]
        if all(answer.annotation_id in before for answer in judged):
            continue
        said = Counter(answer.symbol or "" for answer in judged)
        found += [
            Dispute(key, gold=False, truth=label.symbol, answered=symbol, times=times, answers=len(judged))
            for symbol, times in sorted(said.items())
            if symbol != label.symbol
        ]
    return found


def pairs_of(cells: Mapping[tuple[str, str], int]) -> Sequence[Pair]:
    """The confusions that cost most answers, most first.

    Args:
        cells: (truth, answered) -> judged answers, of a scale with classes.
    """
    rows: Counter[str] = Counter()
    for (truth, _), number in cells.items():
        rows[truth] += number
    wrong = [(n, truth, answered) for (truth, answered), n in cells.items() if truth and truth != answered and n > 0]
    found = []
    for n, truth, answered in sorted(wrong, key=lambda one: (-one[0], one[1:]))[:MOST_PAIRS]:
        a, b = n + 0.5, rows[truth] - n + 0.5
        low, high = beta_quantile(TAIL, a, b), beta_quantile(1.0 - TAIL, a, b)
        found.append(Pair(truth, answered, n, n / rows[truth], low, high))
    return found


def ranked(disputes: Iterable[Dispute]) -> list[tuple[ItemKey, bool, list[Dispute]]]:
    """Items by how surely people go wrong over them: the posterior mean of the share of wrong answers, Beta(1, 1)."""
    by_item: dict[tuple[ItemKey, bool], list[Dispute]] = {}
    for one in disputes:
        by_item.setdefault((one.key, one.gold), []).append(one)

    def score(several: Sequence[Dispute]) -> float:
        answers = max(one.answers for one in several)
        return (min(sum(one.times for one in several), answers) + 1.0) / (answers + 2.0)

    order = sorted(by_item.items(), key=lambda one: (-score(one[1]), one[0]))
    return [(key, gold, several) for (key, gold), several in order[:MOST_ITEMS]]
