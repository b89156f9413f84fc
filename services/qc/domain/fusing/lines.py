"""Spans and relations of one item: tags of atoms by earlier rounds' confusions, then arcs between fused spans."""

from collections.abc import Mapping, Sequence

import numpy as np

from services.qc.domain.em import class_logs, softmax
from services.qc.domain.fusing import drawn
from services.qc.domain.fusing.counted import TAGS, Counted, matrix
from services.qc.domain.fusing.outcome import Fusion, LeftOut, Part
from services.qc.domain.kinds import relations, spans, tags
from services.qc.domain.kinds.kind import Given
from services.qc.domain.kinds.relations import PAIRS
from services.qc.domain.kinds.tags import Stretch
from services.qc.domain.rows import TINY, Priors, columns
from shared.labels import Relations, Spans


def tag_names(classes: Sequence[str]) -> list[str]:
    """O, then B and I of each class."""
    return ["O", *(f"{sort}-{name}" for name in classes for sort in "BI")]


def fuse_spans(answers: Sequence[Given[Spans]], counted: Counted) -> Fusion:
    """The best legal tags. The chance of a span is that of its class and both of its ends together."""
    named = {one.annotator: tags.flat(spans.stretches_of(one.value)) for one in answers}
    found = tags.tagged([named])
    names, priors = tag_names(found.classes), Priors()
    pooled = matrix(counted.crowd, TAGS, names)
    own = np.stack([matrix(counted.own(who), TAGS, names) for who in found.annotators])
    told = columns(own, tags.two_sided_columns(own, priors, pooled), priors.row_answers)
    logs = np.log(np.maximum(told, TINY))[found.answers.annotator, found.answers.symbol]
    scores = np.tile(class_logs(pooled.sum(axis=0), priors), (found.answers.items, 1))
    np.add.at(scores, found.answers.item, logs)
    label = spans.labelled(softmax(scores), found, 0, named)
    kept = [part for part in label.parts if part["kept"]]
    left = [part for part in label.parts if not part["kept"]]
    return Fusion(
        label.value,
        tuple(Part(at, part["posterior"], votes=part["votes"]) for at, part in enumerate(kept)),
        tuple(LeftOut(part["posterior"], part["votes"]) for part in left),
        lone=alone(answers, counted),
    )


def alone(answers: Sequence[Given[Spans]], counted: Counted) -> float:
    """P(a lone person missed nothing)."""
    return 1.0 if len(answers) > 1 else drawn.nothing_missed([len(one.value.spans) for one in answers], counted)


def fuse_relations(
    answers: Sequence[Given[Relations]], counted: Counted, arcs: Counted, classes: Sequence[str]
) -> Fusion:
    """Fused spans, and the relations between them that are likely real."""
    below = fuse_spans(relations.spans_alone(answers), counted)
    stretches = spans.stretches_of(below.value) if isinstance(below.value, Spans) else []
    given = relations.between(answers, stretches)
    found = drawn.fused(given, PAIRS, arcs, classes, near=1.0)
    kept = [(*one.extent, one.label) for one in found.kept]
    value = relations.value_of(stretches, kept)
    return Fusion(
        value,
        (*_spans_again(value, below, stretches), *_arcs_again(value, found, kept)),
        (*below.left_out, *found.left_out),
        lone=below.lone,
    )


def _spans_again(value: Relations, below: Fusion, stretches: Sequence[Stretch]) -> list[Part]:
    """The parts of the spans, in the order of the value; a span that only a relation names was given by nobody else."""
    known: Mapping[Stretch, Part] = dict(zip(stretches, below.parts, strict=True))
    found = []
    for at, span in enumerate(value.spans):
        part = known.get((span.start, span.end, span.label))
        found.append(Part(at, 0.5) if part is None else Part(at, part.existence, votes=part.votes))
    return found


def _arcs_again(value: Relations, found: drawn.Objects, kept: Sequence[relations.Named]) -> list[Part]:
    known = dict(zip(kept, found.parts, strict=True))
    first = len(value.spans)
    return [
        Part(first + at, one.existence, one.right_class, votes=one.votes)
        for at, one in enumerate(known[arc] for arc in relations.arcs_of(value))
    ]
