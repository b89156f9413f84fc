"""Fused shapes beside the best single annotator and the majority, and whether existence means what it says."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cli.offline.judging import existence
from services.qc.domain.calibration import Reliability
from services.qc.domain.kinds.clusters import Drawn
from services.qc.domain.kinds.detection import Held, Scores, hold, ratios, scores, totals
from services.qc.domain.kinds.objects import fuse, learn, majority, resolve
from tests.bench.shapes.drawing import Scene


@dataclass(frozen=True)
class Figures:
    """What a scene comes to.

    Attributes:
        single: the best of all annotators in each score by itself.
        chosen: the annotator with the best F1 on one half of the items, measured on the other half, both ways.
    """

    fused: Scores
    majority: Scores
    single: Scores
    chosen: Scores
    reliability: Reliability


def figures(scene: Scene) -> Figures:
    """Learn from the answers alone, fuse, and look at the truth."""
    geometry = scene.geometry
    _, found = resolve(scene.answers, geometry)
    kept = [tuple(Drawn(one.extent, one.label) for one in each.kept) for each in found]
    curve = existence(found, scene.truth, geometry)
    assert curve is not None
    most = [majority(item, geometry) for item in scene.answers]
    return Figures(_against(kept, scene), _against(most, scene), _single(scene), _chosen(scene), curve)


def _against(given: Sequence[tuple[Drawn[Any], ...]], scene: Scene) -> Scores:
    return scores([hold(one, true, scene.geometry) for one, true in zip(given, scene.truth, strict=True)])


def _single(scene: Scene) -> Scores:
    """The best of all annotators in each score by itself, over what they drew: more than any one of them has."""
    held = [[each for _, each in one] for one in _held(scene).values()]
    table = np.array([ratios(totals(each).sum(axis=0)) for each in held])
    return Scores(*np.nanmax(table, axis=0).tolist())


def _chosen(scene: Scene) -> Scores:
    """The best annotator without the luck of having been picked by the same items."""
    found: list[Held] = []
    for half in (0, 1):
        by = {who: [[each for at, each in one if at % 2 == part] for part in (1 - half, half)]
              for who, one in _held(scene).items()}  # fmt: skip
        known = {who: scores(other).f1 for who, (other, mine) in by.items() if other and mine}
        found += by[max(known, key=lambda who: known[who] or 0.0)][1]
    return scores(found)


def _held(scene: Scene) -> dict[str, list[tuple[int, Held]]]:
    """What each annotator drew beside the truth, with the place of the item."""
    held: dict[str, list[tuple[int, Held]]] = {}
    for at, (item, true) in enumerate(zip(scene.answers, scene.truth, strict=True)):
        for answer in item:
            held.setdefault(answer.annotator, []).append((at, hold(answer.objects, true, scene.geometry)))
    return held


def seconds(scene: Scene, times: int = 15) -> float:
    """CPU seconds of the fastest of some runs over one item, with what was learned before."""
    crowd = learn(scene.answers, scene.geometry)
    taken = []
    for _ in range(times):
        started = time.process_time()
        fuse(scene.answers[0], scene.geometry, crowd)
        taken.append(time.process_time() - started)
    return min(taken)
