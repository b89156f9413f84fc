"""Spans as tags: which stretches of a text people marked, cut where anyone begins or ends one.

The text is cut into atoms at every boundary that anybody gave; so no tokenizer is needed, and offsets may be characters
or tokens. Each atom gets O, or B or I of a class, from each annotator: a single choice, to which the two-level model
applies (Dawid & Skene 1979 with priors), with two accuracies of each annotator: on what is there to be marked, and on
what is not. The best legal sequence of tags becomes spans.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np

from services.qc.domain.answers import Answers, Floats, Ints, answers_of
from services.qc.domain.em import Fitted, fit
from services.qc.domain.rows import TINY, Priors, crowd_confusion

Stretch = tuple[int, int, str]
OUTSIDE = 0
IMPOSSIBLE = -1e9


@dataclass(frozen=True)
class Tagged:
    """The answers to all items as tags of atoms.

    Attributes:
        answers: atoms are the items, tags the classes: O, then B and I of each class.
        edges: of each item; atom k goes from edge k to the next.
        starts: (items + 1,); the first atom of each.
        classes, annotators: their names, sorted.
    """

    answers: Answers
    edges: tuple[tuple[int, ...], ...]
    starts: Ints
    classes: tuple[str, ...]
    annotators: tuple[str, ...]


def flat(spans: Sequence[Stretch]) -> list[Stretch]:
    """The spans that tags can say: of overlapping ones the longest, of equals the first; by start."""
    kept: list[Stretch] = []
    for start, end, label in sorted(spans, key=lambda each: (each[0] - each[1], each[0], each[2])):
        at = bisect_left(kept, start, key=itemgetter(0))
        if (at == len(kept) or end <= kept[at][0]) and (at == 0 or kept[at - 1][1] <= start):
            kept.insert(at, (start, end, label))
    return kept


def tagged(items: Sequence[Mapping[str, Sequence[Stretch]]]) -> Tagged:
    """Cut every item into atoms and tag them.

    Args:
        items: annotator -> spans without overlap.
    """
    classes = tuple(sorted({label for item in items for spans in item.values() for _, _, label in spans}))
    annotators = tuple(sorted({who for item in items for who in item}))
    tag = {name: 1 + 2 * place for place, name in enumerate(classes)}
    seat = {name: place for place, name in enumerate(annotators)}
    edges: list[tuple[int, ...]] = []
    columns: tuple[list[Ints], list[Ints], list[Ints]] = ([], [], [])
    atoms, starts = 0, [0]
    for item in items:
        cuts = sorted({0}.union(*({start, end} for spans in item.values() for start, end, _ in spans)))
        edges.append((*cuts, cuts[-1] + 1))  # what comes after the last span was left alone, too
        place = {cut: at for at, cut in enumerate(cuts)}
        for who, spans in item.items():
            tags = np.zeros(len(cuts), dtype=np.int32)
            for start, end, label in spans:
                tags[place[start]] = tag[label]
                tags[place[start] + 1 : place[end]] = tag[label] + 1
            columns[0].append(np.arange(atoms, atoms + len(cuts), dtype=np.int32))
            columns[1].append(np.full(len(cuts), seat[who], dtype=np.int32))
            columns[2].append(tags)
        atoms += len(cuts)
        starts.append(atoms)
    flats = [np.concatenate(each) if each else np.zeros(0, dtype=np.int32) for each in columns]
    answers = answers_of(flats[0], flats[1], flats[2], (atoms, len(annotators), 1 + 2 * len(classes)))
    return Tagged(answers, tuple(edges), np.array(starts, dtype=np.int32), classes, annotators)


def two_sided_columns(counts: Floats, priors: Priors, crowd: Floats | None = None) -> Floats:
    """What annotators are expected to answer; (annotators, answered, truth).

    As the two-level model has it, but with two accuracies of each annotator, on marked atoms and on those outside:
    people miss much more than they invent. Both are shrunk to the crowd's, which are anchored.
    """
    pooled = counts.sum(axis=0) if crowd is None else crowd
    seen, right = counts.sum(axis=1), np.einsum("akk->ak", counts)
    own = np.empty_like(seen)
    for part in (slice(0, 1), slice(1, len(pooled))):
        anchor = priors.accuracy_answers
        total = float(pooled[:, part].sum()) + anchor
        mean = (float(np.diag(pooled)[part].sum()) + anchor * priors.accuracy) / total
        hits = right[:, part].sum(axis=1) + priors.own_answers * mean
        own[:, part] = (hits / (seen[:, part].sum(axis=1) + priors.own_answers))[:, None]
    found: Floats = (1.0 - own)[:, None, :] * crowd_confusion(pooled)[None]
    at = np.arange(len(pooled))
    found[:, at, at] = own
    return found


def learn(found: Tagged) -> Fitted:
    """Posteriors of all atoms' tags, and everybody's counts."""
    return fit(found.answers, expect=two_sided_columns)


def best_path(shares: Floats) -> list[int]:
    """The likeliest sequence of tags in which an I has a B or I of its class before it (Viterbi).

    Args:
        shares: (atoms, tags); P(tag).
    """
    logs = np.log(np.maximum(shares, TINY))
    opens = np.arange(1, logs.shape[1], 2)
    score, back = logs[0].copy(), []
    score[2::2] = IMPOSSIBLE
    for row in logs[1:]:
        came = np.full(len(row), int(score.argmax()))
        came[2::2] = opens + (score[2::2] > score[1::2])
        back.append(came)
        score = score[came] + row
    path = [int(score.argmax())]
    for came in reversed(back):
        path.append(int(came[path[-1]]))
    return path[::-1]


def stretches(
    path: Sequence[int], shares: Floats, edges: Sequence[int], classes: Sequence[str]
) -> list[tuple[Stretch, float]]:
    """The spans of a legal sequence of tags, each with the chance that its boundaries and class are right."""
    found: list[tuple[Stretch, float]] = []
    ends = [*path, OUTSIDE]
    for at, tag in enumerate(path):
        if tag % 2 == 0:
            continue
        stop = next(place for place in range(at + 1, len(ends)) if ends[place] != tag + 1)
        inside = float(min(shares[at, tag], *(shares[place, tag + 1] for place in range(at + 1, stop)), 1.0))
        going_on = float(shares[stop, tag + 1]) if stop < len(path) else 0.0
        label = classes[(tag - 1) // 2]
        found.append(((edges[at], edges[stop], label), inside * (1.0 - going_on)))
    return found
