"""Items to predictions with real ONNX models: as scikit-learn says, one bad record never touches its neighbours."""

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from shared.events import (
    Abstention,
    Content,
    FeaturesContent,
    FeaturesInput,
    ImageInput,
    JsonContent,
    Manifest,
    MediaContent,
    Origin,
    TextContent,
)
from shared.labels import Choice
from tests.support import onnx_models as make
from tests.support.prelabel import PROJECT, Prelabel, items, predictions, received, refreshes

MIX = [0.2, 0.7, 0.1]


def feature(value: float) -> FeaturesContent:
    return FeaturesContent(features=(value,))


@pytest.mark.parametrize(
    ("train", "data"),
    [(make.iris, "features"), (make.digits, "image"), (make.moods, "text"), (lambda: make.moods(tfidf=True), "text")],
    ids=["features", "image", "text counts", "text tf-idf"],
)
async def test_predictions_are_those_of_scikit_learn(
    prelabel: Prelabel, train: Callable[[], make.Trained], data: str
) -> None:
    trained = train()
    classes = trained.manifest.classes
    prelabel.project(classes, data=data)
    prelabel.register(trained.content, trained.manifest)
    prelabel.promote("m1", 4)
    found = await prelabel.predict(trained.inputs)
    assert len(found) == len(trained.inputs)
    mixes = np.array([list((one.distribution or {}).values()) for one in found])
    assert np.abs(mixes - trained.expected).max() < 2e-6
    assert [one.value for one in found] == [Choice(choice=classes[n]) for n in trained.expected.argmax(axis=1)]
    assert {(one.model_version, one.generation, one.abstention) for one in found} == {("m1", 4, None)}
    assert [one.item_id for one in found] == [f"i{n}" for n in range(len(found))]
    top = np.sort(trained.expected, axis=1)
    assert [one.margin for one in found] == pytest.approx((top[:, -1] - top[:, -2]).tolist(), abs=5e-6)


async def test_what_sent_an_item_stands_in_its_prediction_and_in_that_of_its_refresh(prelabel: Prelabel) -> None:
    prelabel.project(make.IRIS)
    trained = make.iris()
    origin = Origin(source="shop", topic="t", partition=0, offset=1)
    about = {"origin": origin, "metadata": {"client": "ios-7"}}
    one, other = items(trained.inputs[:2])
    asked = [one.model_copy(update=about), other]
    abstained, _ = predictions(await prelabel.handlers.on_items(received(asked)))
    assert (abstained.abstention, abstained.source, abstained.client) == (Abstention.NO_MODEL, "shop", "ios-7")
    prelabel.register(trained.content, trained.manifest)
    prelabel.promote("m1", 4)
    again = predictions(await prelabel.handlers.on_items(received(asked)))
    assert [(p.source, p.client) for p in again] == [("shop", "ios-7"), (None, None)]
    stale = [one.model_copy(update={"source": "shop", "client": "ios-7"}) for one in refreshes(trained.inputs[:1], 4)]
    fresh = predictions(await prelabel.handlers.on_refreshes(received(stale)))
    assert [(p.source, p.client, p.model_version) for p in fresh] == [("shop", "ios-7", "m1")]


async def test_a_batch_costs_one_call_per_chunk(prelabel: Prelabel) -> None:
    prelabel.project(make.IRIS)
    trained = make.iris()
    prelabel.register(trained.content, trained.manifest)
    prelabel.promote("m1", 1)
    await prelabel.predict(trained.inputs)
    assert prelabel.counted("labelstream_prelabel_model_call_rows_count") == 3
    assert prelabel.counted("labelstream_prelabel_model_call_rows_sum") == 150


async def test_one_bad_record_never_touches_its_neighbours(prelabel: Prelabel) -> None:
    """Row 1 of the table is no distribution, row 2 is NaN, row 9 makes ONNX Runtime itself fail on the whole batch."""
    table = [MIX, [0.9, 0.9, 0.9], [float("nan")] * 3]
    prelabel.project(make.MOODS)
    prelabel.register(make.table_model(table), make.table_manifest())
    prelabel.promote("m1", 2)
    contents: list[Content] = [feature(0)] * 40
    bad: dict[int, tuple[Content, Abstention]] = {
        3: (feature(1), Abstention.BAD_OUTPUT),
        7: (feature(2), Abstention.BAD_OUTPUT),
        11: (feature(9), Abstention.BAD_OUTPUT),
        12: (feature(9), Abstention.BAD_OUTPUT),
        15: (FeaturesContent(features=(1.0, 2.0)), Abstention.SHAPE),
        19: (feature(1e300), Abstention.UNREADABLE),
        23: (TextContent(text="a text"), Abstention.CONTENT_KIND),
        27: (JsonContent(fields={}), Abstention.CONTENT_KIND),
    }
    for place, (content, _) in bad.items():
        contents[place] = content
    found = await prelabel.predict(contents)
    for place, one in enumerate(found):
        assert one.item_id == f"i{place}"
        if place in bad:
            assert one.abstention is bad[place][1], (place, one.detail)
            assert one.detail
        else:
            assert one.value == Choice(choice="neutral")
            assert list((one.distribution or {}).values()) == pytest.approx(MIX)
        assert (one.model_version, one.generation) == ("m1", 2)
    assert prelabel.counted("labelstream_prelabel_predictions_total", project=PROJECT, outcome="proposed") == 32
    assert prelabel.counted("labelstream_prelabel_predictions_total", project=PROJECT, outcome="bad_output") == 4


def _images(*more: Content) -> list[Content]:
    return [*make.digits().inputs[:2], *more, *make.digits().inputs[2:4]]


async def test_pictures_that_cannot_be_read_abstain_alone(prelabel: Prelabel) -> None:
    trained = make.digits()
    prelabel.project(make.DIGITS, data="image")
    prelabel.register(trained.content, trained.manifest)
    prelabel.promote("m1", 1)
    whole = trained.inputs[0]
    assert isinstance(whole, MediaContent)
    broken = [
        MediaContent(kind="image", data="AAAA"),
        MediaContent(kind="image", data="AAA"),
        MediaContent(kind="image", data=(whole.data or "")[:80]),
        MediaContent(kind="image", uri="https://not.allowed.example/1.png"),
        MediaContent(kind="audio", data="AAAA"),
    ]
    found = await prelabel.predict(_images(*broken))
    assert [one.abstention for one in found] == [
        None, None, Abstention.UNREADABLE, Abstention.UNREADABLE, Abstention.UNREADABLE,
        Abstention.NOT_FETCHED, Abstention.CONTENT_KIND, None, None,
    ]  # fmt: skip


async def test_a_decompression_bomb_is_refused_by_its_header(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    prelabel = Prelabel.make(tmp_path_factory.mktemp("models"), monkeypatch, image_max_pixels=100)
    trained = make.digits()
    prelabel.project(make.DIGITS, data="image")
    prelabel.register(trained.content, trained.manifest)
    prelabel.promote("m1", 1)
    bomb = MediaContent(kind="image", data=make.png(np.zeros((20, 20))))
    found = await prelabel.predict(_images(bomb))
    assert [one.abstention for one in found] == [None, None, Abstention.UNREADABLE, None, None]
    assert "400 pixels" in found[2].detail


async def test_pictures_are_resized_and_brought_to_the_channels_of_the_model(prelabel: Prelabel) -> None:
    trained = make.digits()
    prelabel.project(make.DIGITS, data="image")
    prelabel.register(trained.content, trained.manifest)
    prelabel.promote("m1", 1)
    big = np.kron(np.eye(8) * 200, np.ones((4, 4)))
    colour = np.stack([big] * 3, axis=2)
    grey, rgb = (
        MediaContent(kind="image", data=make.png(pixels, mode)) for pixels, mode in ((big, "L"), (colour, "RGB"))
    )
    first, second = await prelabel.predict([grey, rgb])
    assert first.distribution == pytest.approx(second.distribution)


async def test_no_model_is_a_normal_state(prelabel: Prelabel) -> None:
    prelabel.project(make.MOODS)
    (found,) = await prelabel.predict([feature(0)])
    assert (found.abstention, found.model_version, found.generation) == (Abstention.NO_MODEL, None, 0)
    assert prelabel.looked_up == ["models.v1"]
    await prelabel.predict([feature(0)])
    assert prelabel.looked_up == ["models.v1"]


async def test_other_peoples_items_are_left_alone(prelabel: Prelabel) -> None:
    source = {"name": "s", "kind": "predictions", "topic": "t", "map": {"id": "id", "label": "l", "confidence": "c"}}
    prelabel.project(make.MOODS, name="external", sources=[source])
    prelabel.project(make.MOODS)
    batch = [*items([feature(0)], "external"), *items([feature(0)], "unknown"), *items([feature(0)])]
    found = predictions(await prelabel.handlers.on_items(received(batch)))
    assert [one.project_id for one in found] == [PROJECT]
    assert prelabel.counted("labelstream_prelabel_skipped_total", reason="unknown_project") == 1
    assert prelabel.counted("labelstream_prelabel_skipped_total", reason="external_predictions") == 1


async def test_projects_in_one_batch_have_each_their_own_model(prelabel: Prelabel) -> None:
    for name, row in (("a", [0.8, 0.1, 0.1]), ("b", [0.1, 0.1, 0.8])):
        prelabel.project(make.MOODS, name=name)
        prelabel.register(make.constant_model(*row), make.table_manifest(), project=name, version=f"of-{name}")
        prelabel.promote(f"of-{name}", 1, project=name)
    batch = [
        one for pair in zip(items([feature(0)] * 5, "a"), items([feature(0)] * 5, "b"), strict=True) for one in pair
    ]
    outputs = await prelabel.handlers.on_items(received(batch))
    found = predictions(outputs)
    assert [(one.project_id, one.item_id) for one in found] == [(one.project_id, one.item_id) for one in batch]
    assert {(one.project_id, one.value, one.model_version) for one in found} == {
        ("a", Choice(choice="negative"), "of-a"),
        ("b", Choice(choice="positive"), "of-b"),
    }
    assert prelabel.counted("labelstream_prelabel_model_call_rows_count") == 2


async def test_a_record_read_again_gives_the_same_id(prelabel: Prelabel) -> None:
    prelabel.project(make.MOODS)
    prelabel.register(make.constant_model(*MIX), make.table_manifest())
    prelabel.promote("m1", 1)
    (first,), (second,) = await prelabel.predict([feature(0)]), await prelabel.predict([feature(0)])
    assert first.event_id == second.event_id


async def test_a_refresh_waits_for_the_model_that_made_it_stale(prelabel: Prelabel) -> None:
    prelabel.project(make.MOODS)
    prelabel.register(make.constant_model(*MIX), make.table_manifest())
    prelabel.promote("m1", 1)
    await prelabel.predict([feature(0)])
    prelabel.register(make.constant_model(0.1, 0.1, 0.8), make.table_manifest(), version="m2")

    async def later() -> None:
        await asyncio.sleep(0.05)
        prelabel.promote("m2", 2)

    async with asyncio.TaskGroup() as group:
        asked = group.create_task(prelabel.handlers.on_refreshes(received(refreshes([feature(0)], 2))))
        group.create_task(later())
    (found,) = predictions(asked.result())
    assert (found.model_version, found.generation) == ("m2", 2)


async def test_a_refresh_for_a_model_that_never_comes_is_answered_by_what_serves(prelabel: Prelabel) -> None:
    prelabel.project(make.MOODS)
    prelabel.register(make.constant_model(*MIX), make.table_manifest())
    prelabel.promote("m1", 1)
    outputs = await prelabel.handlers.on_refreshes(received(refreshes([feature(0)], 7)))
    (found,) = predictions(outputs)
    assert (found.model_version, found.generation) == ("m1", 1)


async def test_a_temperature_of_the_manifest_is_used(prelabel: Prelabel) -> None:
    prelabel.project(make.MOODS)
    prelabel.register(make.constant_model(2.0, 0.0, -1.0), make.table_manifest(output="logits", temperature=2.0))
    prelabel.promote("m1", 1)
    (found,) = await prelabel.predict([feature(0)])
    expected = np.exp(np.array([1.0, 0.0, -0.5]))
    assert list((found.distribution or {}).values()) == pytest.approx((expected / expected.sum()).tolist(), rel=1e-6)


def test_the_manifests_of_the_tests_cover_every_input() -> None:
    kinds = {type(trained().manifest.input) for trained in (make.iris, make.digits, make.moods)}
    assert {FeaturesInput, ImageInput} < kinds
    assert len(kinds) == 3
    assert isinstance(make.table_manifest(), Manifest)
