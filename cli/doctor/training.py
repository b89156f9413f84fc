"""The trainer: whether it runs where projects ask for it, and whether it can keep the models that it makes."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from cli.doctor.databases import free_space
from cli.doctor.findings import Finding, Status
from cli.reading import reference
from cli.topics import lags
from services.prelabel.store.objects import ObjectUnavailable, reach
from shared.errors import ConfigurationError
from shared.events import ProjectPointer, ProjectVersion
from shared.runtime.settings import KafkaSettings
from shared.topics import PROJECTS, TRAINER


async def training(kafka: KafkaSettings, store: str, directory: Path) -> list[Finding]:
    """What a training needs, as the trainer's settings are where this command runs.

    Args:
        kafka: where.
        store: s3://bucket/prefix of the models; empty: the directory.
        directory: of the model files.
    """
    asking = await _asking(kafka)
    ran = any(one.service == TRAINER for one in await lags(kafka))
    if not asking:
        return [Finding("training", "projects", Status.NOTE, "none asks for training")]
    said = f"{len(asking)} ask for training: {_some(asking)}"
    if not ran:
        todo = "start the trainer (`python -m services.prelabel.training`; it needs the extra `trainer`)"
        return [Finding("training", "projects", Status.WRONG, f"{said}; the trainer never ran", todo)]
    kept = await asyncio.to_thread(_store, store) if store else _directory(directory)
    return [Finding("training", "projects", Status.OK, said), *kept]


async def _asking(kafka: KafkaSettings) -> list[str]:
    events = await reference(kafka, PROJECTS)
    versions = {(one.project_id, one.version): one.spec for one in events if isinstance(one, ProjectVersion)}
    current = ((one.project_id, one.version) for one in events if isinstance(one, ProjectPointer))
    return sorted(key[0] for key in current if key in versions and versions[key].training is not None)


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (" ..." if len(names) > most else "")


def _store(store: str) -> list[Finding]:
    try:
        reach(store)
    except (ObjectUnavailable, ConfigurationError) as error:
        todo = "look at the bucket, its policy, and the credentials in the trainer's environment"
        return [Finding("training", "model store", Status.WRONG, str(error), todo)]
    return [Finding("training", "model store", Status.OK, f"{store} answers")]


def _directory(directory: Path) -> list[Finding]:
    subject = "model store"
    if not directory.exists():
        return [Finding("training", subject, Status.NOTE, f"{directory} is not on this machine: not looked at")]
    if not os.access(directory, os.W_OK | os.X_OK):
        todo = "give the trainer's user the right to write there"
        return [Finding("training", subject, Status.WRONG, f"{directory} cannot be written", todo)]
    return [Finding("training", subject, Status.OK, f"{directory} can be written"), *free_space(directory, subject)]
