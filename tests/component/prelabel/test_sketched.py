"""Sketches on predictions: where the order asks, of pictures in any layout, and of a model's own features."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from services.prelabel.domain import sketching
from services.prelabel.domain.sketching import by_pixels, by_sounds
from services.prelabel.store.files import sha256_of
from services.prelabel.store.sessions import LoadedModel
from shared import sketches
from shared.events import Abstention, FeaturesContent, FeaturesInput, ImageInput, Manifest, MediaContent, Prediction
from tests.support import onnx_decoders
from tests.support import onnx_models as make
from tests.support.prelabel import Prelabel

ASKS: dict[str, Any] = {"policy": {"order": {"duplicates": 0.5}}}


def apart(one: Prediction, other: Prediction, what: str = "sketch") -> int:
    mine, its = getattr(one, what), getattr(other, what)
    assert mine.space == its.space
    return (int(mine.bits, 16) ^ int(its.bits, 16)).bit_count()


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


async def test_what_cannot_be_sketched_is_predicted_all_the_same(
    prelabel: Prelabel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a model, and by none; the others of the batch keep theirs."""
    project = prelabel.project(make.DIGITS, data="image", **ASKS)
    given, drawn = [*pictures()[:5], MediaContent(kind="image", data=make.png(np.zeros((8, 8))))], sketches.pictures

    def fails_on_black(grey: Any) -> list[bytes | None]:
        if (np.ptp(grey, axis=(1, 2)) == 0.0).any():
            raise ZeroDivisionError
        return drawn(grey)

    monkeypatch.setattr(sketching, "pictures", fails_on_black)
    before = await prelabel.predict(given)
    serve(prelabel, "m1", 1)
    await prelabel.follower.catch_up(project)
    after = await prelabel.predict(given)
    assert {one.abstention for one in before} == {Abstention.NO_MODEL}
    assert all(one.value is not None for one in after)
    for said in (before, after):
        assert [one.sketch is None for one in said] == [False] * 5 + [True]
    assert prelabel.counted("labelstream_prelabel_unsketched_total", of="content") == 2


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
    plain = by_pixels(grey, ImageInput(width=10, height=12, channels=1, layout="nhwc"))
    for one, other in zip(by_pixels(given, spec), plain, strict=True):
        assert one is not None
        assert other is not None
        assert (int(one.bits, 16) ^ int(other.bits, 16)).bit_count() <= 2


async def test_a_models_own_features_tell_what_it_takes_for_alike(
    prelabel: Prelabel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The features see the sign of one number only; the other 63 do not count. The content assignment sketches."""
    prelabel.project(make.DIGITS[:2], **ASKS)
    manifest = Manifest(input=FeaturesInput(size=64), classes=make.DIGITS[:2], output="logits", features_output="h")
    made = make.hidden_model()
    prelabel.register(made, manifest)
    prelabel.promote("m1", 1)
    draw = np.random.default_rng(9)
    rows = draw.normal(size=(10, 64))
    rows[:, 0] = [1, -1] * 5
    found = await prelabel.predict([FeaturesContent(features=tuple(row)) for row in rows.tolist()])
    assert {one.features.space for one in found if one.features} == {f"model/{sha256_of(made)[:16]}"}
    assert {one.sketch for one in found} == {None}
    assert max(apart(found[n], found[n % 2], "features") for n in range(10)) <= 1
    assert apart(found[0], found[1], "features") > 60
    alone = await prelabel.predict([FeaturesContent(features=tuple(rows[0].tolist()))])
    assert apart(alone[0], found[0], "features") <= 1
    run = LoadedModel.run
    monkeypatch.setattr(LoadedModel, "run", lambda *a, **how: {**(made := run(*a, **how)), "h": made["h"][:-1]})
    odd = await prelabel.predict([FeaturesContent(features=tuple(row)) for row in rows.tolist()])
    assert [(one.value, one.features) for one in odd] == [(one.value, None) for one in found]
    assert prelabel.counted("labelstream_prelabel_unsketched_total", of="features") == 10


async def test_a_model_without_the_features_that_its_manifest_names_is_refused(prelabel: Prelabel) -> None:
    prelabel.project(make.DIGITS[:2])
    manifest = Manifest(input=FeaturesInput(size=64), classes=make.DIGITS[:2], output="logits", features_output="g")
    prelabel.register(make.hidden_model(), manifest)
    prelabel.promote("m1", 1)
    (found,) = await prelabel.predict([FeaturesContent(features=(0.5,) * 64)])
    assert "no output of numbers 'g'" in found.detail


async def test_pictures_without_a_model_are_sketched_as_those_that_a_model_reads(prelabel: Prelabel) -> None:
    project = prelabel.project(make.DIGITS, data="image", **ASKS)
    broken, nothing = MediaContent(kind="image", data="bm9uZQ=="), MediaContent(kind="image", uri="https://x.example/1")
    before = await prelabel.predict([*pictures(side=32), broken, nothing])
    assert {one.abstention for one in before} == {Abstention.NO_MODEL}
    assert [one.sketch is None for one in before] == [False] * 12 + [True] * 2
    serve(prelabel, "m1", 1)
    await prelabel.follower.catch_up(project)
    after = await prelabel.predict(pictures())
    assert max(apart(one, other) for one, other in zip(before[:12], after, strict=True)) <= 16
    prelabel.project(make.DIGITS, data="image", name="other")
    assert {one.sketch for one in await prelabel.predict(pictures(), "other")} == {None}


async def test_what_is_no_picture_and_has_no_model_waits_for_people_all_the_same(prelabel: Prelabel) -> None:
    prelabel.project(make.DIGITS, data="features", **ASKS)
    said = await prelabel.predict([FeaturesContent(features=(0.5,) * 64)] * 3)
    assert [(one.abstention, one.sketch) for one in said] == [(Abstention.NO_MODEL, None)] * 3


def melody(seed: int, rate: int = 16_000) -> Any:
    """Two seconds of ten tones with overtones."""
    draw, step = np.random.default_rng(seed), np.arange(rate // 5) / rate
    tones = draw.uniform(100, 1200, size=10)
    return np.concatenate([sum(np.sin(2 * np.pi * tone * n * step) / n for n in (1, 2, 3)) for tone in tones])


def test_sounds_are_alike_whatever_their_loudness_rate_and_noise() -> None:
    whole = [melody(seed) for seed in range(20)]
    draw = np.random.default_rng(1)

    def far(one: Sequence[Any], other: Sequence[Any]) -> Any:
        return np.array([(int(a.bits, 16) ^ int(b.bits, 16)).bit_count() for a, b in zip(one, other, strict=True)])

    own = by_sounds(whole, 16_000)
    assert far(own, by_sounds([0.1 * one for one in whole], 16_000)).max() <= 2
    assert np.median(far(own, by_sounds([one + draw.normal(0, 0.01, len(one)) for one in whole], 16_000))) <= 24
    assert far(own, by_sounds([melody(seed, 8_000) for seed in range(20)], 8_000)).max() <= 24
    assert far(own, by_sounds([one[600:] for one in whole], 16_000)).max() <= 32
    assert np.median([far(own[n:], own[: len(own) - n]).min() for n in range(1, 15)]) > 60
    assert by_sounds([np.zeros(0), np.zeros(100), np.zeros(9000)], 16_000) == [None] * 3


async def test_sounds_that_a_model_reads_are_sketched_without_what_the_batch_pads(prelabel: Prelabel) -> None:
    content, manifest = onnx_decoders.listener()
    prelabel.project((), data="audio", label={"kind": "segments", "classes": onnx_decoders.SOUNDS}, **ASKS)
    prelabel.register(content, manifest)
    prelabel.promote("m1", 1)
    draw = np.random.default_rng(0)
    short, long = ([*draw.random(hops)] for hops in (20, 40))
    together = await prelabel.predict([onnx_decoders.sound(short), onnx_decoders.sound(long)])
    (alone,) = await prelabel.predict([onnx_decoders.sound(short)])
    assert alone.sketch is not None
    assert alone.sketch.space == "sounds/1"
    assert apart(together[0], alone) <= 2
    assert apart(together[0], together[1]) > 16
