"""What is published of agreement: of a project, each class, slice, guideline version and pair of annotators.

The unit is a round; of one project they are the answers of a window, so that the work is bounded whatever the project
has grown to. Alpha has the metric of the scale.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from services.qc.domain.agreement import Order, Sums, measures
from services.qc.domain.answers import Answers, Bools, Floats, answers_of
from services.qc.domain.cohen import CHUNK, PairTable, pair_table
from services.qc.domain.refresh import Given
from services.qc.domain.resampling import COHEN, PERCENTILES, agreement_with_intervals
from services.qc.domain.scale import Kind, Scale
from shared.events import Agreement, AnnotatorPair, PairAgreement

CLASSES_AT_MOST = 100
"""Above, agreement is that on the commonest classes, and all others are one."""
SCOPES_AT_MOST = 50
"""Classes, guideline versions and slices of the project that have figures of their own."""
PAIRS_AT_MOST = 100
PAIR_CLASSES_AT_MOST = 30
REST = "\x1frest"
DIGITS = 6
PUBLISHED = {"fleiss": "fleiss", "gwet_ac1": "ac1", "gwet_ac2": "ac2", COHEN: "kappa"}

SLICES: Mapping[str, Callable[[Given], bool]] = {
    "proposal=blind": lambda one: one.blind,
    "proposal=seen": lambda one: not one.blind,
    "round=first": lambda one: one.round == 1,
    "round=again": lambda one: one.round > 1,
}
"""What an annotation says of the circumstances under which it was given."""


@dataclass(frozen=True, slots=True)
class Concord:
    """Answers as arrays, with what is known about their classes.

    Attributes:
        answers: items are rounds.
        rows: the answers as they were given, in the order of `answers`.
        people, classes: names by index.
        order: of the classes.
        metric: of alpha.
    """

    answers: Answers
    rows: Sequence[Given]
    people: Sequence[str]
    classes: Sequence[str]
    order: Order
    metric: str


def _classes(given: Sequence[Given], scale: Scale) -> tuple[list[str], Order, str]:
    if scale.kind is Kind.CLOSED:
        ordered = scale.ordered and scale.size > 2  # noqa: PLR2004  # two classes are always in order
        if scale.size <= CLASSES_AT_MOST:
            return list(scale.classes), Order(ordered=ordered), "ordinal" if ordered else "nominal"
    counted = Counter(one.symbol for one in given)
    if scale.kind is Kind.NUMERIC:
        numbers = sorted(counted, key=float)
        return numbers, Order(ordered=True, values=np.array([float(one) for one in numbers])), "interval"
    names = sorted(sorted(counted), key=lambda name: -counted[name])
    rest = [REST] if len(names) > CLASSES_AT_MOST else []
    return names[:CLASSES_AT_MOST] + rest, Order(), "nominal"


def _binned(given: Sequence[Given], scale: Scale) -> list[Given]:
    """Numbers to so many values that agreement can be counted; the tolerance of the scale is the width."""
    if scale.kind is not Kind.NUMERIC or len({one.symbol for one in given}) <= CLASSES_AT_MOST:
        return list(given)
    return [one._replace(symbol=f"{round(float(one.symbol) / scale.tolerance) * scale.tolerance:g}") for one in given]


def concord(given: Sequence[Given], scale: Scale) -> Concord:
    """Recent answers, at most one by one person to one round, ready to be measured."""
    rows = sorted(_binned(given, scale), key=lambda one: (one.item_id, one.round, one.annotator_id))
    names, order, metric = _classes(rows, scale)
    place = {name: index for index, name in enumerate(names)}
    rest = place.get(REST)
    kept = [one for one in rows if one.symbol in place or rest is not None]
    people = sorted({one.annotator_id for one in kept})
    who = {name: index for index, name in enumerate(people)}
    units = {key: index for index, key in enumerate(dict.fromkeys((one.item_id, one.round) for one in kept))}
    answers = answers_of(
        [units[one.item_id, one.round] for one in kept],
        [who[one.annotator_id] for one in kept],
        [place.get(one.symbol, rest or 0) for one in kept],
        (len(units), len(people), len(names)),
    )
    return Concord(answers, kept, people, names, order, metric)


def _measured(
    found: Concord, answers: Answers, scope: Any, name: str, *, order: Order, resamples: int
) -> Agreement | None:
    """None where no round has two opinions."""
    rng = np.random.default_rng(0)
    got = agreement_with_intervals(answers, order, resamples=resamples, rng=rng)
    percent = got.values["percent_agreement"]
    if percent is None or not got.paired:
        return None
    alpha = f"alpha_{found.metric if order is found.order else 'nominal'}"
    names = {alpha: "alpha", "percent_agreement": "percent", **PUBLISHED}
    values = {
        names[key]: round(value, DIGITS) for key, value in got.values.items() if key in names and value is not None
    }
    intervals = {
        names[key]: (round(both[0], DIGITS), round(both[1], DIGITS))
        for key, both in got.intervals.items()
        if key in names and both is not None
    }
    shared = int((answers.opinions[answers.item] > 1).sum())
    return Agreement(
        rounds=got.paired, opinions=shared, scope=scope, name=name,
        metric=alpha.removeprefix("alpha_"), intervals=intervals, **values | {"percent": min(max(percent, 0.0), 1.0)},
    )  # fmt: skip


def _scopes(found: Concord, scale: Scale) -> Iterator[tuple[str, str, Answers]]:
    """(scope, name, answers); a class is asked about by itself, against all others."""
    answers, rows = found.answers, found.rows
    yield "project", "", answers
    if scale.kind is not Kind.NUMERIC and len(found.classes) > 2:  # noqa: PLR2004  # of two, one is the other
        given = np.bincount(answers.symbol, minlength=answers.classes)
        for place in np.argsort(-given, kind="stable")[:SCOPES_AT_MOST].tolist():
            if given[place] and found.classes[place] != REST:
                one = replace(answers, symbol=(answers.symbol == place).astype(np.int32), classes=2)
                yield "class", found.classes[place], one
    versions = sorted({row.guideline for row in rows}, reverse=True)[:SCOPES_AT_MOST]
    parts: list[tuple[str, str, Bools]] = [
        ("guideline", str(version), np.array([row.guideline == version for row in rows])) for version in versions
    ]
    parts += [("slice", name, np.array([holds(row) for row in rows])) for name, holds in SLICES.items()]
    named = Counter(row.slice for row in rows if row.slice is not None)
    parts += [
        ("slice", name, np.array([row.slice == name for row in rows])) for name, _ in named.most_common(SCOPES_AT_MOST)
    ]
    for scope, name, kept in parts:
        if kept.any():
            yield scope, name, answers.only(kept)


def agreements(found: Concord, scale: Scale, *, resamples: int) -> list[Agreement]:
    """Every scope that has a round with two opinions."""
    if not len(found.answers):
        return []
    measured = [
        _measured(found, answers, scope, name, order=Order() if scope == "class" else found.order, resamples=resamples)
        for scope, name, answers in _scopes(found, scale)
    ]
    return [one for one in measured if one is not None]


def _pair_measures(table: PairTable, weights: Floats, order: Order) -> dict[str, Floats]:
    """alpha, ac1, percent, kappa of each pair and draw; (pairs, draws)."""
    tables = np.moveaxis(table.tables(weights), 3, 1)
    both = tables + np.swapaxes(tables, 2, 3)
    rated = tables.sum(axis=(2, 3))
    got = measures(Sums(both, both / 2.0, both.sum(axis=3) / 2.0, rated, rated), order)
    names = {"alpha_nominal": "alpha", "gwet_ac1": "ac1", "percent_agreement": "percent"}
    return {short: got[name] for name, short in names.items()} | {"kappa": table.kappas(weights)}


def _pair_intervals(table: PairTable, order: Order, resamples: int) -> list[dict[str, tuple[float, float]]]:
    rng, units = np.random.default_rng(0), table.cells.shape[1]
    drawn: dict[str, list[Floats]] = {}
    for start in range(0, resamples, CHUNK):
        size = min(CHUNK, resamples - start)
        weights = rng.multinomial(units, np.full(units, 1.0 / units), size=size).T.astype(np.float64)
        for name, values in _pair_measures(table, weights, order).items():
            drawn.setdefault(name, []).append(values)
    found: list[dict[str, tuple[float, float]]] = [{} for _ in range(len(table))]
    for name, chunks in drawn.items():
        for place, values in enumerate(np.concatenate(chunks, axis=1)):
            known = values[~np.isnan(values)]
            if len(known):
                low, high = np.percentile(known, PERCENTILES)
                found[place][name] = (round(float(low), DIGITS), round(float(high), DIGITS))
    return found


def pairs(found: Concord, *, resamples: int) -> PairAgreement:
    """The least agreeing of the busiest annotators' pairs; those whose kappa is defined."""
    if not len(found.answers) or len(found.classes) > PAIR_CLASSES_AT_MOST:
        return PairAgreement()
    table = pair_table(found.answers)
    if not len(table):
        return PairAgreement()
    whole = np.ones((table.cells.shape[1], 1))
    worst = np.argsort(table.kappas(whole)[:, 0], kind="stable")[:PAIRS_AT_MOST].tolist()
    chosen = table.only(worst)
    values = _pair_measures(chosen, whole, found.order)
    items = chosen.tables(whole)[..., 0].sum(axis=(1, 2))
    intervals = _pair_intervals(chosen, found.order, resamples)
    made = []
    for place, (first, second) in enumerate(chosen.pairs.tolist()):
        known = {name: float(one[place, 0]) for name, one in values.items()}
        rounded = {name: round(value, DIGITS) for name, value in known.items() if not np.isnan(value)}
        made.append(
            AnnotatorPair(
                first=found.people[first],
                second=found.people[second],
                items=round(float(items[place])),
                intervals=intervals[place],
                **rounded,
            )
        )
    return PairAgreement(pairs=tuple(made), considered=len(table))
