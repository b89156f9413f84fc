"""Text spans: fused as tags, measured by exact and partial F1."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from services.qc.domain.answers import Floats
from services.qc.domain.kinds import tags
from services.qc.domain.kinds.kind import Fusion, Given, Items, Kind, Label, f1_of
from services.qc.domain.kinds.measures import Interval, Measure, detected
from services.qc.domain.kinds.ratios import shares_of, summed
from services.qc.domain.kinds.tags import Stretch
from shared.labels import Span, Spans

WORTH_TELLING = 0.05
VOTES = 0.15
"""What the share of votes is worth in a stated posterior: people err together, which the model does not know."""


def stretches_of(value: Spans) -> list[Stretch]:
    return [(each.start, each.end, each.label) for each in value.spans]


def spans_of(found: Sequence[Stretch]) -> Spans:
    return Spans(spans=tuple(Span(start=start, end=end, label=label) for start, end, label in found))


def parse(raw: Any) -> Spans:
    """Read `{"spans": [...]}` or a bare list; each span an object or [start, end, class].

    Raises:
        ValueError: says which span is wrong.
    """
    listed = raw.get("spans") if isinstance(raw, Mapping) else raw
    if not isinstance(listed, list):
        raise ValueError('spans are a list, or {"spans": [...]}')  # noqa: TRY004  # it is data, not a call
    return Spans(spans=tuple(_span(each, place) for place, each in enumerate(listed)))


def _span(raw: Any, place: int) -> Span:
    if isinstance(raw, list):
        if len(raw) != 3:  # noqa: PLR2004
            raise ValueError(f"spans[{place}] is [start, end, class]")
        raw = {"start": raw[0], "end": raw[1], "label": raw[2]}
    return Span.model_validate(raw)


def encode(value: Spans) -> Any:
    return [list(each) for each in stretches_of(value)]


def fuse(items: Items[Spans]) -> Fusion[Spans]:
    """The best legal tags of each item; spans of an annotator that overlap are read as the longest of them."""
    named = [{one.annotator: tags.flat(stretches_of(one.value)) for one in answers} for answers in items.values()]
    found = tags.tagged(named)
    fitted = tags.learn(found)
    labels = {}
    for place, task in enumerate(items):
        shares = fitted.posterior[found.starts[place] : found.starts[place + 1]]
        labels[task] = _label(shares, found.edges[place], found.classes, named[place])
    return Fusion(labels, *_skills(found, fitted.posterior))


def labelled(shares: Floats, found: tags.Tagged, place: int, given: Mapping[str, Sequence[Stretch]]) -> Label[Spans]:
    """The label of one tagged item.

    Args:
        shares: (atoms, tags); P(tag) of its atoms.
        found: the items as they were tagged.
        place: of the item among them.
        given: annotator -> spans without overlap.
    """
    return _label(shares, found.edges[place], found.classes, given)


def _label(
    shares: Floats,
    edges: Sequence[int],
    classes: Sequence[str],
    given: Mapping[str, Sequence[Stretch]],
) -> Label[Spans]:
    kept = tags.stretches(tags.best_path(shares), shares, edges, classes)
    questions = _questions(shares, edges, classes, given, [span for span, _ in kept])
    votes = {span: sum(span in spans for spans in given.values()) for span, _ in [*kept, *questions]}
    people = max(len(given), 1)
    kept, questions = (
        [(span, (1.0 - VOTES) * share + VOTES * votes[span] / people) for span, share in each]
        for each in (kept, questions)
    )
    parts = tuple(
        {
            "start": span[0],
            "end": span[1],
            "label": span[2],
            "posterior": share,
            "votes": votes[span],
            "kept": at < len(kept),
        }
        for at, (span, share) in enumerate([*kept, *questions])
    )
    wrong = sum(1.0 - share for _, share in kept) + sum(share for _, share in questions)
    sure = float(np.prod([share for _, share in kept]) * np.prod([1.0 - share for _, share in questions]))
    return Label(spans_of([span for span, _ in kept]), sure, wrong, parts)


def _questions(
    shares: Floats,
    edges: Sequence[int],
    classes: Sequence[str],
    given: Mapping[str, Sequence[Stretch]],
    kept: Sequence[Stretch],
) -> list[tuple[Stretch, float]]:
    """What somebody gave and the label has not, with the chance that it is right."""
    place = {edge: at for at, edge in enumerate(edges)}
    found = []
    for start, end, label in sorted({span for spans in given.values() for span in spans}.difference(kept)):
        tag, at, stop = 1 + 2 * classes.index(label), place[start], place[end]
        inside = float(min(shares[at, tag], *(shares[each, tag + 1] for each in range(at + 1, stop)), 1.0))
        share = inside * (1.0 - float(shares[stop, tag + 1]))
        if share >= WORTH_TELLING:
            found.append(((start, end, label), share))
    return found


def _skills(
    found: tags.Tagged, posterior: Floats
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, Interval]]]:
    """Of each annotator: the share of what is there that they mark, of what they mark that is not, class and extent.

    Args:
        found: the items as they were tagged.
        posterior: (atoms, tags).
    """
    given, people = found.answers, len(found.annotators)
    shares = np.take_along_axis(posterior[given.item], given.symbol[:, None].astype(np.int64), axis=1)[:, 0]
    other = np.where(given.symbol % 2 == 1, given.symbol + 1, given.symbol - 1)  # B for I, and I for B
    other = np.minimum(np.maximum(other, 0), given.classes - 1)
    marked = np.where(given.symbol > 0, 1.0, 0.0)
    there = 1.0 - posterior[given.item, 0]
    both, same = marked * there, marked * shares
    right = same + marked * posterior[given.item, other]
    task = np.searchsorted(found.starts, given.item, side="right") - 1
    rows, row = np.unique(task.astype(np.int64) * people + given.annotator, return_inverse=True)
    by_task = [np.bincount(row, each, minlength=len(rows)) for each in (there, marked, both, right, same)]
    there, marked, both, right, same = (each.astype(np.float64) for each in by_task)
    who = (rows % max(people, 1)).astype(np.int32)
    pairs: dict[str, tuple[Floats, Floats]] = {
        "detection": (both, there), "false": (marked - both, marked), "class": (right, both), "extent": (same, right),
    }  # fmt: skip
    skills, known = shares_of(found.annotators, {name: summed(who, *pair, people) for name, pair in pairs.items()})
    nothing = {"detection": 1.0, "false": 0.0, "class": 1.0, "extent": 1.0}
    return {name: nothing | own for name, own in skills.items()}, known


def majority(answers: Sequence[Given[Spans]]) -> Spans:
    """Each atom's commonest tag; O where several are."""
    named = {one.annotator: tags.flat(stretches_of(one.value)) for one in answers}
    found = tags.tagged([named])
    path = tags.best_path(found.answers.votes / max(len(answers), 1))
    return spans_of([span for span, _ in tags.stretches(path, found.answers.votes, found.edges[0], found.classes)])


def overlap_f1(found: Spans, true: Spans) -> float:
    """Partial F1: marked positions of the right class over all marked ones."""
    one, two = _positions(found), _positions(true)
    return f1_of(len(one & two), len(one), len(two))


def _positions(value: Spans) -> set[tuple[int, str]]:
    return {(at, label) for start, end, label in stretches_of(value) for at in range(start, end)}


def tally(found: Spans, true: Spans) -> tuple[float, ...]:
    """Spans that are right, given and true; and the same of positions."""
    one, two = set(stretches_of(found)), set(stretches_of(true))
    here, there = _positions(found), _positions(true)
    return len(one & two), len(one), len(two), len(here & there), len(here), len(there)


def _figures(sums: Floats) -> dict[str, Floats]:
    """Micro F1 of spans whose boundaries and class are right; and of positions."""
    return {**detected(sums), "partial_f1": detected(sums[..., 3:])["f1"]}


def distance(left: Spans, right: Spans) -> float:
    """1 less the F1 of exact spans."""
    one, two = set(stretches_of(left)), set(stretches_of(right))
    return 1.0 - f1_of(len(one & two), len(one), len(two))


SPANS = Kind("spans", parse, encode, fuse, majority, Measure(6, tally, _figures), "f1", distance, stretches_of)
