"""Saying on `models.v1` what becomes of a model."""

from collections.abc import Mapping
from typing import Any

from shared.bus.publisher import Publisher
from shared.bus.records import Outgoing, outgoing
from shared.bus.references import References
from shared.clock import Clock
from shared.events import ModelPointer, ModelVersion
from shared.topics import MODELS, TRAINER


class Register:
    """Writes model versions and pointers, and reads them back before anything else is decided."""

    def __init__(self, references: References, publisher: Publisher, clock: Clock) -> None:
        self._references = references
        self._publisher = publisher
        self._clock = clock

    async def publish(self, *events: ModelVersion | ModelPointer) -> None:
        """Publish, and read the topic to its end."""
        records: list[Outgoing] = [outgoing(MODELS, event, source=TRAINER) for event in events]
        await self._publisher.publish(records)
        await self._references.models.table.refresh()

    async def promote(self, version: ModelVersion, verdict: Mapping[str, Any]) -> ModelPointer:
        """Make a version live, its trial over."""
        before = self._references.models.pointer(version.project_id)
        pointer = ModelPointer(
            project_id=version.project_id,
            version=version.version,
            generation=before.generation + 1 if before else 1,
            previous=before.version if before else None,
            promoted_at=self._clock(),
        )
        await self.publish(pointer, _with(version, "candidate", verdict))
        return pointer

    async def retire(self, version: ModelVersion, verdict: Mapping[str, Any]) -> None:
        """End a trial, or take a version out of use for good."""
        await self.publish(_with(version, "retired", verdict))

    async def roll_back(
        self, bad: ModelVersion, pointer: ModelPointer, verdict: Mapping[str, Any]
    ) -> ModelPointer | None:
        """Make the former version live again and retire the bad one; None where there is none to go back to."""
        former = self._references.models.version(pointer.project_id, pointer.previous or "")
        if former is None or former.status == "retired":
            return None
        back = ModelPointer(
            project_id=pointer.project_id,
            version=former.version,
            generation=pointer.generation + 1,
            previous=pointer.version,
            rolled_back=True,
            promoted_at=self._clock(),
        )
        await self.publish(back, _with(bad, "retired", verdict))
        return back


def _with(version: ModelVersion, status: str, verdict: Mapping[str, Any]) -> ModelVersion:
    lineage = {**version.lineage, "verdict": dict(verdict)}
    return version.model_copy(update={"status": status, "lineage": lineage})
