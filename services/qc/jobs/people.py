"""What is published about people."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from services.qc.domain.fusing.told import rater_skill
from services.qc.domain.reports import skill_of
from services.qc.domain.scale import scale_of
from services.qc.settings import QcSettings
from services.qc.store import ParameterCache, Store
from shared.bus.references import References
from shared.bus.unit import Unit
from shared.topics import QUALITY

OpenUnit = Callable[[], AbstractAsyncContextManager[Unit]]


class PeopleJobs:
    """The jobs of one replica; each may run in every replica at once."""

    def __init__(
        self, unit: OpenUnit, references: References, settings: QcSettings, parameters: ParameterCache
    ) -> None:
        self._unit = unit
        self._references = references
        self._settings = settings
        self._parameters = parameters

    async def publish_skills(self) -> None:
        """Publish the skill, confusions and speed of annotators judged anew."""
        async with self._unit() as unit:
            store = Store(unit.connection, self._references.projects.naming)
            found = await store.take_dirty(self._settings.quality_max_events)
            known = await self._parameters.latest({project for project, _ in found}, store)
            for who, one in found.items():
                parameters = known[who[0]]
                counted = one.judged, one.correct_mills, one.cells, one.conduct
                numbers = rater_skill(who[1], parameters.raters, self._tolerance(who[0]))
                told = skill_of(
                    who, *counted, fused=one.fused, numbers=numbers, snapshot=parameters.snapshot, now=unit.now
                )
                unit.emit(QUALITY, told)

    def _tolerance(self, project: str) -> float:
        current = self._references.projects.current(project)
        return 0.0 if current is None else scale_of(current.spec.label).tolerance
