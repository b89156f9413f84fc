"""Sketches: alike stays alike, the rest stays apart, whatever the batch, the size and the machine."""

import hashlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageChops
from sklearn.datasets import load_sample_images

from shared.sketches import SIZE, pictures, sketches

Floats = NDArray[Any]


def bits(found: list[bytes | None]) -> Floats:
    """Shape (rows, 256)."""
    assert None not in found
    return np.unpackbits(np.frombuffer(b"".join(one or b"" for one in found), dtype=np.uint8)).reshape(-1, 256)


def apart(one: list[bytes | None], other: list[bytes | None]) -> Floats:
    return np.asarray((bits(one) != bits(other)).sum(axis=1))


@pytest.mark.parametrize("width", [3, 64, 512, 700, 4096])
def test_the_distance_measures_the_angle(width: int) -> None:
    draw = np.random.default_rng(width)
    one = draw.normal(size=(400, width))
    other = draw.normal(size=(400, width))
    for mix in (0.05, 0.3, 1.0):
        near = one + mix * other
        cosine = (one * near).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(near, axis=1)
        expected = 256 * np.arccos(np.clip(cosine, -1, 1)) / np.pi
        found = apart(sketches(one), sketches(near))
        assert float(np.mean(found)) == pytest.approx(float(np.mean(expected)), rel=0.08, abs=1.0)
    assert apart(sketches(one), sketches(-one)).min() == 256


def test_centring_takes_away_what_all_have() -> None:
    """Features after a rectifier are positive all over; without centring any two are near."""
    draw = np.random.default_rng(1)
    one, other = (np.maximum(0.0, draw.normal(1.0, 0.3, size=(200, 900))) for _ in range(2))
    assert apart(sketches(one), sketches(other)).mean() < 40
    assert 118 < apart(sketches(one, centred=True), sketches(other, centred=True)).mean() < 138
    assert apart(sketches(one, centred=True), sketches(one * 3 + 5, centred=True)).max() <= 1


def test_a_row_has_the_same_sketch_in_any_batch_and_on_any_machine() -> None:
    draw = np.random.default_rng(2)
    table = draw.normal(size=(50, 700)).round(3)
    alone = [sketches(row[None, :])[0] for row in table]
    assert apart(alone, sketches(table)).max() <= 1  # sums in another order
    ramp = sketches(np.cos(np.arange(64.0))[None, :])[0] or b""
    assert hashlib.sha256(ramp).hexdigest()[:16] == "67678bb7bafc2f57"


def test_what_says_nothing_has_none() -> None:
    rows = np.array([[0.0, 0.0], [1.0, np.nan], [np.inf, 1.0], [1.0, 2.0]])
    assert [one is None for one in sketches(rows)] == [True, True, True, False]
    assert [one is None for one in sketches(np.array([[7.3, 7.3], [1.0, 2.0]]), centred=True)] == [True, False]
    assert sketches(np.zeros((2, 0))) == [None, None]
    assert sketches(np.zeros((0, 4))) == []
    assert [one is None for one in pictures(np.full((2, 8, 8), 0.7, dtype=np.float32))] == [True, True]
    assert len(sketches(rows)[3] or b"") == SIZE


def crops(change: Any = lambda image: image) -> Floats:
    """Pieces of two photographs, further apart than half their size: shape (pieces, 64, 64)."""
    made = []
    for image in map(Image.fromarray, load_sample_images().images):
        for top in range(10, 330, 60):
            for left in range(10, 540, 60):
                piece = image.crop((left - 8, top - 8, left + 88, top + 88))
                made.append(np.asarray(change(piece).crop((8, 8, 88, 88)).convert("L").resize((64, 64)), np.float32))
    return np.stack(made) / 255


def test_pictures_that_were_worked_on_stay_near_and_others_far() -> None:
    own = pictures(crops())
    draw = np.random.default_rng(5)
    noise: Any = draw.normal(0, 0.01, (len(own), 64, 64))
    changed = {
        "brighter": pictures((crops() * 0.7 + 0.2).astype(np.float32)),
        "noise": pictures((crops() + noise).astype(np.float32)),
        "smaller": pictures(np.stack([np.asarray(Image.fromarray(one).resize((24, 20))) for one in crops()])),
        "moved by a pixel of 80": pictures(crops(lambda image: ImageChops.offset(image, 1, 1))),
        "turned by 2 degrees": pictures(crops(lambda image: image.rotate(2, Image.Resampling.BILINEAR))),
    }
    for how, found in changed.items():
        assert np.mean(apart(own, found) <= 32) > 0.95, how
    several = bits(own).astype(int) * 2 - 1
    distances = (256 - several @ several.T) // 2
    np.fill_diagonal(distances, 256)
    assert np.mean(distances.min(axis=1) <= 32) < 0.1  # pieces of one sky are alike
    assert np.mean(distances[np.triu_indices(len(own), 1)] <= 32) < 0.002
