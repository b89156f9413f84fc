"""Contents to tensors."""

from typing import Literal

import numpy as np
import pytest

from services.prelabel.domain.preprocess import (
    Pixels,
    prepare_features,
    prepare_pixels,
    prepare_text,
    rehearsal,
    row_shape,
)
from services.prelabel.domain.questions import Abstained
from shared.events import Abstention, FeaturesContent, FeaturesInput, ImageInput, TextContent, TextInput
from shared.events.models import ModelInput

F32 = np.dtype(np.float32)


def vectors(*rows: tuple[float, ...]) -> list[FeaturesContent]:
    return [FeaturesContent(features=row) for row in rows]


def test_features_are_standardised() -> None:
    spec = FeaturesInput(size=2, mean=(1.0, 2.0), scale=(2.0, 4.0))
    prepared = prepare_features(vectors((3.0, 6.0), (1.0, 2.0)), spec, F32)
    assert prepared.tensor.dtype == F32
    assert prepared.tensor.tolist() == [[1.0, 1.0], [0.0, 0.0]]


def test_a_vector_of_another_size_abstains_alone() -> None:
    prepared = prepare_features(vectors((1.0, 2.0), (1.0, 2.0, 3.0), (5.0, 6.0)), FeaturesInput(size=2), F32)
    assert prepared.rows == [0, 2]
    assert prepared.tensor.tolist() == [[1.0, 2.0], [5.0, 6.0]]
    assert prepared.abstained == {1: Abstained(Abstention.SHAPE, "3 features, the model reads 2")}


def test_a_number_that_the_model_has_not_abstains_alone() -> None:
    prepared = prepare_features(vectors((1.0,), (1e300,), (2.0,)), FeaturesInput(size=1), F32)
    assert prepared.rows == [0, 2]
    assert prepared.tensor.tolist() == [[1.0], [2.0]]
    assert prepared.abstained[1].reason is Abstention.UNREADABLE


def test_nothing_readable_is_an_empty_tensor() -> None:
    prepared = prepare_features(vectors((1.0,)), FeaturesInput(size=3), F32)
    assert prepared.tensor.shape == (0, 3)


def test_text_is_cut_and_lowered() -> None:
    prepared = prepare_text([TextContent(text="ABCDEF")], TextInput(lowercase=True, max_chars=3))
    assert prepared.tensor.tolist() == [["abc"]]


@pytest.mark.parametrize("layout", ["nchw", "nhwc", "flat"])
def test_pixels_land_where_the_layout_says(layout: Literal["nchw", "nhwc", "flat"]) -> None:
    spec = ImageInput(width=2, height=3, channels=3, layout=layout, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 1.0))
    raw = np.arange(18, dtype=np.uint8).reshape(3, 2, 3)
    missing = Abstained(Abstention.UNREADABLE, "broken")
    picture = Pixels(raw.tobytes(), 20, 30)
    prepared = prepare_pixels([missing, picture, picture], spec, F32)
    expected = (raw / 255 - np.array(spec.mean)) / np.array(spec.std)
    if layout == "nchw":
        expected = expected.transpose(2, 0, 1)
    assert (prepared.rows, prepared.abstained) == ([1, 2], {0: missing})
    assert [one.size for one in prepared.seen] == [(20, 30)] * 2
    assert prepared.tensor.shape == (2, *row_shape(spec))
    assert prepared.tensor[1].ravel().tolist() == pytest.approx(expected.ravel().tolist(), rel=1e-5)


@pytest.mark.parametrize(
    "spec",
    [FeaturesInput(size=5), TextInput(), ImageInput(width=4, height=2, channels=1), ImageInput(width=1, height=1)],
)
def test_a_rehearsal_has_the_shape_and_no_two_rows_alike(spec: ModelInput) -> None:
    made = rehearsal(spec, 3, F32, {}).tensor
    assert made.shape == (3, *row_shape(spec))
    assert len({str(row.tolist()) for row in made}) == 3
