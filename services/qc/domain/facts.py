"""The integers that an item contributes to the project's counts: a pure function of the item.

What a batch adds is `facts(after) - facts(before)`, so any order, any repeat and any replay give the same counts.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from services.qc.domain.agreement import agreeing_pairs
from services.qc.domain.counts import Source
from services.qc.domain.fusing.counted import PROPOSAL, Cells
from services.qc.domain.fusing.judged import judge as judge_fused
from services.qc.domain.fusing.mixed import judge_mixed
from services.qc.domain.item import Answer, ItemState, LiveLabel
from services.qc.domain.judging import judge
from services.qc.domain.kinds import tolerance
from services.qc.domain.kinds.kind import Given
from services.qc.domain.numeric import near
from services.qc.domain.scale import Kind, Scale, number_of, symbol_of
from shared.events import Audience, GoldAnswer, Outcome
from shared.labels import Choice, LabelValue, Mixed

CellKey = tuple[str, str, str, str]
"""(annotator, truth, answered, source)."""
TWO = 2


@dataclass(slots=True)
class Facts:
    """Integer counts of one project.

    Attributes:
        answers, weights: per cell; judged answers, and their mills by the posterior of the label.
        answered: class -> answers given.
        labelled: class -> items whose live label people made.
        rounds, pairs: opinions in an ended round (two or more) -> rounds, agreeing pairs.
        given, skipped: annotator -> annotations, gold among them.
    """

    answers: Counter[CellKey] = field(default_factory=Counter)
    weights: Counter[CellKey] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    labelled: Counter[str] = field(default_factory=Counter)
    rounds: Counter[int] = field(default_factory=Counter)
    pairs: Counter[int] = field(default_factory=Counter)
    given: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)

    def counters(self) -> tuple[Counter[CellKey] | Counter[str] | Counter[int], ...]:
        return (
            self.answers, self.weights, self.answered, self.labelled,
            self.rounds, self.pairs, self.given, self.skipped,
        )  # fmt: skip

    def add(self, other: "Facts") -> None:
        for mine, theirs in zip(self.counters(), other.counters(), strict=True):
            mine.update(theirs)  # type: ignore[arg-type]  # the same field of both

    def subtract(self, other: "Facts") -> None:
        for mine, theirs in zip(self.counters(), other.counters(), strict=True):
            mine.subtract(theirs)  # type: ignore[arg-type]

    def nonzero(self) -> "Facts":
        """The same without the counts that are 0."""
        return Facts(*(Counter({k: v for k, v in one.items() if v}) for one in self.counters()))  # type: ignore[arg-type]


def judged_by(answer: Answer, label: LiveLabel | None) -> bool:
    """Whether the live label judges an answer.

    Only labels of this round or a later one do, that people made together; an expert is not judged by an expert's word.
    """
    if label is None or not label.judges or not answer.is_answer or answer.round > label.version:
        return False
    return not (answer.role is Audience.EXPERT and label.path == "expert")


def is_right(item: ItemState, answer: Answer, label: LiveLabel) -> bool:
    """Whether an answer says what a label of its item says: the same, or within the tolerance."""
    if label.kind is Kind.NUMERIC:
        number, scale = (
            None if answer.value is None else number_of(answer.value),
            Scale(label.kind, tolerance=label.tolerance),
        )
        return number is not None and label.number is not None and near(number, label.number, scale)
    if label.kind is Kind.FUSED:
        return item.nearness.near((answer.symbol or "", answer.value), (label.symbol, label.value))
    return answer.symbol == label.symbol


def _add_cells(facts: Facts, item: ItemState, answer: Answer, label: LiveLabel) -> None:
    close = label.kind in (Kind.NUMERIC, Kind.FUSED) and is_right(item, answer, label)
    for (truth, answered), (count, weight) in judge(
        answer.symbol or "", label.symbol, label.weights, label.kind, near=close
    ).items():
        key = (answer.annotator_id or "", truth, answered, Source.CONSENSUS.value)
        facts.answers[key] += count
        facts.weights[key] += weight


def _add_agreement(facts: Facts, item: ItemState) -> None:
    by_round: dict[int, list[Answer]] = {}
    for answer in item.answers.values():
        if answer.is_answer and not answer.late and answer.role is Audience.ANNOTATOR:
            by_round.setdefault(answer.round, []).append(answer)
    for number, answers in by_round.items():
        if len(answers) >= TWO and item.ended(number):
            facts.rounds[len(answers)] += 1
            facts.pairs[len(answers)] += _agreeing(item, answers)


def _agreeing(item: ItemState, answers: Sequence[Answer]) -> int:
    """Pairs that say the same; of kinds that are fused, within the tolerance."""
    if answers[0].value is None or answers[0].value.kind not in (*tolerance.TOLERANCE, "mixed"):
        return agreeing_pairs([answer.symbol or "" for answer in answers])
    return item.nearness.agreeing_pairs([(answer.symbol or "", answer.value) for answer in answers])


def _add_fused(facts: Facts, item: ItemState) -> None:
    """What a fused label says of the parts of the answers that it judges, and what became of proposals."""
    cells, label = Cells(), item.label
    for answer in item.answers.values():
        if answer.correction is not None:
            cells.add(
                answer.annotator_id or "", (PROPOSAL, "", answer.correction.deed.value), 1, answer.correction.apart
            )
    if label is not None and label.value is not None:
        judged = [answer for answer in item.answers.values() if judged_by(answer, label)]
        judged.sort(key=lambda answer: answer.annotation_id)  # in no order that arrival could change
        given = [Given(a.annotator_id or "", a.value) for a in judged if a.value is not None]
        given = [one for one in given if one.value.kind == label.value.kind]
        if isinstance(label.value, Mixed):
            judge_mixed(cells, label.value, label.weights, given)
        else:
            judge_fused(cells, label.value, label.weights, given)
    facts.answers.update(cells.answers)
    facts.weights.update(cells.weights)


def facts_of(item: ItemState) -> Facts:
    """Everything that an item adds to the counts of its project."""
    facts = Facts()
    for answer in item.answers.values():
        if answer.outcome is Outcome.SKIPPED:
            facts.skipped[answer.annotator_id or ""] += 1
        if not answer.is_answer:
            continue
        facts.given[answer.annotator_id or ""] += 1
        if isinstance(answer.value, Choice):
            facts.answered[answer.value.choice] += 1
        if item.label is not None and judged_by(answer, item.label):
            _add_cells(facts, item, answer, item.label)
    if item.label is not None and item.label.path != "auto" and item.label.kind is Kind.CLOSED:
        facts.labelled[item.label.symbol] += 1
    _add_agreement(facts, item)
    _add_fused(facts, item)
    return facts.nonzero()


def gold_correct(answer: Answer, expected: GoldAnswer, scale: Scale) -> bool:
    """Whether a gold item was answered right: the same value, or a number or structure within the tolerance."""
    if answer.value is None:
        return False
    parts = gold_parts(answer, expected, scale)
    return all(parts.values()) if parts else _says(answer.value, expected.value, scale)


def gold_parts(answer: Answer, expected: GoldAnswer, scale: Scale) -> dict[str, bool]:
    """Of a mix of kinds, whether each part is right; one that is missing, or should be, is not. Else empty."""
    given, true = answer.value, expected.value
    if not isinstance(given, Mixed) or not isinstance(true, Mixed):
        return {}
    return {
        name: name in given.parts.keys() & true.parts.keys()
        and _says(given.parts[name], true.parts[name], scale.parts.get(name, scale))
        for name in sorted(given.parts.keys() | true.parts.keys())
    }


def _says(given: LabelValue, true: LabelValue, scale: Scale) -> bool:
    """Whether two values say the same: equal, or near by the scale of numbers or the tolerance of the kind."""
    one, other = number_of(given), number_of(true)
    if one is not None and other is not None:
        return near(one, other, scale)
    return symbol_of(given) == symbol_of(true) or bool(tolerance.right(given, true))


def gold_facts(answer: Answer, expected: str | None, *, correct: bool) -> Facts:
    """What one annotation of a gold item adds: only who gave it, until the expected symbol is known."""
    facts = Facts()
    if answer.outcome is Outcome.SKIPPED:
        facts.skipped[answer.annotator_id or ""] += 1
    if not answer.is_answer:
        return facts
    facts.given[answer.annotator_id or ""] += 1
    if expected is not None:
        facts.add(gold_cell(answer, expected, correct=correct))
    return facts


def gold_cell(answer: Answer, expected: str, *, correct: bool) -> Facts:
    """The judged cell of one gold result."""
    kind = Kind.CLOSED if isinstance(answer.value, Choice) else Kind.NUMERIC
    facts = Facts()
    for (truth, answered), (count, weight) in judge(
        answer.symbol or "", expected, {expected: 1000}, kind, near=correct
    ).items():
        key = (answer.annotator_id or "", truth, answered, Source.GOLD.value)
        facts.answers[key] += count
        facts.weights[key] += weight
    return facts
