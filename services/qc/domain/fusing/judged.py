"""How a fused label judges the answers of its item: the cells that they add to what is known of people.

A pure function of the label and the answers, in whole numbers. What a person alone gave says nothing about their class
and extent, as the label has both from them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.qc.domain.fusing.counted import (
    ARCS,
    CLASS,
    EXTENT,
    FALSE,
    FOUND,
    GIVEN,
    MILLS,
    NO,
    PIXELS,
    TAGS,
    WORDS,
    YES,
    Cells,
    within,
)
from services.qc.domain.fusing.engine import NEAR
from services.qc.domain.fusing.lines import tag_names
from services.qc.domain.fusing.pixels import right_share
from services.qc.domain.kinds import spans, tags
from services.qc.domain.kinds.clusters import SAME_CLASS, Answer, Drawn, Geometry, cluster, match
from services.qc.domain.kinds.intervals import Line
from services.qc.domain.kinds.kind import Given
from services.qc.domain.kinds.relations import PAIRS, arcs_of, between, spans_alone
from services.qc.domain.kinds.shapes import DRAWINGS
from services.qc.domain.kinds.words import edits, keys
from shared.labels import LabelValue, Masks, Relations, Spans, Transcript

EXACT = 1.0 - 1e-9
LINE = Line()
TRUTH = "\x00"
"""Of whom there is no annotator."""

Existence = Mapping[str, int]
"""Place of a part, as text -> mills of its existence; the rest is sure."""


@dataclass(frozen=True, slots=True)
class _Drawing:
    """The label's objects, their existence in mills, and how the extents compare."""

    objects: Sequence[Drawn[Any]]
    mills: Sequence[int]
    geometry: Geometry[Any]
    near: float


def judge(cells: Cells, label: LabelValue, existence: Existence, answers: Sequence[Given[Any]], part: str = "") -> None:
    """Add what a label says about its answers.

    Args:
        cells: gain it.
        label: of a kind that is fused.
        existence: of its parts.
        answers: of the label's kind, in an order that says nothing.
        part: of a mix, the one that all of these are.
    """
    match label:
        case Spans():
            _judge_spans(cells, label, existence, answers, part)
        case Relations():
            alone = spans_alone([Given("", label)])[0].value
            _judge_spans(cells, alone, existence, spans_alone(answers), part)
            _judge_arcs(cells, label, existence, answers, part)
        case Transcript():
            _judge_words(cells, label, answers, part)
        case _:
            _judge_shapes(cells, label, existence, answers, part)


def _judge_shapes(
    cells: Cells, label: LabelValue, existence: Existence, answers: Sequence[Given[Any]], part: str
) -> None:
    drawings = DRAWINGS[label.kind]
    if isinstance(label, Masks):
        size = (label.width, label.height)
        answers = [one for one in answers if (one.value.width, one.value.height) == size]
    objects, given = drawings.read(label), drawings.answers(answers)
    mills = [existence.get(str(place), MILLS) for place in range(len(objects))]
    _judge_drawn(cells, _Drawing(objects, mills, drawings.geometry, NEAR[label.kind]), given, part)
    if isinstance(label, Masks):
        for one, share in zip(given, right_share(objects, given) or (), strict=False):
            right = round(MILLS * share)
            cells.add_squares(one.annotator, within(part, PIXELS), right, MILLS)
            cells.add(one.annotator, (within(part, PIXELS), "", YES), 1, right)
            cells.add(one.annotator, (within(part, PIXELS), "", NO), 0, MILLS - right)


def _judge_drawn(cells: Cells, label: _Drawing, answers: Sequence[Answer[Any]], part: str) -> None:
    pairs = [_matched(label, answer) for answer in answers]
    votes = np.bincount([at for one in pairs for at in one], minlength=len(label.objects))
    rest = []
    for answer, found in zip(answers, pairs, strict=True):
        who = answer.annotator
        cells.add(who, (within(part, FOUND), "", GIVEN), 1)
        for at, mills in enumerate(label.mills):
            cells.add(who, (within(part, FOUND), "", YES if at in found else NO), 1, mills)
        cells.add_squares(who, within(part, FOUND), sum(label.mills[at] for at in found), sum(label.mills))
        for at, (to, alike) in found.items():
            if votes[at] > 1:
                classes = label.objects[at].label, answer.objects[to].label
                cells.add(who, (within(part, CLASS), *classes), 1, label.mills[at])
                close = round(MILLS * alike)
                cells.add_squares(who, within(part, EXTENT), close, MILLS)
                cells.add(who, (within(part, EXTENT), "", YES), int(alike >= label.near), close)
                cells.add(who, (within(part, EXTENT), "", NO), int(alike < label.near), MILLS - close)
        taken = {to for to, _ in found.values()}
        rest.append(Answer(who, tuple(one for to, one in enumerate(answer.objects) if to not in taken)))
    false = cluster(rest, label.geometry).number
    for one in rest:
        cells.add_squares(one.annotator, within(part, FALSE), MILLS * len(one.objects), MILLS)
        if false:
            cells.add(one.annotator, (within(part, FALSE), "", NO), len(one.objects))
            cells.add(one.annotator, (within(part, FALSE), "", YES), false - len(one.objects))


def _matched(label: _Drawing, answer: Answer[Any]) -> dict[int, tuple[int, float]]:
    """Place in the label -> place in the answer, and how alike they are; classes aside but for ties."""
    if not label.objects or not answer.objects:
        return {}
    alike = label.geometry.similarity([one.extent for one in label.objects], [one.extent for one in answer.objects])
    same = np.array([[one.label == two.label for two in answer.objects] for one in label.objects])
    at, to = match(alike + SAME_CLASS * same, alike >= label.geometry.least)
    return {int(one): (int(two), float(alike[one, two])) for one, two in zip(at, to, strict=True)}


def _on_a_line(value: Spans) -> list[Drawn[Any]]:
    return [Drawn((each.start, each.end), each.label) for each in value.spans]


def _judge_spans(cells: Cells, label: Spans, existence: Existence, answers: Sequence[Given[Spans]], part: str) -> None:
    objects = _on_a_line(label)
    given = [Answer(one.annotator, tuple(_on_a_line(one.value))) for one in answers]
    mills = [existence.get(str(place), MILLS) for place in range(len(objects))]
    _judge_drawn(cells, _Drawing(objects, mills, LINE, EXACT), given, part)
    named = {f"{at:06}": tags.flat(spans.stretches_of(one.value)) for at, one in enumerate(answers)}
    found = tags.tagged([{TRUTH: tags.flat(spans.stretches_of(label)), **named}])
    names = tag_names(found.classes)
    said = {who: found.answers.symbol[found.answers.annotator == seat] for seat, who in enumerate(found.annotators)}
    for at, one in enumerate(answers):
        pairs, numbers = np.unique(np.stack([said[TRUTH], said[f"{at:06}"]]), axis=1, return_counts=True)
        for (truth, answered), number in zip(pairs.T.tolist(), numbers.tolist(), strict=True):
            cells.add(one.annotator, (within(part, TAGS), names[truth], names[answered]), number)


def _judge_arcs(
    cells: Cells, label: Relations, existence: Existence, answers: Sequence[Given[Relations]], part: str
) -> None:
    arcs, first = arcs_of(label), len(label.spans)
    given = between(answers, [(each.start, each.end, each.label) for each in label.spans])
    objects = [Drawn((head, tail), name) for head, tail, name in arcs]
    mills = [existence.get(str(first + at), MILLS) for at in range(len(arcs))]
    _judge_drawn(cells, _Drawing(objects, mills, PAIRS, EXACT), given, part + ARCS)


def _judge_words(cells: Cells, label: Transcript, answers: Iterable[Given[Transcript]], part: str) -> None:
    truth = keys(label.text)
    for one in answers:
        wrong = min(edits(keys(one.value.text), truth), len(truth))
        cells.add(one.annotator, (within(part, WORDS), "", YES), len(truth) - wrong)
        cells.add(one.annotator, (within(part, WORDS), "", NO), wrong)
        cells.add_squares(one.annotator, within(part, WORDS), MILLS * (len(truth) - wrong), MILLS * len(truth))
