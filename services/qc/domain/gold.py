"""Scoring answers to gold items."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.qc.domain.facts import Facts, gold_cell, gold_correct, gold_facts, gold_parts
from services.qc.domain.item import Answer
from services.qc.domain.outcomes import gold_result_of
from services.qc.domain.scale import Scale, symbol_of
from shared.events import GoldAnswer, Quality


@dataclass(frozen=True, slots=True)
class Score:
    """What an answer to a gold item came to; `expected`, `correct` and `event` are None while the answer is unknown."""

    answer: Answer
    expected: str | None
    correct: bool | None
    delta: Facts
    event: Quality | None


def score(key: tuple[str, str], answer: Answer, known: GoldAnswer | None, scale: Scale, now: datetime) -> Score:
    """Score an annotation of the gold item `key` that was just taken in; a skip is counted, and not scored."""
    if known is None or not answer.is_answer:
        return Score(answer, None, None, gold_facts(answer, None, correct=False), None)
    expected, correct = symbol_of(known.value), gold_correct(answer, known, scale)
    event = _told(*key, answer, expected, gold_parts(answer, known, scale), correct=correct, now=now)
    return Score(answer, expected, correct, gold_facts(answer, expected, correct=correct), event)


def score_all(told: Sequence[tuple[tuple[str, str], Answer, GoldAnswer | None, Scale]], now: datetime) -> list[Score]:
    """See `score`; heavy where masks or many objects are compared."""
    return [score(*one, now) for one in told]


def rescore(
    known: GoldAnswer,
    answer: Answer,
    scale: Scale,
    *,
    expected_before: str | None,
    correct_before: bool | None,
    now: datetime,
) -> Score:
    """Score an answer whose gold answer came later, or was corrected; the old cell is taken back."""
    expected, correct = symbol_of(known.value), gold_correct(answer, known, scale)
    delta = gold_cell(answer, expected, correct=correct)
    if expected_before is not None:
        delta.subtract(gold_cell(answer, expected_before, correct=bool(correct_before)))
    parts = gold_parts(answer, known, scale)
    event = _told(known.project_id, known.item_id, answer, expected, parts, correct=correct, now=now)
    return Score(answer, expected, correct, delta, event)


def _told(
    project_id: str,
    item_id: str,
    answer: Answer,
    expected: str,
    parts: dict[str, bool],
    *,
    correct: bool,
    now: datetime,
) -> Quality | None:
    """The event of a score; of an answer by somebody who was erased there is nothing to tell."""
    if answer.annotator_id is None:
        return None
    return gold_result_of(project_id, item_id, answer, expected, correct=correct, now=now, parts=parts)
