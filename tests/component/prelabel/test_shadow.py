"""A model on trial: beside the live one, on the same items, and never in its way."""

from typing import Any

import pytest

from services.prelabel.store.sessions import LoadedModel
from shared.events import Abstention, FeaturesContent, Item, ModelVersion, ShadowPrediction
from shared.events.predictions import Prediction
from shared.labels import Choice
from shared.topics import MODELS, PREDICTIONS, SHADOW_PREDICTIONS
from tests.support import onnx_models as make
from tests.support.prelabel import PROJECT, Prelabel, items, received, refreshes

ASKED = [FeaturesContent(features=(0.0,))] * 3
LIVE, TRIED = make.constant_model(0.2, 0.7, 0.1), make.constant_model(0.1, 0.1, 0.8)


async def serve(prelabel: Prelabel, *, tried: bytes = TRIED) -> ModelVersion:
    prelabel.project(make.MOODS)
    prelabel.register(LIVE, make.table_manifest(), version="live")
    prelabel.promote("live", 1)
    made = prelabel.register(tried, make.table_manifest(), version="tried", status="shadow")
    await prelabel.follower.poll()
    return made


async def outputs(prelabel: Prelabel, asked: list[Item]) -> tuple[list[Prediction], list[ShadowPrediction]]:
    made = await prelabel.handlers.on_items(received(asked))
    live = [PREDICTIONS.event.validate_json(one.value or b"") for one in made if one.topic == PREDICTIONS.name]
    tried = [
        SHADOW_PREDICTIONS.event.validate_json(one.value or b"") for one in made if one.topic == SHADOW_PREDICTIONS.name
    ]
    return live, tried


async def test_both_answer_the_same_items(prelabel: Prelabel) -> None:
    await serve(prelabel)
    live, tried = await outputs(prelabel, items(ASKED))
    assert [(one.item_id, one.model_version, one.value) for one in live] == [
        (f"i{n}", "live", Choice(choice="neutral")) for n in range(3)
    ]
    assert [(one.item_id, one.model_version, one.generation, one.value) for one in tried] == [
        (f"i{n}", "tried", 0, Choice(choice="positive")) for n in range(3)
    ]
    assert len({one.event_id for one in (*live, *tried)}) == 6
    assert prelabel.counted("labelstream_prelabel_shadow_predictions_total", project=PROJECT, outcome="proposed") == 3


async def test_a_trial_that_ended_says_nothing_more(prelabel: Prelabel) -> None:
    made = await serve(prelabel)
    prelabel.publish(MODELS, made.model_copy(update={"status": "retired"}))
    await prelabel.follower.poll()
    _, tried = await outputs(prelabel, items(ASKED))
    assert tried == []


async def test_what_went_live_is_no_longer_on_trial(prelabel: Prelabel) -> None:
    await serve(prelabel)
    prelabel.promote("tried", 2)
    await prelabel.follower.poll()
    live, tried = await outputs(prelabel, items(ASKED))
    assert {one.model_version for one in live} == {"tried"}
    assert tried == []


async def test_a_model_that_is_refused_never_begins_its_trial(prelabel: Prelabel) -> None:
    await serve(prelabel, tried=make.wide_model())
    live, tried = await outputs(prelabel, items(ASKED))
    assert {one.model_version for one in live} == {"live"}
    assert tried == []


async def test_a_trial_that_crashes_costs_no_prediction(prelabel: Prelabel, monkeypatch: pytest.MonkeyPatch) -> None:
    await serve(prelabel)
    run = LoadedModel.run

    def fails(self: LoadedModel, tensor: Any, beside: Any, *, features: bool = False) -> object:
        if self.identity.version == "tried":
            raise MemoryError
        return run(self, tensor, beside, features=features)

    monkeypatch.setattr(LoadedModel, "run", fails)
    live, tried = await outputs(prelabel, items(ASKED))
    assert [one.abstention for one in live] == [None] * 3
    assert [one.abstention for one in tried] == [Abstention.BAD_OUTPUT] * 3


async def test_a_project_without_a_live_model_can_have_one_on_trial(prelabel: Prelabel) -> None:
    prelabel.project(make.MOODS)
    prelabel.register(TRIED, make.table_manifest(), version="tried", status="shadow")
    await prelabel.follower.poll()
    live, tried = await outputs(prelabel, items(ASKED))
    assert {one.abstention for one in live} == {Abstention.NO_MODEL}
    assert len(tried) == 3


async def test_refreshes_are_not_tried(prelabel: Prelabel) -> None:
    await serve(prelabel)
    made = await prelabel.handlers.on_refreshes(received(refreshes(ASKED, generation=1)))
    assert {one.topic for one in made} == {PREDICTIONS.name}
