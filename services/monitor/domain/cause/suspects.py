"""Who did it: each possible cause is a hypothesis about which counts changed, and the likeliest comes first."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from services.monitor.domain.cause.counts import Dimension, Period, Tally, added, anything
from services.monitor.domain.cause.evidence import (
    answers_changed,
    changed,
    class_moved,
    class_shares,
    fell,
    mixed,
    predictions_changed,
)
from services.monitor.domain.cause.noise import Work, agreeing, likelihoods, noisier
from services.monitor.domain.cause.split import disagreement, kitagawa, split
from services.monitor.domain.cause.traffic import Joint, other_mix, people_accuracy, prior_shift

AT_MOST = 5
LEAST = 3.0
"""Nats of evidence (20 to 1) below which nobody is suspected."""
RISEN = 0.05
"""Of the traffic or answers: by how much the share of a version must have risen for it to be a release."""


class Signature(StrEnum):
    """A known pattern of what changes together, and what stays."""

    PRIOR_SHIFT = "traffic_prior_shift"
    NEW_REGION = "new_region"
    MODEL = "model_release"
    GUIDELINE = "guideline_change"
    ANNOTATOR = "annotator"
    PIPELINE = "pipeline"


@dataclass(frozen=True, slots=True)
class Suspect:
    """One possible cause.

    Attributes:
        value: of the dimension; of classes the one whose share moved most.
        evidence: log Bayes factor against no change at all, nats.
        score: its probability, were exactly one of those considered the cause.
        contribution: to the change of the disagreement, with a 95 % interval.
    """

    signature: Signature
    dimension: Dimension
    value: str
    evidence: float
    score: float
    contribution: float
    low: float
    high: float


Found = tuple[Signature, Dimension, str, float]


def diagnose(before: Period, after: Period, *, dispersion: float = 1.0) -> tuple[Suspect, ...]:
    """The suspects of a change between two periods, the likeliest first; at most five, none for no evidence.

    Args:
        before: the period before the change; a few hundred events of the other one do no harm in either.
        after: the period since.
        dispersion: by what events vary more than independent ones would, at least 1; evidence is divided by it.
    """
    found = [
        (signature, dimension, value, gain / max(dispersion, 1.0))
        for signature, dimension, value, gain in _hypotheses(before, after)
    ]
    likely = sorted((one for one in found if one[3] >= LEAST), key=lambda one: (-one[3], one[:3]))
    if not likely:
        return ()
    whole = math.fsum(math.exp(one[3] - likely[0][3]) for one in likely)
    suspects = []
    for signature, dimension, value, gain in likely[:AT_MOST]:
        effect = _effect(before, after, dimension, value)
        suspects.append(Suspect(signature, dimension, value, gain, math.exp(gain - likely[0][3]) / whole, *effect))
    return tuple(suspects)


def _hypotheses(before: Period, after: Period) -> Iterator[Found]:
    whole = Joint(before.all_predictions, before.all_answers, people_accuracy(before))
    yield from _priors(before, after, whole)
    yield from _each(Signature.NEW_REGION, Dimension.SOURCE, _region, before, after)
    yield from _each(Signature.PIPELINE, Dimension.CLIENT, _pipeline, before, after)
    yield from _annotators(before, after, whole)
    yield from _each(Signature.MODEL, Dimension.MODEL, _model, before, after)
    yield from _each(Signature.GUIDELINE, Dimension.GUIDELINE, _guideline, before, after)


Test = Callable[[Period, Period, str], float | None]


def _each(signature: Signature, dimension: Dimension, test: Test, before: Period, after: Period) -> Iterator[Found]:
    """The hypothesis for each value; the more there are, the less likely each is beforehand."""
    values = sorted(after.predictions.get(dimension, {}).keys() | after.answers.get(dimension, {}).keys())
    if len(values) < 2 and dimension in {Dimension.SOURCE, Dimension.CLIENT}:  # noqa: PLR2004
        return  # nothing is concentrated in all there is
    gains = {value: gain for value in values if (gain := test(before, after, value)) is not None}
    for value, gain in gains.items():
        yield signature, dimension, value, gain - math.log(len(gains))


def _priors(before: Period, after: Period, whole: Joint) -> Iterator[Found]:
    gain, moved = prior_shift(whole, whole, after.all_predictions, after.all_answers)
    if moved:
        yield Signature.PRIOR_SHIFT, Dimension.CLASS, max(sorted(moved), key=lambda name: abs(moved[name])), gain
    for dimension in (Dimension.SOURCE, Dimension.CLIENT):
        gain, value = other_mix(before, after, dimension)
        yield Signature.PRIOR_SHIFT, dimension, value, gain
    yield from _each(Signature.PRIOR_SHIFT, Dimension.SOURCE, partial(_prior_within, whole), before, after)


def _prior_within(whole: Joint, before: Period, after: Period, value: str) -> float | None:
    """Other classes come of one source."""
    sides = [
        (side.predicted(Dimension.SOURCE, value.__eq__), side.answered(Dimension.SOURCE, value.__eq__))
        for side in (before, after)
    ]
    if not sides[0][0] or not sides[0][1]:
        return None
    own = Joint(*sides[0], whole.accuracy)
    return mixed([prior_shift(own, looks, *sides[1])[0] for looks in (own, whole)])


def _moved(before: Period, after: Period, dimension: Dimension, value: str, base: Callable[[str], bool]) -> float:
    """Predictions, and what people answer to them, of a value are not those of `base` before; the classes are.

    Less what speaks for other classes: that is the share of the evidence that such a change does not explain.
    """
    predictions = before.predicted(dimension, base), after.predicted(dimension, value.__eq__)
    answers = before.answered(dimension, base), after.answered(dimension, value.__eq__)
    classes = [class_shares(*side) for side in zip(predictions, answers, strict=True)]
    explained = predictions_changed(*predictions) + answers_changed(*answers)
    return explained - max(changed(classes[0], classes[1]), 0.0)


def _base(before: Period, dimension: Dimension, value: str) -> Callable[[str], bool]:
    """With what a value's period after is compared: with itself before, if it was there, else with everything."""
    known = before.predictions.get(dimension, {}).get(value) or before.answers.get(dimension, {}).get(value)
    return value.__eq__ if known else anything


def _region(before: Period, after: Period, source: str) -> float | None:
    """Something new comes from a source: the model is lost, and people agree less with each other, too."""
    base = _base(before, Dimension.SOURCE, source)
    if _confidence(after, Dimension.SOURCE, source.__eq__) >= _confidence(before, Dimension.SOURCE, base):
        return None
    agreed = (before.agreed(Dimension.SOURCE, base), after.agreed(Dimension.SOURCE, source.__eq__))
    return _moved(before, after, Dimension.SOURCE, source, base) + fell(*agreed)


def _pipeline(before: Period, after: Period, client: str) -> float | None:
    """What a client sends arrives broken: predictions jump and confidence falls, people see what they always saw."""
    base = _base(before, Dimension.CLIENT, client)
    if _confidence(after, Dimension.CLIENT, client.__eq__) >= _confidence(before, Dimension.CLIENT, base):
        return None
    return _moved(before, after, Dimension.CLIENT, client, base)


def _confidence(period: Period, dimension: Dimension, only: Callable[[str], bool]) -> float:
    """The mean band of predictions; of those that people answered, where they are not told apart by the dimension."""
    predictions = period.predicted(dimension, only)
    for one, n in ({} if predictions else period.answered(dimension, only)).items():
        predictions[one.predicted] += n
    return sum(said.band * n for said, n in predictions.items()) / max(predictions.total(), 1)


def _released(before: Period, after: Period, dimension: Dimension, version: str) -> bool:
    tables = [(side.predictions if dimension is Dimension.MODEL else side.answers) for side in (before, after)]
    shares = []
    for table in tables:
        of = table.get(dimension, {})
        total = sum(counts.total() for counts in of.values())
        shares.append(of[version].total() / total if version in of and total else 0.0)
    return shares[1] - shares[0] >= RISEN


def _model(before: Period, after: Period, version: str) -> float | None:
    """A version predicts otherwise than what was there before it."""
    if not _released(before, after, Dimension.MODEL, version):
        return None
    return _moved(before, after, Dimension.MODEL, version, version.__ne__)


def _guideline(before: Period, after: Period, version: str) -> float | None:
    """Since a version people answer otherwise to the same proposals, and all of them miss gold of before."""
    if not _released(before, after, Dimension.GUIDELINE, version):
        return None
    first = before.answered(Dimension.GUIDELINE, version.__ne__)
    second = after.answered(Dimension.GUIDELINE, version.__eq__)
    gold = added(before.gold.values()), added(after.gold.values())
    return mixed([answers_changed(first, second), class_moved(first, second)]) + mixed([0.0, fell(*gold)])


def _annotators(before: Period, after: Period, joint: Joint) -> Iterator[Found]:
    """One person's answers have become noisier, in gold, beside others and beside the model; or otherwise different."""
    alone = agreeing(before.agreement.get(Dimension.ANNOTATOR, {}))
    works = [_works(side) for side in (before, after)]
    first, second = ({name: likelihoods(work, joint, alone) for name, work in of.items()} for of in works)
    for person in sorted(second):
        gains = [noisier(first.get(person), second[person], first.values())]
        if person in first:
            gains.append(answers_changed(works[0][person].answers, works[1][person].answers))
        yield Signature.ANNOTATOR, Dimension.ANNOTATOR, person, mixed(gains) - math.log(len(second))


def _works(side: Period) -> dict[str, Work]:
    agreed = side.agreement.get(Dimension.ANNOTATOR, {})
    return {
        name: Work(answers, side.gold.get(name, Tally()), agreed.get(name, Tally()))
        for name, answers in side.answers.get(Dimension.ANNOTATOR, {}).items()
    }


def _effect(before: Period, after: Period, dimension: Dimension, value: str) -> tuple[float, float, float]:
    """What the value adds to the change of the disagreement, and a 95 % interval of it."""
    if dimension in {Dimension.MODEL, Dimension.GUIDELINE}:  # a release against all there was before
        first = {"": disagreement(before.all_answers)}
        of = after.answers.get(dimension, {})
        rest = disagreement(after.answered(dimension, value.__ne__))
        parts = kitagawa(first, {value: disagreement(of[value]), "": rest} if value in of else {"": rest})
        found = parts.get(value)
        return (found[0] + found[1], found[2], found[3]) if found else (0.0, 0.0, 0.0)
    for part in split(before, after, dimension):
        if part.value == value:
            return part.total, part.low, part.high
    return 0.0, 0.0, 0.0
