"""What is published about people."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from services.qc.domain.reports import skill_of
from services.qc.settings import QcSettings
from services.qc.store import Store
from shared.bus.references import References
from shared.bus.unit import Unit
from shared.topics import QUALITY

OpenUnit = Callable[[], AbstractAsyncContextManager[Unit]]


class PeopleJobs:
    """The jobs of one replica; each may run in every replica at once."""

    def __init__(self, unit: OpenUnit, references: References, settings: QcSettings) -> None:
        self._unit = unit
        self._references = references
        self._settings = settings

    async def publish_skills(self) -> None:
        """Publish the skill, confusions and speed of annotators judged anew."""
        async with self._unit() as unit:
            store = Store(unit.connection, self._references.projects.naming)
            found = await store.take_dirty(self._settings.quality_max_events)
            numbers = await store.get_latest({project for project, _ in found})
            for who, one in found.items():
                number = numbers.get(who[0], 0)
                counted = one.judged, one.correct_mills, one.cells, one.conduct
                unit.emit(QUALITY, skill_of(who, *counted, fused=one.fused, snapshot=number, now=unit.now))
