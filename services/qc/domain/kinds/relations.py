"""Relations: spans are fused first; then what people say between them is a vote over the fused arguments.

An annotator's span stands for the fused span of most overlap, its class alike if possible. Each pair of fused spans
that anybody joins by a class of relation is one object, whose existence the engine of objects judges.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from services.qc.domain.answers import Floats
from services.qc.domain.kinds import spans
from services.qc.domain.kinds.certainty import certainty
from services.qc.domain.kinds.clusters import Alike
from services.qc.domain.kinds.kind import Fusion, Given, Items, Kind, Label, f1_of
from services.qc.domain.kinds.measures import Measure, detected
from services.qc.domain.kinds.objects import Answer, Drawn, learn
from services.qc.domain.kinds.objects import fuse as fuse_objects
from services.qc.domain.kinds.objects import majority as most
from services.qc.domain.kinds.tags import Stretch
from shared.labels import Relation, Relations, Span, Spans

Arc = tuple[Stretch, Stretch]
Named = tuple[Stretch, Stretch, str]
SAME_CLASS = 0.5


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of spans as extents: the same or not."""

    least: float = 0.5

    def similarity(self, left: Sequence[Arc], right: Sequence[Arc]) -> Floats:
        return np.array([[float(one == two) for two in right] for one in left])

    def likeness(self, extents: Sequence[Arc]) -> Alike:
        known: dict[Arc, list[int]] = {}
        for at, each in enumerate(extents):
            known.setdefault(each, []).append(at)
        pairs = [pair for same in known.values() for pair in combinations(same, 2)]
        ends = np.array(pairs, dtype=np.int32).reshape(-1, 2)
        return Alike(ends[:, 0], ends[:, 1], np.ones(len(ends)))

    def fuse(self, extents: Sequence[Arc], weights: Floats) -> Arc:  # noqa: ARG002  # all of them are the same
        return extents[0]

    def fuse_all(self, groups: Sequence[Sequence[Arc]], weights: Sequence[Floats]) -> list[Arc]:  # noqa: ARG002  # as above
        return [group[0] for group in groups]


PAIRS = Pairs()


def parse(raw: Any) -> Relations:
    """Read `{"spans": [...], "relations": [...]}`: spans with an id, relations with head, tail and label.

    Raises:
        ValueError: says what is wrong.
    """
    if not isinstance(raw, Mapping):
        raise ValueError('relations are {"spans": [...], "relations": [...]}')  # noqa: TRY004  # data, not a call
    listed = [_span(each) for each in raw.get("spans", [])]
    arcs = [_arc(each) for each in raw.get("relations", [])]
    return Relations.model_validate({"spans": listed, "relations": arcs})


def _span(raw: Any) -> Any:
    return dict(zip(("start", "end", "label", "id"), raw, strict=False)) if isinstance(raw, list) else raw


def _arc(raw: Any) -> Any:
    return dict(zip(("head", "tail", "label"), raw, strict=False)) if isinstance(raw, list) else raw


def encode(value: Relations) -> Any:
    return {
        "spans": [[each.start, each.end, each.label, each.id] for each in value.spans],
        "relations": [[each.head, each.tail, each.label] for each in value.relations],
    }


def arcs_of(value: Relations) -> list[Named]:
    """Relations with their spans in full."""
    named = {each.id: (each.start, each.end, each.label) for each in value.spans}
    return [(named[each.head], named[each.tail], each.label) for each in value.relations]


def value_of(stretches: Sequence[Stretch], arcs: Sequence[Named]) -> Relations:
    """The value of spans and relations between them; spans that only a relation names are added."""
    every = sorted({*stretches, *(end for arc in arcs for end in arc[:2])})
    ids = {each: f"s{place}" for place, each in enumerate(every)}
    return Relations(
        spans=tuple(Span(start=each[0], end=each[1], label=each[2], id=ids[each]) for each in every),
        relations=tuple(Relation(head=ids[one], tail=ids[two], label=label) for one, two, label in sorted(set(arcs))),
    )


def spans_alone(answers: Sequence[Given[Relations]]) -> list[Given[Spans]]:
    """What everybody says without the relations."""
    return [
        Given(one.annotator, spans.spans_of([(each.start, each.end, each.label) for each in one.value.spans]))
        for one in answers
    ]


def _stands_for(span: Stretch, fused: Sequence[Stretch]) -> Stretch:
    """The fused span that a given one means; itself where it meets none."""
    best, most_alike = span, 0.0
    for each in fused:
        shared = min(span[1], each[1]) - max(span[0], each[0])
        if shared > 0:
            alike = shared / (max(span[1], each[1]) - min(span[0], each[0])) + SAME_CLASS * (span[2] == each[2])
            if alike > most_alike:
                best, most_alike = each, alike
    return best


def between(answers: Sequence[Given[Relations]], fused: Sequence[Stretch]) -> list[Answer[Arc]]:
    """Everybody's relations as pairs of the fused spans that theirs stand for."""
    return [
        Answer(
            one.annotator,
            tuple(
                Drawn((head, tail), label)
                for head, tail, label in dict.fromkeys(
                    (_stands_for(head, fused), _stands_for(tail, fused), label)
                    for head, tail, label in arcs_of(one.value)
                )
            ),
        )
        for one in answers
    ]


def fuse(items: Items[Relations]) -> Fusion[Relations]:
    """Fused spans, and the relations between them that are likely real."""
    found = spans.fuse({task: spans_alone(answers) for task, answers in items.items()})
    fused = {task: spans.stretches_of(label.value) for task, label in found.labels.items()}
    every = {task: between(answers, fused[task]) for task, answers in items.items()}
    crowd = learn(list(every.values()), PAIRS)
    labels = {}
    for task, answers in every.items():
        told = fuse_objects(answers, PAIRS, crowd)
        kept = [(*each.extent, each.label) for each in told.kept]
        parts = tuple(
            {"head": list(each.extent[0]), "tail": list(each.extent[1]), "label": each.label,
             "posterior": each.posterior, "votes": each.votes, "kept": each.kept}
            for each in told.objects
        )  # fmt: skip
        below = found.labels[task]
        sure = float(np.prod([each.posterior if each.kept else 1.0 - each.existence for each in told.objects]))
        labels[task] = Label(
            value_of(fused[task], kept), sure * below.posterior, told.wrong + below.wrong, (*below.parts, *parts)
        )
    skills = {
        who: {**found.skills.get(who, {}), "relation_detection": skill.detection, "relation_class": skill.accuracy}
        for who, skill in crowd.people.items()
    }
    known = {who: certainty(skill) for who, skill in crowd.people.items()}
    intervals = {
        who: {**found.intervals.get(who, {}), "relation_detection": own["detection"], "relation_class": own["class"]}
        for who, own in known.items()
    }
    return Fusion(labels, skills, intervals)


def majority(answers: Sequence[Given[Relations]]) -> Relations:
    """Majority spans, and the relations that more than half give between them."""
    fused = spans.stretches_of(spans.majority(spans_alone(answers)))
    return value_of(fused, [(*each.extent, each.label) for each in most(between(answers, fused), PAIRS)])


def _tally(found: Relations, true: Relations) -> tuple[float, ...]:
    one, two = set(arcs_of(found)), set(arcs_of(true))
    return len(one & two), len(one), len(two), *spans.tally(_spans(found), _spans(true))[:3]


def _figures(sums: Floats) -> dict[str, Floats]:
    """Micro F1 of relations whose spans and classes are all right; and of the spans."""
    return {**detected(sums), "span_f1": detected(sums[..., 3:])["f1"]}


def _spans(value: Relations) -> Spans:
    return spans_alone([Given("", value)])[0].value


def distance(left: Relations, right: Relations) -> float:
    """1 less the F1 of spans and relations together."""
    one = {*arcs_of(left), *spans.stretches_of(_spans(left))}
    two = {*arcs_of(right), *spans.stretches_of(_spans(right))}
    return 1.0 - f1_of(len(one & two), len(one), len(two))


RELATIONS = Kind("relations", parse, encode, fuse, majority, Measure(6, _tally, _figures), "f1", distance)
