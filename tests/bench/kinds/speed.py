"""The time that one item of nine opinions with fifty objects each takes, of every kind of objects."""

import time

import numpy as np

from services.qc.domain.answers import Floats
from services.qc.domain.kinds.objects import fuse, learn
from services.qc.domain.kinds.segments import DRAWN
from shared.runtime.memory import keep_freed
from tests.bench.kinds.annotators import item_of_many
from tests.bench.shapes.drawing import DRAWS, crowded

OPINIONS, OBJECTS = 9, 50
TIMES = 15
"""Each of three items is fused."""
Row = tuple[str, float, float, float]


def speed(times: int = TIMES) -> list[Row]:
    """Of each kind: the fastest, the median and the 90th percentile, in milliseconds of CPU, with memory as in qc."""
    keep_freed()
    segments = [item_of_many(OPINIONS, OBJECTS, seed) for seed in range(3)]
    scenes = {kind: crowded(kind, OPINIONS, OBJECTS, 2) for kind in DRAWS}
    sorts = {kind: (scene.answers, scene.geometry) for kind, scene in scenes.items()}
    rows = []
    for kind, (items, geometry) in (sorts | {"segments": (segments, DRAWN.geometry)}).items():
        crowd = learn(items, geometry)
        taken: list[float] = []
        for _ in range(times):
            for item in items:
                started = time.process_time()
                fuse(item, geometry, crowd)
                taken.append(1000.0 * (time.process_time() - started))
        rows.append((kind, *_spread(np.array(taken))))
    return rows


def _spread(taken: Floats) -> tuple[float, float, float]:
    fastest, median, slow = np.quantile(taken, (0.0, 0.5, 0.9)).tolist()
    return fastest, median, slow
