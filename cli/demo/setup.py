"""What an operator would do before the stream starts: project, gold, people, first model."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cli.demo.digits import CLASSES, Digits, Picture
from cli.demo.training import train
from cli.model import promote_model, register_model
from cli.project.commands import apply_spec
from shared.bus.publisher import Publisher
from shared.bus.records import outgoing
from shared.events import (
    AutoAccept,
    GoldAnswer,
    GoldItem,
    GoldPolicy,
    Item,
    ModelPointer,
    Overlap,
    Policy,
    ProjectSpec,
    RelabelPolicy,
)
from shared.labels import Choice, ChoiceSchema
from shared.runtime.settings import KafkaSettings
from shared.topics import GOLD_ANSWERS, GOLD_ITEMS

PROJECT = "digits"
SOURCE = "labelstream/demo"

SPEC = ProjectSpec(
    project=PROJECT,
    title="Handwritten digits",
    data="image",
    label=ChoiceSchema(classes=CLASSES),
    policy=Policy(
        auto_accept=AutoAccept(threshold=0.97, audit_share=0.05),
        overlap=Overlap(min=1, max=4),
        target_posterior=0.97,
        experts=True,
        blocked_after_s=10.0,
        unresolved_after_s=30.0,
        gold=GoldPolicy(share=0.08),
        relabel=RelabelPolicy(budget_per_day=20, doubts_per_day=0),  # it ends, and with it what is asked
    ),
    instructions="Which digit is it?",
)


async def apply_project(kafka: KafkaSettings, *, now: datetime) -> None:
    """Publish the project."""
    await apply_spec(kafka, SPEC, now=now)


async def import_gold(kafka: KafkaSettings, pictures: Sequence[Picture], *, now: datetime) -> None:
    """Publish the items whose answer is known, and the answers, which only qc reads."""
    answers = [
        outgoing(
            GOLD_ANSWERS,
            GoldAnswer(project_id=PROJECT, item_id=one.name, value=Choice(choice=one.truth), created_at=now),
            source=SOURCE,
        )
        for one in pictures
    ]
    items = [
        outgoing(
            GOLD_ITEMS,
            GoldItem(project_id=PROJECT, item_id=one.name, content=one.content, created_at=now),
            source=SOURCE,
        )
        for one in pictures
    ]
    async with Publisher(kafka) as publisher:
        await publisher.publish(answers)
        await publisher.publish(items)


async def publish_model(
    kafka: KafkaSettings,
    pictures: Sequence[Picture],
    labels: Sequence[str],
    *,
    version: str,
    directory: Path,
    seed: int,
) -> ModelPointer:
    """Train on pictures and labels, register the model, make it live."""
    file = directory / "trained" / f"{version}.onnx"
    manifest = await asyncio.to_thread(train, pictures, labels, file, seed=seed)
    await register_model(kafka, PROJECT, file.read_bytes(), manifest, directory=directory, version=version)
    return await promote_model(kafka, PROJECT, version)


async def publish_first_model(kafka: KafkaSettings, digits: Digits, *, directory: Path, seed: int) -> ModelPointer:
    """The model that the small labelled set gives."""
    truths = [one.truth for one in digits.training]
    return await publish_model(kafka, digits.training, truths, version="v1", directory=directory, seed=seed)


def item_of(picture: Picture, *, now: datetime) -> Item:
    """A picture as an item of the stream."""
    return Item(project_id=PROJECT, item_id=picture.name, content=picture.content, created_at=now)
