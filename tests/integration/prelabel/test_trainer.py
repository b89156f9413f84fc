"""The trainer beside prelabel on real Kafka: labels in, models out, and back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cli.erase import training
from cli.erase.subjects import Subject
from cli.model import ModelHistory, models, promote_model, register_model
from cli.project.commands import apply_spec
from cli.stack.children import free_port
from cli.stack.processes import ServiceProcess
from services.prelabel.app import build as build_prelabel
from services.prelabel.settings import PrelabelSettings
from services.prelabel.store.files import read_model
from services.prelabel.training.app import build
from services.prelabel.training.settings import TrainerSettings
from shared.bus.admin import create_topics
from shared.bus.publisher import Publisher
from shared.bus.reader import read_all
from shared.bus.records import outgoing
from shared.events import (
    Certificate,
    Erasure,
    FeaturesInput,
    Gate,
    Manifest,
    ModelPointer,
    ModelVersion,
    ProjectSpec,
    Quality,
    Training,
)
from shared.labels import ChoiceSchema
from shared.runtime.service import Service
from shared.runtime.settings import KafkaSettings
from shared.topics import ERASURES, ITEMS, LABELS, MODELS, PREDICTIONS, QUALITY, SHADOW_PREDICTIONS, TRAINER
from tests.support import onnx_models as make
from tests.support.probe import running, until
from tests.support.trained import DIGITS, Digit, as_items, as_labels, digits

pytestmark = pytest.mark.timeout(600)

PROJECT = "digits"
WITHIN_S = 240
SPEC = ProjectSpec(
    project=PROJECT,
    data="features",
    label=ChoiceSchema(classes=DIGITS),
    training=Training(after_labels=300, first_after=150, gate=Gate(shadowed=50, labels=60, within_s=3600, margin=0.05)),
)


def trainer(kafka: KafkaSettings, directory: Path) -> Service:
    return build(
        TrainerSettings(kafka=kafka, directory=directory / "kept", model_dir=directory / "models", check_s=0.3)
    )


def prelabel(kafka: KafkaSettings, directory: Path) -> Service:
    return build_prelabel(PrelabelSettings(kafka=kafka, model_dir=directory / "models", model_poll_s=0.2))


@dataclass
class Scene:
    """A project with its two services; people's labels come from `label`."""

    kafka: KafkaSettings
    directory: Path
    publisher: Publisher

    async def label(self, some: Sequence[Digit]) -> None:
        now = datetime.now(UTC)
        await self.publisher.publish(as_items(PROJECT, some, now))
        await self.publisher.publish(as_labels(PROJECT, some, now))

    async def history(self, wanted: Callable[[ModelHistory], bool]) -> ModelHistory:
        """The project's models, once they are as wanted."""

        async def there() -> bool:
            return wanted(await models(self.kafka, PROJECT))

        try:
            await until(there, within_s=WITHIN_S)
        except TimeoutError:
            found = await models(self.kafka, PROJECT)
            counts = {
                topic.name: len(await read_all(self.kafka, topic.name))
                for topic in (ITEMS, LABELS, PREDICTIONS, SHADOW_PREDICTIONS)
            }
            pytest.fail(
                f"still {found.pointer}, {[(one.version, one.status) for one in found.versions.values()]}, {counts}"
            )
        return await models(self.kafka, PROJECT)

    async def register(self, version: str, *, on_trial: bool) -> None:
        """A model that is wrong about every digit."""
        await register_model(
            self.kafka,
            PROJECT,
            make.digit_features(wrong=True),
            Manifest(input=FeaturesInput(size=64), classes=DIGITS),
            directory=self.directory / "models",
            version=version,
            on_trial=on_trial,
        )


def live(number: int) -> Callable[[ModelHistory], bool]:
    return lambda found: found.pointer is not None and found.pointer.generation == number


def verdict(version: ModelVersion) -> dict[str, Any]:
    found = version.lineage["verdict"]
    assert isinstance(found, dict)
    return found


async def first_model(scene: Scene) -> ModelVersion:
    """From labels alone: registered with what it stands on, kept by its hash, live."""
    await scene.label(digits()[:150])
    found = await scene.history(live(1))
    assert found.pointer is not None
    made = found.versions[found.pointer.version]
    assert made.metrics["heldout_accuracy"] > 0.7
    assert made.lineage["rows"] == 150 - int(made.metrics["heldout"])
    models = scene.directory / "models"
    assert read_model(made.uri, sha256=made.sha256, size_bytes=made.size_bytes, directory=models, max_bytes=10**8)
    return made


async def second_model(scene: Scene, first: ModelVersion) -> ModelVersion:
    """On trial on live items, then promoted by the gate."""
    await scene.label(digits()[500:700])
    found = await scene.history(live(2))
    assert found.pointer is not None
    assert found.pointer.previous == first.version
    made = found.versions[found.pointer.version]
    assert verdict(made)["verdict"] == "promote"
    assert made.metrics["heldout_accuracy"] >= first.metrics["heldout_accuracy"]
    assert len(await read_all(scene.kafka, SHADOW_PREDICTIONS.name)) >= 50
    return made


async def lost_certificate(scene: Scene, second: ModelVersion, first: ModelVersion) -> None:
    """Right after its promotion nothing says that the second model is better: it goes."""
    certificate = Certificate(
        number=1,
        state="withdrawn",
        generation=2,
        model_version=second.version,
        threshold=0.9,
        target_error=0.03,
        confidence=0.95,
        audit_share=0.5,
        valid_until=datetime.now(UTC),
        doubtful_since=datetime.now(UTC),
    )
    alarm = Quality(
        project_id=PROJECT, subject="project", sequence="1", measurement=certificate, measured_at=datetime.now(UTC)
    )
    await scene.publisher.publish([outgoing(QUALITY, alarm, source="monitor")])
    found = await scene.history(lambda found: found.versions[second.version].status == "retired")
    assert found.pointer is not None
    assert (found.pointer.version, found.pointer.generation, found.pointer.rolled_back) == (first.version, 3, True)
    assert "certificate was withdrawn" in verdict(found.versions[second.version])["why"]


async def bad_models(scene: Scene) -> None:
    """One on trial is refused; one that somebody promoted is rolled back."""
    await scene.register("planted", on_trial=True)
    await scene.label(digits()[700:800])
    found = await scene.history(lambda found: found.versions["planted"].status == "retired")
    assert "worse than the live model" in verdict(found.versions["planted"])["why"]
    before = (await models(scene.kafka, PROJECT)).pointer
    assert before is not None

    await scene.register("forced", on_trial=False)
    await promote_model(scene.kafka, PROJECT, "forced")
    await scene.label(digits()[800:1100])
    found = await scene.history(lambda found: found.versions["forced"].status == "retired")
    assert found.pointer is not None
    assert (found.pointer.version, found.pointer.previous) == (before.version, "forced")
    assert verdict(found.versions["forced"])["verdict"] == "rollback"


async def test_from_the_first_labels_to_a_rollback(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    await create_topics(kafka_settings, partitions=2)
    await apply_spec(kafka_settings, SPEC, now=datetime.now(UTC))
    async with Publisher(kafka_settings) as publisher, running(prelabel(kafka_settings, tmp_path)):
        scene = Scene(kafka_settings, tmp_path, publisher)
        async with running(trainer(kafka_settings, tmp_path)):
            first = await first_model(scene)
            await scene.label(digits()[150:500])
            await scene.history(lambda found: any(one.status == "shadow" for one in found.versions.values()))
        async with running(trainer(kafka_settings, tmp_path)):  # it goes on where that one was
            second = await second_model(scene, first)
            await lost_certificate(scene, second, first)
            await bad_models(scene)


async def test_kill_9_in_the_middle_of_a_training_registers_it_once(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    await create_topics(kafka_settings, partitions=2)
    await apply_spec(kafka_settings, SPEC, now=datetime.now(UTC))
    process = ServiceProcess(
        TRAINER,
        {
            "LABELSTREAM_KAFKA_BOOTSTRAP": kafka_settings.bootstrap,
            "LABELSTREAM_KAFKA_PREFIX": kafka_settings.prefix,
            "LABELSTREAM_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
            "LABELSTREAM_KAFKA_ALLOW_INSECURE": "true",
            "LABELSTREAM_TRAINER_PORT": str(port := free_port()),
            "LABELSTREAM_TRAINER_DIRECTORY": str(tmp_path / "kept"),
            "LABELSTREAM_TRAINER_MODEL_DIR": str(tmp_path / "models"),
            "LABELSTREAM_TRAINER_CHECK_S": "0.3",
        },
        directory=tmp_path,
        url=f"http://127.0.0.1:{port}",
    )
    try:
        async with Publisher(kafka_settings) as publisher:
            scene = Scene(kafka_settings, tmp_path, publisher)
            await process.start()
            await scene.label(digits()[:150])

            async def trains() -> bool:
                return any((tmp_path / "kept" / "jobs").iterdir())

            await until(trains, within_s=WITHIN_S)
            process.kill9()
            assert (await models(kafka_settings, PROJECT)).versions == {}
            await process.start()
            await scene.history(live(1))
            process.kill9()
            await process.start()
            made = [MODELS.event.validate_json(one.value or b"") for one in await read_all(kafka_settings, MODELS.name)]
            assert len({one.version for one in made}) == 1
            assert [one.generation for one in made if isinstance(one, ModelPointer)] == [1]
    finally:
        await process.drain()


async def test_what_is_erased_leaves_the_training_set(
    kafka_settings: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create_topics(kafka_settings, partitions=2)
    await apply_spec(kafka_settings, SPEC, now=datetime.now(UTC))
    monkeypatch.setenv("LABELSTREAM_TRAINER_DIRECTORY", str(tmp_path / "kept"))
    async with Publisher(kafka_settings) as publisher, running(trainer(kafka_settings, tmp_path)):
        scene = Scene(kafka_settings, tmp_path, publisher)
        await scene.label(digits()[:150])
        await scene.history(live(1))
        place = training.directory()
        assert place is not None
        assert list((place / "sets" / PROJECT).iterdir())
        item = Erasure(subject="item", project_id=PROJECT, item_id="d7", requested_at=datetime.now(UTC))
        person = Erasure(subject="annotator", annotator_id="ann", requested_at=datetime.now(UTC))
        await publisher.publish([outgoing(ERASURES, one, source="test") for one in (item, person)])

        async def obeyed() -> bool:
            looked = [await training.look(place, Subject.of(one)) for one in (item, person)]
            return all(noted is not None and not any(left.values()) for noted, left in looked)

        await until(obeyed, within_s=30)
        noted, left = await training.look(place, Subject.of(item))
        assert noted is not None
        assert (noted["removed"]["labels"], noted["removed"]["contents"]) == (1, 1)
        assert left == {"items": 0, "labels": 0, "models' answers": 0, "training sets from before": 0}
        await scene.label(digits()[7:8])
        await scene.label(digits()[150:151])

        async def took() -> bool:
            key = Subject("", PROJECT, "d150")
            return (await training.look(place, key))[1]["labels"] == 1

        await until(took, within_s=30)
        assert not any((await training.look(place, Subject.of(item)))[1].values()), "it does not come back"
