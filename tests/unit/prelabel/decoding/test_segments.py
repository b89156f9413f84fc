"""Segments against a walk over the frames."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.prelabel.domain.decoding import Answer, Decoded, Seen, decode
from services.prelabel.domain.questions import Abstained
from shared.events import AudioInput, FramesDecoder
from shared.labels import Segments

CLASSES = ("speech", "music")


def plain(scores: list[float], threshold: float, gap: int, least: int) -> list[tuple[int, int]]:
    """First and last frame of each stretch, one frame after the other."""
    found: list[list[int]] = []
    for frame, score in enumerate(scores):
        if score < threshold:
            continue
        if found and frame - found[-1][1] - 1 <= (gap if frame - found[-1][1] > 1 else 0):
            found[-1][1] = frame
        else:
            found.append([frame, frame])
    return [(first, last) for first, last in found if last - first + 1 >= least]


def answers(p: Any, seconds: float | None = None, more: dict[str, Any] | None = None, **fields: Any) -> list[Answer]:
    decoder = FramesDecoder(**{"scores": "s", "hop_s": 0.5, "activation": "none", **fields})
    outputs = {"s": np.asarray(p, dtype=np.float32), **{k: np.asarray(v) for k, v in (more or {}).items()}}
    return decode(outputs, [Seen(seconds=seconds)] * len(outputs["s"]), decoder, CLASSES, AudioInput())


def cut(one: Answer) -> list[tuple[float, float, str]]:
    assert isinstance(one, Decoded), one
    assert isinstance(one.value, Segments)
    return [(part.start, part.end, part.label) for part in one.value.segments]


@given(
    st.lists(st.lists(st.integers(0, 10), min_size=2, max_size=2), min_size=1, max_size=14),
    st.integers(0, 3),
    st.integers(1, 3),
)
def test_segments_are_those_of_a_walk(frames: list[list[int]], gap: int, least: int) -> None:
    p = np.array(frames) / 10
    (one, again) = answers([p, p[::-1]], threshold=0.55, join_s=gap * 0.5, min_s=least * 0.5)
    for found, table in ((one, p), (again, p[::-1])):
        expected = [
            (first * 0.5, (last + 1) * 0.5, name)
            for column, name in enumerate(CLASSES)
            for first, last in plain(table[:, column].tolist(), 0.55, gap, least)
        ]
        assert sorted(cut(found)) == sorted(expected)
        assert isinstance(found, Decoded)
        for (start, end, label), score in zip(cut(found), found.scores, strict=True):
            inside = table[round(start * 2) : round(end * 2), CLASSES.index(label)]
            assert score == pytest.approx(float(inside.mean()), abs=1e-6)


def test_softmax_gives_a_frame_to_its_best_class_and_the_background_to_nobody() -> None:
    logits = [[[4, 0, 0], [4, 0, 0], [0, 0, 4], [0, 4, 0]]]
    (one,) = answers(logits, activation="softmax", background=2)
    assert cut(one) == [(0.0, 1.0, "speech"), (1.5, 2.0, "music")]


def test_nothing_goes_beyond_the_sound() -> None:
    p = [[[0.9, 0.1]] * 6]
    (one,) = answers(p, seconds=1.2)
    assert cut(one) == [(0.0, 1.2, "speech")]


def test_padding_is_not_heard_and_a_wrong_length_abstains() -> None:
    p = np.array([[[0.9, 0.1]] * 2 + [[np.nan, np.nan]] * 2, [[0.1, 0.9]] * 4])
    one, two = answers(p, more={"n": [2, 4]}, lengths="n")
    assert cut(one) == [(0.0, 1.0, "speech")]
    assert cut(two) == [(0.0, 2.0, "music")]
    bad, good = answers(np.nan_to_num(p), more={"n": [-3, 4]}, lengths="n")
    assert isinstance(bad, Abstained)
    assert cut(good) == [(0.0, 2.0, "music")]


def test_the_confidence_hears_what_was_left_out() -> None:
    (one,) = answers([[[0.9, 0.1], [0.45, 0.1]]])
    assert isinstance(one, Decoded)
    assert one.confidence == pytest.approx(0.55)


def test_more_than_the_maximum_abstains() -> None:
    (many,) = answers([[[0.9, 0.1], [0.1, 0.1], [0.9, 0.1]]], max_objects=1)
    assert isinstance(many, Abstained)
    assert "2 segments, the limit is 1" in many.detail
