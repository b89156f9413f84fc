"""Masks against run lengths counted by hand, pixel by pixel."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from services.prelabel.domain.decoding import Answer, Decoded, Seen, decode
from services.prelabel.domain.decoding.masks import counts_of, enlarge, runs, suppress_masks
from services.prelabel.domain.questions import Abstained
from shared.events import ImageInput, InstanceMasksDecoder, SemanticMasksDecoder
from shared.labels import Masks
from tests.unit.prelabel.decoding.test_boxes import plain_nms

SPEC = ImageInput(width=4, height=4)
CLASSES = ("road", "tree")
grids = arrays(np.int16, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.integers(0, 2))


def plain_counts(mask: Any) -> list[int]:
    """COCO's rule: down each column, then the next; zeros first."""
    height, width = mask.shape
    found, want = [0], False
    for x in range(width):
        for y in range(height):
            if bool(mask[y, x]) is not want:
                want = not want
                found.append(0)
            found[-1] += 1
    return found


def drawn(counts: tuple[int, ...], width: int, height: int) -> Any:
    """Run lengths back to pixels."""
    flat = np.concatenate([np.full(length, place % 2, dtype=np.bool_) for place, length in enumerate(counts)])
    return flat.reshape(width, height).T


@given(grids, st.integers(1, 9), st.integers(1, 9))
def test_run_lengths_of_every_class_are_those_of_coco(grid: Any, width: int, height: int) -> None:
    large = np.zeros((height, width), dtype=np.int64)
    for y in range(height):
        for x in range(width):
            row, column = int((y + 0.5) * len(grid) / height), int((x + 0.5) * len(grid[0]) / width)
            large[y, x] = grid[row, column]
    lengths, values = runs(enlarge(grid, (width, height)))
    for label in range(3):
        counts = counts_of(lengths, values == label)
        assert list(counts) == plain_counts(large == label)


def value(one: Answer) -> Masks:
    assert isinstance(one, Decoded), one
    assert isinstance(one.value, Masks)
    return one.value


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_semantic_masks_have_the_size_of_the_picture(layout: Any) -> None:
    """2 x 2 cells: background, road / road, tree; the picture is 4 wide and 6 high."""
    p = np.array([[[0.8, 0.1], [0.2, 0.1]], [[0.1, 0.7], [0.6, 0.3]], [[0.1, 0.2], [0.2, 0.6]]])
    table = p if layout == "nchw" else p.transpose(1, 2, 0)
    decoder = SemanticMasksDecoder(scores="s", layout=layout, activation="none", background=0)
    (one,) = decode({"s": table[None]}, [Seen(size=(4, 6))], decoder, CLASSES, SPEC)
    found = value(one)
    assert (found.width, found.height, [mask.label for mask in found.masks]) == (4, 6, ["road", "tree"])
    road, tree = (drawn(mask.counts, 4, 6) for mask in found.masks)
    assert np.array_equal(road[:, 0], [False] * 3 + [True] * 3)
    assert np.array_equal(road[:, 3], [True] * 3 + [False] * 3)
    assert np.array_equal(tree, ~road & (np.arange(4) >= 2)[None] & (np.arange(6) >= 3)[:, None])
    assert isinstance(one, Decoded)
    assert one.scores == pytest.approx((0.65, 0.6))
    assert one.confidence == pytest.approx(0.6)


def test_specks_and_classes_that_are_absent_have_no_mask() -> None:
    p = np.zeros((1, 2, 3, 3))
    p[0, 0], p[0, 0, 0, 0], p[0, 1, 0, 0] = 1.0, 0.0, 1.0
    for least, labels in ((1, ["road", "tree"]), (2, ["road"])):
        decoder = SemanticMasksDecoder(scores="s", activation="none", min_pixels=least)
        (one,) = decode({"s": p}, [Seen(size=(3, 3))], decoder, CLASSES, SPEC)
        assert [mask.label for mask in value(one).masks] == labels


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.3, 0.6]), st.booleans())
def test_masks_that_are_boxes_are_suppressed_as_boxes_are(seed: int, iou: float, class_wise: bool) -> None:
    rng = np.random.default_rng(seed)
    number = int(rng.integers(0, 7))
    low = rng.integers(0, 5, size=(number, 2))
    boxes = np.concatenate([low, low + rng.integers(1, 4, size=(number, 2))], axis=1)
    flat = np.zeros((number, 64), dtype=np.bool_)
    for place, (x0, y0, x1, y1) in enumerate(boxes):
        mask = np.zeros((8, 8), dtype=np.bool_)
        mask[y0:y1, x0:x1] = True
        flat[place] = mask.reshape(-1)
    scores, labels = rng.integers(0, 11, number) / 10, rng.integers(0, 2, number)
    found = suppress_masks(flat, scores, labels, threshold=0.35, iou=iou, class_wise=class_wise)
    expected = plain_nms(
        boxes.astype(float).tolist(), scores.tolist(), labels.tolist(), 0.35, iou, class_wise=class_wise
    )
    assert found == expected


def instances(masks: Any, scores: Any, **fields: Any) -> list[Answer]:
    decoder = InstanceMasksDecoder(**{"scores": "s", "masks": "m", "masks_activation": "none", **fields})
    outputs = {"m": np.asarray(masks, dtype=np.float32), "s": np.asarray(scores, dtype=np.float32)}
    return decode(outputs, [Seen(size=(2, 2))] * len(outputs["m"]), decoder, CLASSES, SPEC)


def test_instances_have_a_threshold_a_score_and_no_doubles() -> None:
    left, right = [[0.9, 0.1], [0.8, 0.2]], [[0.1, 0.7], [0.0, 0.9]]
    (one,) = instances([[left, right, left]], [[[0.9, 0.0], [0.2, 0.8], [0.7, 0.1]]])
    found = value(one)
    assert [(mask.label, mask.counts) for mask in found.masks] == [("road", (0, 2, 2)), ("tree", (2, 2))]
    assert isinstance(one, Decoded)
    assert one.scores == pytest.approx((0.9, 0.8))


def test_a_mask_of_nothing_is_none_and_many_abstain() -> None:
    nothing, left = [[0.1, 0.1], [0.1, 0.1]], [[0.9, 0.1], [0.8, 0.2]]
    (one,) = instances([[nothing, left]], [[[0.9, 0.0], [0.8, 0.0]]])
    assert len(value(one).masks) == 1
    (many,) = instances([[nothing, left]], [[[0.9, 0.0], [0.0, 0.8]]], max_objects=1, class_wise=False)
    assert len(value(many).masks) == 1
    right = [[0.1, 0.7], [0.0, 0.9]]
    (many,) = instances([[right, left]], [[[0.9, 0.0], [0.0, 0.8]]], max_objects=1)
    assert isinstance(many, Abstained)
    assert "2 masks, the limit is 1" in many.detail
