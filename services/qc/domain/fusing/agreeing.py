"""How far people agree over labels that are fused: alpha by the kind's distance, and its measures of two answers."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from services.qc.domain.kinds.agreement import agreement as measure
from services.qc.domain.kinds.kind import Given
from services.qc.domain.kinds.mixed import PARTS
from services.qc.domain.kinds.tolerance import right
from shared.events import Agreement
from shared.labels import Mixed

DIGITS = 6
PAIRS_OF_ROUND = 45


def by_part(rounds: Mapping[str, Sequence[Given[Any]]], *, resamples: int) -> list[Agreement]:
    """Agreement over rounds; of a mix of kinds that over each part."""
    parts: dict[str, dict[str, list[Given[Any]]]] = {}
    for place, given in rounds.items():
        for one in given:
            if isinstance(one.value, Mixed):
                for name, value in one.value.parts.items():
                    parts.setdefault(name, {}).setdefault(place, []).append(Given(one.annotator, value))
    every = {"": rounds} | dict(sorted(parts.items()))
    found = (agreement(of, resamples=resamples, name=name) for name, of in every.items())
    return [one for one in found if one is not None]


def agreement(rounds: Mapping[str, Sequence[Given[Any]]], *, resamples: int, name: str = "") -> Agreement | None:
    """Agreement over rounds; None where none has two opinions of one kind that is fused.

    Args:
        rounds: the opinions of each, by anything that tells rounds apart.
        resamples: of the bootstrap.
        name: of the part of a mix that these are.
    """
    kinds = {one.value.kind for given in rounds.values() for one in given}
    several = {place: given for place, given in rounds.items() if len(given) > 1}
    if len(kinds) != 1 or not several or not kinds <= PARTS.keys():
        return None
    found = measure(several, PARTS[kinds.pop()], resamples=resamples, rng=np.random.default_rng(0))
    pairs = [pair for given in several.values() for pair in list(combinations(given, 2))[:PAIRS_OF_ROUND]]
    same = sum(one.value == other.value or bool(right(one.value, other.value)) for one, other in pairs)
    told = {at: round(value, DIGITS) for at, value in found.values.items() if value is not None}
    return Agreement(
        percent=same / len(pairs),
        rounds=len(several),
        opinions=sum(map(len, several.values())),
        scope="part" if name else "project",
        name=name,
        alpha=told.pop("alpha", None),
        metric="distance",
        measures=told,
        intervals={
            at: (round(both[0], DIGITS), round(both[1], DIGITS))
            for at, both in sorted(found.intervals.items())
            if both is not None
        },
    )
