"""Scores of objects beside the truth; and that fused shapes beat the majority and everybody alone."""

import numpy as np
import pytest

from services.qc.domain.kinds.boxes import BoxGeometry, Rect
from services.qc.domain.kinds.clusters import Drawn
from services.qc.domain.kinds.detection import average_precision, hold, scores
from tests.bench.shapes.drawing import scene
from tests.bench.shapes.figures import figures

BOXES = BoxGeometry()


def at(x: float, label: str = "car", width: float = 10.0) -> Drawn[Rect]:
    return Drawn(Rect(x, 0, width, 10), label)


def test_scores_count_misses_false_objects_and_other_classes() -> None:
    """Found: one exactly, one with an overlap of 0.6, one of another class; one missed, one false."""
    given = [at(0), at(102.5), at(200, "dog"), at(500)]
    found = scores([hold(given, [at(0), at(100), at(200), at(300)], BOXES)])
    assert found.mean_iou == pytest.approx((1 + 0.6) / 4)
    assert found.f1 == found.precision == found.recall == pytest.approx(0.5)
    assert found.quality == pytest.approx(2 * 1.6 / 8)
    nothing = scores([hold([], [], BOXES)])
    assert nothing.f1 is None


def test_average_precision_is_that_of_coco() -> None:
    """Two true objects; the surest answer is false, the next right, the other never found: best precision 1/2 to .5."""
    given, true = [at(900), at(0)], [at(0), at(100)]
    found = average_precision([(given, np.array([0.9, 0.8]), true)], BOXES)
    assert found["ap50"] == pytest.approx(0.5 * 51 / 101)
    assert found["ap"] == pytest.approx(0.5 * 51 / 101)
    moved = average_precision([([at(1)], np.array([1.0]), [at(0)])], BOXES)  # an overlap of 9/11
    assert moved == {"ap": pytest.approx(0.7), "ap50": 1.0, "ap75": 1.0}
    assert average_precision([([at(1)], np.array([1.0]), [])], BOXES)["ap"] is None


@pytest.mark.parametrize(
    ("kind", "items"), [("boxes", 50), ("turned boxes", 40), ("masks", 20), ("polygons", 16), ("tracks", 20)]
)
def test_fused_shapes_are_better_than_the_majority_and_than_anybody(kind: str, items: int) -> None:
    found = figures(scene(kind, items, 5, 4, objects=6))
    for name in ("mean_iou", "f1", "quality"):
        ours, *others = (getattr(one, name) for one in (found.fused, found.majority, found.single))
        assert ours > max(others) or (name == "f1" and ours == max(others)), name
    assert found.reliability.error < 0.06
