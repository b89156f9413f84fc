"""Sketches on predictions: where the order asks, of pictures in any layout, and of a model's own features."""

from typing import Any

import numpy as np
import pytest

from services.prelabel.domain.sketching import by_content
from services.prelabel.store.files import sha256_of
from shared.events import FeaturesContent, FeaturesInput, ImageInput, Manifest, MediaContent, Prediction
from tests.support import onnx_models as make
from tests.support.prelabel import Prelabel

ASKS: dict[str, Any] = {"policy": {"order": {"duplicates": 0.5}}}


def apart(one: Prediction, other: Prediction) -> int:
    assert one.sketch is not None
    assert other.sketch is not None
    assert one.sketch.space == other.sketch.space
    return (int(one.sketch.bits, 16) ^ int(other.sketch.bits, 16)).bit_count()


def pictures(noise: float = 0.0, *, side: int = 8, colours: bool = False) -> list[MediaContent]:
    draw = np.random.default_rng(3)
    base = draw.integers(0, 256, size=(12, 8, 8)) * 0.8 + 20
    moved = np.clip(base + noise * np.random.default_rng(4).normal(size=base.shape), 0, 255)
    grown = moved.repeat(side // 8, axis=1).repeat(side // 8, axis=2)
    if colours:
        return [MediaContent(kind="image", data=make.png(np.stack([one] * 3, axis=-1), "RGB")) for one in grown]
    return [MediaContent(kind="image", data=make.png(one)) for one in grown]


def serve(prelabel: Prelabel, version: str, generation: int, **more: Any) -> None:
    trained = make.digits()
    manifest = trained.manifest.model_copy(update=more)
    prelabel.register(trained.content, manifest, version=version)
    prelabel.promote(version, generation)


async def test_pictures_are_sketched_where_the_order_asks(prelabel: Prelabel) -> None:
    serve(prelabel, "m1", 1)
    prelabel.project(make.DIGITS, data="image")
    assert {one.sketch for one in await prelabel.predict(pictures())} == {None}
    prelabel.project(make.DIGITS, data="image", version=2, **ASKS)
    broken = MediaContent(kind="image", data="bm9uZQ==")
    first, again = [await prelabel.predict([*pictures(noise), broken]) for noise in (0.0, 3.0)]
    assert [one.sketch is None for one in first] == [False] * 12 + [True]
    assert max(apart(one, other) for one, other in zip(first[:12], again[:12], strict=True)) < 24
    others = [apart(one, other) for n, one in enumerate(first[:12]) for other in first[:n]]
    assert min(others) > 60
    slices = [{"name": "own", "when": {"source": "shop"}, "policy": ASKS["policy"]}]
    prelabel.project(make.DIGITS, data="image", version=3, slices=slices)
    assert (await prelabel.predict(pictures()))[0].sketch == first[0].sketch


async def test_another_model_of_pictures_gives_sketches_that_compare(prelabel: Prelabel) -> None:
    project = prelabel.project(make.DIGITS, data="image", **ASKS)
    serve(prelabel, "m1", 1)
    before = await prelabel.predict(pictures())
    serve(prelabel, "m2", 2, input=ImageInput(width=8, height=8, channels=1, layout="flat", mean=(0.4,), std=(0.2,)))
    await prelabel.follower.catch_up(project)
    after = await prelabel.predict(pictures())
    assert max(apart(one, other) for one, other in zip(before, after, strict=True)) <= 2


@pytest.mark.parametrize("layout", ["nchw", "nhwc", "flat"])
def test_the_layout_of_a_models_input_does_not_matter(layout: Any) -> None:
    draw = np.random.default_rng(8)
    seen = draw.random((5, 12, 10, 3)).astype(np.float32)
    spec = ImageInput(width=10, height=12, channels=3, layout=layout, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    scaled = (seen - np.asarray(spec.mean, np.float32)) / np.asarray(spec.std, np.float32)
    given = {"nchw": scaled.transpose(0, 3, 1, 2), "nhwc": scaled, "flat": scaled.reshape(5, -1)}[layout]
    grey = (seen @ np.array([0.299, 0.587, 0.114]))[..., None].astype(np.float32)
    plain = by_content(grey, ImageInput(width=10, height=12, channels=1, layout="nhwc"))
    for one, other in zip(by_content(given, spec), plain, strict=True):
        assert one is not None
        assert other is not None
        assert (int(one.bits, 16) ^ int(other.bits, 16)).bit_count() <= 2


async def test_a_models_own_features_are_the_sketch_and_tell_what_it_takes_for_alike(prelabel: Prelabel) -> None:
    """The features see the sign of one number only; the content's other 63 do not count."""
    prelabel.project(make.DIGITS[:2], **ASKS)
    manifest = Manifest(input=FeaturesInput(size=64), classes=make.DIGITS[:2], output="logits", features_output="h")
    made = make.hidden_model()
    prelabel.register(made, manifest)
    prelabel.promote("m1", 1)
    draw = np.random.default_rng(9)
    rows = draw.normal(size=(10, 64))
    rows[:, 0] = [1, -1] * 5
    found = await prelabel.predict([FeaturesContent(features=tuple(row)) for row in rows.tolist()])
    assert {one.sketch.space for one in found if one.sketch} == {f"model/{sha256_of(made)[:16]}"}
    assert max(apart(found[n], found[n % 2]) for n in range(10)) <= 1
    assert apart(found[0], found[1]) > 60
    alone = await prelabel.predict([FeaturesContent(features=tuple(rows[0].tolist()))])
    assert apart(alone[0], found[0]) <= 1


async def test_a_model_without_the_features_that_its_manifest_names_is_refused(prelabel: Prelabel) -> None:
    prelabel.project(make.DIGITS[:2])
    manifest = Manifest(input=FeaturesInput(size=64), classes=make.DIGITS[:2], output="logits", features_output="g")
    prelabel.register(make.hidden_model(), manifest)
    prelabel.promote("m1", 1)
    (found,) = await prelabel.predict([FeaturesContent(features=(0.5,) * 64)])
    assert "no output of numbers 'g'" in found.detail
