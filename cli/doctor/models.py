"""The files of the models that serve: present, readable, and what was registered."""

import asyncio
from pathlib import Path

from cli.doctor.databases import free_space
from cli.doctor.findings import Finding, Status
from cli.reading import reference
from services.prelabel.store.files import ModelRefused, ModelUnavailable, read_model
from shared.events import ModelPointer, ModelVersion
from shared.runtime.settings import KafkaSettings
from shared.topics import MODELS


async def models(kafka: KafkaSettings, directory: Path, max_bytes: int) -> list[Finding]:
    """Every live model, read whole and compared with its hash; as prelabel reads it, from where this command runs."""
    events = await reference(kafka, MODELS)
    versions = {(one.project_id, one.version): one for one in events if isinstance(one, ModelVersion)}
    pointers = sorted((one for one in events if isinstance(one, ModelPointer)), key=lambda one: one.project_id)
    found = [await _model(one, versions.get((one.project_id, one.version)), directory, max_bytes) for one in pointers]
    if not found:
        found.append(Finding("models", "live models", Status.NOTE, "none: people answer everything"))
    return found + free_space(directory, "model directory")


async def _model(pointer: ModelPointer, version: ModelVersion | None, directory: Path, max_bytes: int) -> Finding:
    subject = f"{pointer.project_id}, version {pointer.version}"
    if version is None:
        why = "is live and was never registered"
        return Finding("models", subject, Status.WRONG, why, "`labelstream model register`, or `model rollback`")
    try:
        content = await asyncio.to_thread(
            read_model,
            version.uri,
            sha256=version.sha256,
            size_bytes=version.size_bytes,
            directory=directory,
            max_bytes=max_bytes,
        )
    except (ModelRefused, ModelUnavailable) as error:
        todo = "put the file back (its name is its sha256), mend its rights, or `labelstream model rollback`"
        return Finding("models", subject, Status.WRONG, str(error), todo)
    return Finding("models", subject, Status.OK, f"{len(content):,} bytes, as registered")
