"""prelabel as a service on real Kafka: items to predictions, a swap under load, a second replica."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from cli.model import models, promote_model, register_model, rollback_model
from cli.project.commands import apply_spec
from services.prelabel.app import build
from services.prelabel.settings import PrelabelSettings
from shared.bus.admin import create_topics
from shared.bus.publisher import Publisher
from shared.bus.reader import read_all
from shared.bus.records import Outgoing, outgoing
from shared.events import Abstention, FeaturesContent, Item, ProjectSpec, Refresh
from shared.events.predictions import Prediction
from shared.labels import ChoiceSchema
from shared.runtime.service import Service
from shared.runtime.settings import KafkaSettings
from shared.topics import ITEMS, PREDICTIONS, REFRESHES
from tests.support import onnx_models as make
from tests.support.events import AT
from tests.support.probe import running, until

pytestmark = pytest.mark.timeout(90)

SPEC = ProjectSpec(project="p", data="features", label=ChoiceSchema(classes=make.MOODS))
ROWS = {"v1": (0.2, 0.7, 0.1), "v2": (0.1, 0.1, 0.8)}


def service(kafka: KafkaSettings, directory: Path) -> Service:
    return build(PrelabelSettings(kafka=kafka, model_dir=directory, model_poll_s=0.1, source_poll_s=0.1))


def items(count: int, start: int = 0, project: str = "p") -> list[Outgoing]:
    content = FeaturesContent(features=(0.0,))
    made = [
        Item(project_id=project, item_id=f"i{n}", content=content, created_at=AT) for n in range(start, start + count)
    ]
    return [outgoing(ITEMS, one, source="test") for one in made]


async def predictions(kafka: KafkaSettings) -> list[Prediction]:
    return [PREDICTIONS.event.validate_json(record.value or b"") for record in await read_all(kafka, PREDICTIONS.name)]


async def wait_for(kafka: KafkaSettings, count: int) -> list[Prediction]:
    async def enough() -> bool:
        return len({one.item_id for one in await predictions(kafka)}) >= count

    await until(enough, within_s=40)
    return await predictions(kafka)


async def register(kafka: KafkaSettings, directory: Path, version: str) -> None:
    content = make.constant_model(*ROWS[version])
    await register_model(kafka, "p", content, make.table_manifest(max_batch=50), directory=directory, version=version)


async def test_from_no_model_to_two_models_under_load(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    await create_topics(kafka_settings, partitions=3)
    await apply_spec(kafka_settings, SPEC, now=AT)
    async with Publisher(kafka_settings) as publisher:
        await publisher.publish(items(10))
        async with running(service(kafka_settings, tmp_path)):
            found = await wait_for(kafka_settings, 10)
            assert {(one.abstention, one.generation) for one in found} == {(Abstention.NO_MODEL, 0)}

            await register(kafka_settings, tmp_path, "v1")
            await register(kafka_settings, tmp_path, "v2")
            assert (await promote_model(kafka_settings, "p", "v1")).generation == 1
            await asyncio.sleep(0.5)
            for start in range(10, 3010, 500):
                await publisher.publish(items(500, start))
                if start == 1010:
                    await wait_for(kafka_settings, 510)  # the first model has answered some
                    assert (await promote_model(kafka_settings, "p", "v2")).generation == 2
            sent, found = 3010, await wait_for(kafka_settings, 3010)
            while all(one.generation < 2 for one in found):  # the first model was faster than the second was loaded
                await publisher.publish(items(500, sent))
                sent += 500
                found = await wait_for(kafka_settings, sent)
    answered = [one for one in found if one.abstention is None]
    assert Counter(one.item_id for one in answered) == Counter(f"i{n}" for n in range(10, sent))
    assert {one.model_version for one in answered} == {"v1", "v2"}
    for one in answered:
        assert list((one.distribution or {}).values()) == pytest.approx(ROWS[one.model_version or ""])
        assert one.generation == int((one.model_version or "v0")[1])


async def test_a_restart_goes_on_where_it_was(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    await create_topics(kafka_settings, partitions=2)
    await apply_spec(kafka_settings, SPEC, now=AT)
    await register(kafka_settings, tmp_path, "v1")
    await promote_model(kafka_settings, "p", "v1")
    async with Publisher(kafka_settings) as publisher:
        for start in (0, 200):
            await publisher.publish(items(200, start))
            async with running(service(kafka_settings, tmp_path)):
                await wait_for(kafka_settings, start + 200)
    found = await predictions(kafka_settings)
    assert Counter(one.item_id for one in found) == Counter(f"i{n}" for n in range(400))
    assert {one.abstention for one in found} == {None}, "the live model was loaded before the first batch was read"


async def test_two_replicas_share_the_work_and_lose_nothing(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    await create_topics(kafka_settings, partitions=4)
    await apply_spec(kafka_settings, SPEC, now=AT)
    await register(kafka_settings, tmp_path, "v1")
    await promote_model(kafka_settings, "p", "v1")
    async with Publisher(kafka_settings) as publisher, running(service(kafka_settings, tmp_path)):
        await publisher.publish(items(300))
        async with running(service(kafka_settings, tmp_path)):
            await publisher.publish(items(300, 300))
            await wait_for(kafka_settings, 600)
        await publisher.publish(items(300, 600))
        found = await wait_for(kafka_settings, 900)
    assert {one.item_id for one in found} == {f"i{n}" for n in range(900)}
    assert len({one.event_id for one in found}) == 900


async def test_a_refresh_is_answered_by_the_new_model(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    await create_topics(kafka_settings, partitions=1)
    await apply_spec(kafka_settings, SPEC, now=AT)
    for version in ("v1", "v2"):
        await register(kafka_settings, tmp_path, version)
    await promote_model(kafka_settings, "p", "v1")
    async with Publisher(kafka_settings) as publisher, running(service(kafka_settings, tmp_path)):
        await publisher.publish(items(1))
        await wait_for(kafka_settings, 1)
        await promote_model(kafka_settings, "p", "v2")
        refresh = Refresh(
            project_id="p", item_id="i0", content=FeaturesContent(features=(0.0,)), item_created_at=AT, generation=2,
            requested_at=AT,
        )  # fmt: skip
        await publisher.publish([outgoing(REFRESHES, refresh, source="test")])

        async def both() -> bool:
            return len(await predictions(kafka_settings)) == 2

        await until(both)
        assert [one.generation for one in await predictions(kafka_settings)] == [1, 2]


async def test_promotions_are_counted_and_rolled_back(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    await create_topics(kafka_settings, partitions=1)
    await apply_spec(kafka_settings, SPEC, now=AT)
    for version in ("v1", "v2"):
        await register(kafka_settings, tmp_path, version)
        await promote_model(kafka_settings, "p", version)
    back = await rollback_model(kafka_settings, "p")
    assert (back.version, back.previous, back.generation) == ("v1", "v2", 3)
    assert (await models(kafka_settings, "p")).pointer == back
