"""The trainer beside prelabel on real Kafka: labels in, models out, and back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

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
from shared.events import FeaturesInput, Gate, Manifest, ModelPointer, ModelVersion, ProjectSpec, Training
from shared.labels import ChoiceSchema
from shared.runtime.service import Service
from shared.runtime.settings import KafkaSettings
from shared.topics import MODELS, SHADOW_PREDICTIONS, TRAINER
from tests.support import onnx_models as make
from tests.support.probe import running, until
from tests.support.trained import DIGITS, Digit, as_items, as_labels, digits

pytestmark = pytest.mark.timeout(240)

PROJECT = "digits"
WITHIN_S = 120
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

        await until(there, within_s=WITHIN_S)
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


async def bad_models(scene: Scene, good: ModelVersion) -> None:
    """One on trial is refused; one that somebody promoted is rolled back."""
    await scene.register("planted", on_trial=True)
    found = await scene.history(lambda found: found.versions["planted"].status == "retired")
    assert "worse than the live model" in verdict(found.versions["planted"])["why"]
    assert live(2)(found)

    await scene.register("forced", on_trial=False)
    await promote_model(scene.kafka, PROJECT, "forced")
    await scene.label(digits()[700:1000])
    found = await scene.history(live(4))
    assert found.pointer is not None
    assert (found.pointer.version, found.pointer.previous) == (good.version, "forced")
    assert found.versions["forced"].status == "retired"
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
            await bad_models(scene, second)


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
