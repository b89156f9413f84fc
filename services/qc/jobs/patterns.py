"""Error patterns of each project."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from services.qc.domain.patternreport import patterns_of
from services.qc.domain.patterns import pairs_of, ranked
from services.qc.domain.scale import Kind, scale_of
from services.qc.store import Store
from shared.bus.references import References
from shared.bus.unit import Unit
from shared.topics import QUALITY

OpenUnit = Callable[[], AbstractAsyncContextManager[Unit]]
KEPT = 5000


class Patterns:
    """Every replica may publish: the same patterns are the same event."""

    def __init__(self, unit: OpenUnit, references: References) -> None:
        self._unit = unit
        self._references = references
        self._told: dict[str, str] = {}

    async def publish(self) -> None:
        """Publish what is confused with what, and the items that people go wrong over, where it changed."""
        for project in self._references.projects.all():
            if scale_of(project.spec.label).kind is Kind.CLOSED:
                async with self._unit() as unit:
                    await self._of(project.project_id, unit)

    async def _of(self, project_id: str, unit: Unit) -> None:
        store = Store(unit.connection, self._references.projects.naming)
        await store.trim_disputes(project_id, KEPT)
        found = await store.list_disputes(project_id, KEPT) + await store.count_gold_disputes(project_id)
        pairs = await asyncio.to_thread(pairs_of, await store.count_cells(project_id))
        event = patterns_of(project_id, pairs, found, await asyncio.to_thread(ranked, found), now=unit.now)
        if event is not None and self._told.get(project_id) != event.sequence:
            unit.emit(QUALITY, event)
            self._told[project_id] = event.sequence
