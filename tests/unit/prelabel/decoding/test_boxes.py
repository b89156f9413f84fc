"""Boxes against a plain non-maximum suppression, pair by pair."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.prelabel.domain.decoding import Answer, Decoded, Seen, decode
from services.prelabel.domain.decoding.boxes import suppress
from services.prelabel.domain.questions import Abstained
from shared.events import BoxesDecoder, ImageInput
from shared.labels import Boxes

SPEC = ImageInput(width=100, height=50)
CLASSES = ("cat", "dog")


def plain_iou(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0.0


def plain_nms(
    boxes: list[list[float]], scores: list[float], classes: list[int], threshold: float, iou: float, *, class_wise: bool
) -> tuple[list[int], float]:
    """Quadratic, by the definition: walk down the scores, keep what no kept box covers."""
    order = sorted(range(len(boxes)), key=lambda place: (-scores[place], place))
    kept: list[int] = []
    doubt = 0.0
    for place in order:
        rivals = [other for other in kept if not class_wise or classes[other] == classes[place]]
        if any(plain_iou(boxes[place], boxes[other]) > iou for other in rivals):
            continue
        if scores[place] >= threshold:
            kept.append(place)
        else:
            doubt = max(doubt, scores[place])
    return kept, doubt


@st.composite
def candidates(draw: st.DrawFn) -> tuple[list[list[float]], list[float], list[int]]:
    corner = st.integers(0, 6)
    number = draw(st.integers(0, 14))
    boxes, scores, classes = [], [], []
    for _ in range(number):
        x, y = draw(corner), draw(corner)
        boxes.append([float(x), float(y), float(x + draw(st.integers(1, 5))), float(y + draw(st.integers(1, 5)))])
        scores.append(draw(st.integers(0, 10)) / 10)
        classes.append(draw(st.integers(0, 1)))
    return boxes, scores, classes


@given(candidates(), st.sampled_from([0.1, 0.35, 0.55]), st.sampled_from([0.0, 0.3, 0.5, 0.75]), st.booleans())
def test_suppression_is_the_plain_one(found: Any, threshold: float, iou: float, class_wise: bool) -> None:
    boxes, scores, classes = found
    corners = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    kept = suppress(
        corners,
        np.array(scores, dtype=np.float64),
        np.array(classes, dtype=np.int64),
        threshold=threshold,
        iou=iou,
        class_wise=class_wise,
    )
    assert kept == plain_nms(boxes, scores, classes, threshold, iou, class_wise=class_wise)


def answer(outputs: dict[str, Any], decoder: BoxesDecoder, size: tuple[int, int] = (200, 200)) -> list[Answer]:
    arrays = {name: np.asarray(value, dtype=np.float32) for name, value in outputs.items()}
    rows = len(next(iter(arrays.values())))
    return decode(arrays, [Seen(size=size)] * rows, decoder, CLASSES, SPEC)


def boxes_of(one: Answer) -> list[tuple[float, float, float, float, str]]:
    assert isinstance(one, Decoded), one
    assert isinstance(one.value, Boxes)
    return [(box.x, box.y, box.width, box.height, box.label) for box in one.value.boxes]


@pytest.mark.parametrize(
    ("style", "raw"),
    [("xyxy", [10, 10, 30, 40]), ("xywh", [10, 10, 20, 30]), ("cxcywh", [20, 25, 20, 30])],
)
@pytest.mark.parametrize("coordinates", ["pixels", "normalised"])
def test_every_format_comes_back_in_the_pixels_of_the_picture(style: Any, raw: list[int], coordinates: Any) -> None:
    """The model reads 100 x 50, the picture has 200 x 200: twice as wide, four times as high."""
    row = np.array(raw, dtype=np.float64)
    if coordinates == "normalised":
        row = row / [100, 50, 100, 50]
    decoder = BoxesDecoder(boxes="b", scores="s", format=style, coordinates=coordinates)
    (one,) = answer({"b": [[row]], "s": [[[0.1, 0.9]]]}, decoder)
    assert boxes_of(one) == [(20.0, 40.0, 40.0, 120.0, "dog")]
    assert isinstance(one, Decoded)
    assert (one.scores, one.confidence) == ((0.9,), 0.9)


def test_one_output_for_both_with_objectness_and_columns_first() -> None:
    """As exported by some detectors: (batch, 4 + objectness + classes, boxes)."""
    table = np.array([[[20, 25, 20, 30, 0.5, 0.2, 0.8], [70, 25, 20, 30, 0.9, 0.9, 0.1]]], dtype=np.float32)
    decoder = BoxesDecoder(boxes="o", scores="o", format="cxcywh", objectness=True, transposed=True)
    (one,) = answer({"o": table.transpose(0, 2, 1)}, decoder, size=(100, 50))
    assert boxes_of(one) == [(60.0, 10.0, 20.0, 30.0, "cat"), (10.0, 10.0, 20.0, 30.0, "dog")]
    assert isinstance(one, Decoded)
    assert one.scores == pytest.approx((0.81, 0.4))


def test_softmax_passes_the_background_over() -> None:
    decoder = BoxesDecoder(boxes="b", scores="s", activation="softmax", background=2, coordinates="normalised")
    logits = [[[3.0, 0.0, 0.0], [0.0, 0.0, 8.0]]]
    (one,) = answer({"b": [[[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]]], "s": logits}, decoder)
    assert [label for *_, label in boxes_of(one)] == ["cat"]


def test_labels_of_their_own_and_a_padded_box() -> None:
    """Padding has score 0, and may have any label."""
    decoder = BoxesDecoder(boxes="b", scores="s", labels="l", coordinates="normalised")
    boxes = [[[0, 0, 0.5, 0.5], [0, 0, 0, 0]]]
    (one,) = answer({"b": boxes, "s": [[0.8, 0.0]], "l": [[1, -1]]}, decoder)
    assert [label for *_, label in boxes_of(one)] == ["dog"]
    (bad,) = answer({"b": boxes, "s": [[0.8, 0.0]], "l": [[7, 0]]}, decoder)
    assert isinstance(bad, Abstained)
    assert "labels" in bad.detail


def test_a_box_is_cut_at_the_edge_and_left_out_beyond_it() -> None:
    decoder = BoxesDecoder(boxes="b", scores="s")
    outputs = {"b": [[[-10, -10, 50, 25], [120, 10, 130, 20], [60, 30, 60, 40]]], "s": [[[0.9, 0], [0.8, 0], [0.7, 0]]]}
    (one,) = answer(outputs, decoder, size=(100, 50))
    assert boxes_of(one) == [(0.0, 0.0, 50.0, 25.0, "cat")]


def test_the_confidence_is_that_of_the_least_sure_decision() -> None:
    """A box that was left out by a hair makes the item unsure; one that a better box covers does not."""
    decoder = BoxesDecoder(boxes="b", scores="s", score_threshold=0.5)
    apart, over = [60, 0, 90, 40], [0, 0, 40, 41]
    for other, expected in ((apart, 0.55), (over, 0.9)):
        (one,) = answer({"b": [[[0, 0, 40, 40], other]], "s": [[[0.9, 0], [0.45, 0]]]}, decoder, size=(100, 50))
        assert isinstance(one, Decoded)
        assert one.scores == pytest.approx((0.9,))
        assert one.confidence == pytest.approx(expected)
    (nothing,) = answer({"b": [[apart]], "s": [[[0.2, 0]]]}, decoder)
    assert boxes_of(nothing) == []
    assert isinstance(nothing, Decoded)
    assert nothing.confidence == pytest.approx(0.8)


def test_more_than_the_maximum_abstains_and_says_so() -> None:
    decoder = BoxesDecoder(boxes="b", scores="s", max_objects=1)
    outputs = {"b": [[[0, 0, 10, 10], [20, 20, 30, 30]]] * 2, "s": [[[0.9, 0], [0.9, 0]], [[0.9, 0], [0.1, 0]]]}
    many, one = answer(outputs, decoder)
    assert isinstance(many, Abstained)
    assert "2 boxes, the limit is 1" in many.detail
    assert len(boxes_of(one)) == 1


def test_candidates_are_the_best_ones() -> None:
    decoder = BoxesDecoder(boxes="b", scores="s", max_candidates=1)
    (one,) = answer({"b": [[[0, 0, 10, 10], [20, 20, 30, 30]]], "s": [[[0.6, 0], [0.9, 0]]]}, decoder, size=(100, 50))
    assert boxes_of(one) == [(20.0, 20.0, 10.0, 10.0, "cat")]


@pytest.mark.parametrize("spoiled", [np.nan, np.inf, -np.inf, 1.5, -0.5])
@pytest.mark.parametrize("column", [0, 1])
def test_a_number_that_is_no_score_abstains_wherever_it_stands(spoiled: float, column: int) -> None:
    """Also in a column that is not the best, of a box that nobody would look at."""
    boxes = [[[0, 0, 10, 10], [20, 20, 30, 30]]] * 2
    scores = np.array([[[0.9, 0.1], [0.1, 0.05]]] * 2)
    scores[0, 1, column] = spoiled
    bad, good = answer({"b": boxes, "s": scores}, BoxesDecoder(boxes="b", scores="s"))
    assert isinstance(bad, Abstained)
    assert len(boxes_of(good)) == 1


def test_objectness_with_a_background_counts_columns_after_it() -> None:
    decoder = BoxesDecoder(boxes="b", scores="s", objectness=True, background=0, coordinates="normalised")
    (one,) = answer({"b": [[[0, 0, 0.5, 0.5]]], "s": [[[0.5, 0.9, 0.2, 0.8]]]}, decoder)
    assert [label for *_, label in boxes_of(one)] == ["dog"]
    assert isinstance(one, Decoded)
    assert one.scores == pytest.approx((0.4,))
