"""The closed loop on the whole stack: people's answers become models, and a bad model does not stay."""

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from cli.api import Api
from cli.demo.crowd import Crowd
from cli.demo.digits import CLASSES, Picture, load
from cli.model import ModelHistory, models, register_model, rollback_model
from cli.project.commands import apply_spec
from cli.stack.embedded import Stack, StackOptions
from shared.bus.publisher import Publisher
from shared.bus.reader import read_all
from shared.bus.records import outgoing
from shared.clock import utc_now
from shared.events import (
    AutoAccept,
    Gate,
    ImageInput,
    Item,
    Manifest,
    ModelVersion,
    Overlap,
    Policy,
    ProjectSpec,
    Training,
)
from shared.labels import ChoiceSchema
from shared.topics import (
    ASSIGNMENT,
    ITEMS,
    MONITOR,
    PREDICTIONS,
    PRELABEL,
    PROCESSES,
    QC,
    SHADOW_PREDICTIONS,
    TRAINER,
)
from tests.support import onnx_models as make

pytestmark = pytest.mark.timeout(600)

PROJECT, TOKEN = "digits", secrets.token_urlsafe(32)
WITHIN_S = 240
SPEC = ProjectSpec(
    project=PROJECT,
    data="image",
    label=ChoiceSchema(classes=CLASSES),
    policy=Policy(
        auto_accept=AutoAccept(threshold=0.98, audit_share=0.2), overlap=Overlap(min=2, max=3), unresolved_after_s=20.0
    ),
    training=Training(after_labels=200, first_after=120, gate=Gate(shadowed=40, labels=60, within_s=3600, margin=0.05)),
)


@dataclass
class Loop:
    """A stack with people at work on one project."""

    stack: Stack
    directory: Path
    pictures: Sequence[Picture]
    publisher: Publisher

    sent: int = 0

    async def send(self, number: int) -> None:
        now, start = utc_now(), self.sent
        self.sent += number
        made = [
            Item(project_id=PROJECT, item_id=one.name, content=one.content, created_at=now)
            for one in self.pictures[start : self.sent]
        ]
        await self.publisher.publish([outgoing(ITEMS, one, source="test") for one in made])

    async def until(self, check: Callable[[], Awaitable[bool]]) -> None:
        """Wait while a few items come every second."""
        async with asyncio.timeout(WITHIN_S):
            while not await check():
                await self.send(10)
                await asyncio.sleep(1.0)

    async def models(self, wanted: Callable[[ModelHistory], bool]) -> ModelHistory:
        """The project's models, once they are as wanted."""
        found: list[ModelHistory] = []

        async def there() -> bool:
            found.append(await models(self.stack.kafka, PROJECT))
            return wanted(found[-1])

        await self.until(there)
        return found[-1]

    async def predicted(self, topic: Any, wanted: Callable[[Any], bool]) -> int:
        records = await read_all(self.stack.kafka, topic.name)
        return sum(wanted(topic.event.validate_json(record.value or b"")) for record in records)


@pytest_asyncio.fixture
async def loop(tmp_path: Path) -> AsyncGenerator[Loop]:
    settings = {
        "LABELSTREAM_TRAINER_CHECK_S": "0.3",
        "LABELSTREAM_PRELABEL_MODEL_POLL_S": "0.2",
        "LABELSTREAM_ASSIGNMENT_ADMIN_TOKEN": TOKEN,
    }
    options = StackOptions(broker="kafka", services=PROCESSES, model_dir=tmp_path / "models", settings=settings)
    pictures = load(training=0, gold=0, stream=None, seed=3).stream
    async with Stack(options) as stack, Publisher(stack.kafka) as publisher:
        await apply_spec(stack.kafka, SPEC, now=utc_now())
        crowd = Crowd(stack.urls["assignment"], {one.content.data or "": one.truth for one in pictures}, seed=3)
        async with Api(stack.urls["assignment"], TOKEN) as admin:
            await crowd.hire(admin, PROJECT)
        working = asyncio.create_task(crowd.work())
        yield Loop(stack, tmp_path, pictures, publisher)
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working


def live(number: int) -> Callable[[ModelHistory], bool]:
    return lambda found: found.pointer is not None and found.pointer.generation == number


def pointed(found: ModelHistory) -> ModelVersion:
    assert found.pointer is not None
    return found.versions[found.pointer.version]


def verdict(version: ModelVersion) -> dict[str, Any]:
    found = version.lineage["verdict"]
    assert isinstance(found, dict)
    return found


def niceness(stack: Stack) -> dict[str, int]:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    return {name: os.getpriority(os.PRIO_PROCESS, service.pid) - own for name, service in stack.services.items()}


async def test_from_peoples_answers_to_a_model_and_back(loop: Loop) -> None:
    wanted = {ASSIGNMENT: 0, PRELABEL: 5, QC: 10, MONITOR: 10, TRAINER: 5}
    assert niceness(loop.stack) == wanted, "people are served first"
    await loop.send(150)
    first = pointed(await loop.models(live(1)))
    assert first.metrics["heldout_accuracy"] > 0.7

    await loop.send(350)
    second = pointed(await loop.models(live(2)))
    assert verdict(second)["verdict"] == "promote"
    assert await loop.predicted(SHADOW_PREDICTIONS, lambda one: one.model_version == second.version) >= 40

    pixels = np.stack([one.pixels for one in loop.pictures])
    planted = make.wrong_pictures(pixels, [one.truth for one in loop.pictures])
    manifest = Manifest(input=ImageInput(width=8, height=8, channels=1, layout="flat"), classes=CLASSES)
    kafka, directory = loop.stack.kafka, loop.directory / "models"
    await register_model(kafka, PROJECT, planted, manifest, directory=directory, version="planted", on_trial=True)
    found = await loop.models(lambda found: found.versions["planted"].status == "retired")
    assert "worse than the live model" in verdict(found.versions["planted"])["why"]

    before = await models(kafka, PROJECT)
    back = await rollback_model(kafka, PROJECT)
    assert before.pointer is not None
    assert (back.version, back.generation) == (before.pointer.previous, before.pointer.generation + 1)

    async def served() -> bool:
        return await loop.predicted(PREDICTIONS, lambda one: one.generation == back.generation) > 0

    await loop.until(served)
    assert await loop.predicted(PREDICTIONS, lambda one: one.generation == back.generation) == await loop.predicted(
        PREDICTIONS, lambda one: (one.model_version, one.generation) == (back.version, back.generation)
    )
    assert not await loop.predicted(PREDICTIONS, lambda one: one.model_version == "planted")
