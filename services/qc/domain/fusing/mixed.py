"""A mix of several kinds in one item: each part by its own engine, the item as doubtful as its worst part."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from services.qc.domain import numeric
from services.qc.domain.consensus import Opinion, posterior
from services.qc.domain.counts import ANY, Parameters, build
from services.qc.domain.fusing.counted import CONSENSUS, MILLS, Cells, within
from services.qc.domain.fusing.judged import Existence, judge
from services.qc.domain.fusing.outcome import Fusion, Part
from services.qc.domain.judging import judge as judge_symbol
from services.qc.domain.judging import weights_of
from services.qc.domain.kinds.kind import Given
from services.qc.domain.kinds.tolerance import TOLERANCE
from services.qc.domain.scale import Kind, Scale, symbol_of
from shared.labels import Choice, Choices, Mixed, Rating

HALF = 0.5
NOBODY = build(0, ())


def fuse(answers: Sequence[Given[Any]], scale: Scale, parameters: Parameters) -> Fusion:
    """Fuse the answers to one item, part by part; one that less than half gave is left out.

    Args:
        answers: at most one by an annotator, in an order that says nothing.
        scale: with the parts.
        parameters: the snapshot.
    """
    values: dict[str, Any] = {}
    parts: list[Part] = []
    left, doubts, unseen = [], [], 0.0
    for name, one in scale.parts.items():
        given = [Given(each.annotator, each.value.parts[name]) for each in answers if name in each.value.parts]
        if len(given) != len(answers):
            doubts.append((max(len(given), len(answers) - len(given)) / len(answers), f"whether {name} is there"))
        if 2 * len(given) < len(answers):  # most leave it out
            continue
        found = _fused(given, name, one, parameters)
        values[name] = found.value
        parts += [replace(each, part=name) for each in found.parts]
        left += [replace(each, part=name) for each in found.left_out]
        doubts.append((found.worst[0], f"{name}: {found.worst[1]}"))
        unseen += found.unseen
    left.sort(key=lambda each: -each.existence)
    return Fusion(Mixed(parts=values), tuple(parts), tuple(left), unseen=unseen, doubts=tuple(doubts))


def _fused(given: Sequence[Given[Any]], name: str, scale: Scale, parameters: Parameters) -> Fusion:
    if scale.fuser is not None:
        return scale.fuser.fuse(given, parameters.fused, name)
    if scale.kind is Kind.NUMERIC:
        return _number(given, scale)
    opinions = [Opinion(one.annotator, symbol_of(one.value)) for one in given]
    shares = posterior(opinions, scale, parameters.parts.get(name, NOBODY))
    by_symbol = {symbol_of(one.value): one.value for one in given}
    best = max(sorted(by_symbol), key=lambda symbol: shares.get(symbol, 0.0))
    sure = min(shares.get(best, 0.0), 1.0)
    votes = sum(one.symbol == best for one in opinions)
    return Fusion(by_symbol[best], (Part(0, sure, votes=votes, about="class"),))


def _number(given: Sequence[Given[Rating]], scale: Scale) -> Fusion:
    """Sure where more than half, and two at least, are near to the middle; else half sure at most."""
    numbers = [one.value.rating for one in given]
    middle = numeric.estimate(numbers, scale)
    near = sum(numeric.near(number, middle, scale) for number in numbers)
    sure = 1.0 if numeric.settled(numbers, scale) else HALF * near / len(numbers)
    return Fusion(Rating(rating=middle), (Part(0, sure, votes=near, about="number"),))


def judge_mixed(cells: Cells, label: Mixed, existence: Existence, answers: Sequence[Given[Any]]) -> None:
    """Add what each part of a label says about the same part of its answers; numbers say nothing about people."""
    for name, value in label.parts.items():
        given = [
            Given(each.annotator, part)
            for each in answers
            if (part := each.value.parts.get(name)) is not None and part.kind == value.kind
        ]
        if value.kind in TOLERANCE:
            places = {place.removeprefix(f"{name}/"): mills for place, mills in existence.items()}
            judge(cells, value, places, given, name)
        elif isinstance(value, Choice | Choices):
            _judge_symbols(cells, name, value, existence.get(f"{name}/0"), given)


def _judge_symbols(
    cells: Cells, name: str, value: Choice | Choices, mills: int | None, given: Sequence[Given[Any]]
) -> None:
    truth, kind = symbol_of(value), Kind.CLOSED if isinstance(value, Choice) else Kind.OPEN
    weights = weights_of(None if mills is None else {truth: mills / MILLS}, truth)
    weights = {symbol: weight for symbol, weight in weights.items() if symbol != ANY or kind is Kind.OPEN}
    for one in given:
        answered = symbol_of(one.value)
        for (true, said), (number, weight) in judge_symbol(answered, truth, weights, kind, near=False).items():
            cells.add(one.annotator, (within(name, CONSENSUS), true, said), number, weight)
