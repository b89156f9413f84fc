"""The scheduled refresh of projects of numbers: from the recent answers to what the next snapshot knows of people."""

from collections.abc import Iterable, Sequence

import numpy as np

from services.qc.domain.counts import CellCount, Source
from services.qc.domain.kinds.ratings import Numbers, estimate
from services.qc.domain.raters import FREEDOM, LEAST, MET, OFFSET, SPREAD, TYPICAL, UNIT, difficulty
from services.qc.domain.refresh import Given

FEWEST = 20
"""Answers that others met, before which nothing is said of people."""


def rated(given: Sequence[Given], tolerance: float) -> list[CellCount]:
    """What a snapshot holds of people who give numbers; nothing where too few answers met others.

    Args:
        given: answers, at most one by one person to one item, whose symbols are numbers.
        tolerance: of the project's scale.
    """
    people = sorted({one.annotator_id for one in given})
    seat = {name: at for at, name in enumerate(people)}
    place = {name: at for at, name in enumerate(dict.fromkeys(one.item_id for one in given))}
    numbers = Numbers(
        np.array([place[one.item_id] for one in given], dtype=np.int32),
        np.array([seat[one.annotator_id] for one in given], dtype=np.int32),
        np.array([float(one.symbol) for one in given], dtype=np.float64),
        len(place),
        len(people),
    )
    met = numbers.by_item(np.ones(len(given)))[numbers.item] > 1.0
    if int(met.sum()) < FEWEST:
        return []
    _, known = estimate(numbers)
    spread = np.maximum(known.spread, LEAST * tolerance)
    freedom, scale = difficulty(numbers, type(known)(known.offset, spread))
    typical = float(np.sqrt(np.mean(spread[numbers.who[met]] ** 2))) * scale / tolerance
    cells = [_cell("", TYPICAL, typical), _cell("", FREEDOM, freedom)]
    if known.offset.any():
        number = numbers.by_person(met * 1.0)
        rows = zip(people, known.offset.tolist(), (spread * scale).tolist(), number.tolist(), strict=True)
        for name, offset, own, answers in rows:
            cells += [_cell(name, OFFSET, offset / tolerance), _cell(name, SPREAD, own / tolerance)]
            cells.append(_cell(name, MET, answers))
    return cells


def _cell(who: str, name: str, value: float) -> CellCount:
    return CellCount(who, "", name, Source.NUMBER, 0, round(value * UNIT))


def readable(given: Iterable[Given]) -> list[Given]:
    """The answers whose symbols are numbers, of repeats by one person to one item the newest; sorted."""
    newest: dict[tuple[str, str], Given] = {}
    for one in sorted(given, key=lambda each: each.seq):
        try:
            float(one.symbol)
        except ValueError:
            continue
        newest[one.item_id, one.annotator_id] = one
    return [newest[key] for key in sorted(newest)]
