"""What of a project's queue is for whom: lanes that a person may take from, classes that they know."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.assignment.api.desk import Desk
from services.assignment.domain.fit import Judged, fits, judged
from services.assignment.domain.lanes import EXPERTS, lanes_for
from services.assignment.store.lanes import list_lanes
from services.assignment.store.measurements import list_of_kind
from services.assignment.store.people import Person
from shared.bus.references import CurrentProject
from shared.events import Audience, Skill

LANES_S, SKILLS_S = 2.0, 30.0
"""How long what was read is believed."""


@dataclass(frozen=True, slots=True)
class Match:
    """How one person's queue differs from everybody's.

    Attributes:
        queues: what the rounds' `audience` may be; a single one is read as it is.
        apart: others' lanes are in the same part of the index.
        bonuses: class -> what is added to the score of items that are likely of it.
    """

    queues: Sequence[str]
    bonuses: Mapping[str, float]
    apart: bool = False

    @property
    def plain(self) -> bool:
        """Whether the queue is simply read from its front."""
        return len(self.queues) == 1 and not self.bonuses and not self.apart


class Matching:
    """Reads lanes and skills now and then, and only for projects whose policy has `people`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lanes: tuple[float, dict[str, list[str]]] = (0.0, {})
        self._skills: dict[str, tuple[float, dict[str, Judged], Judged]] = {}

    async def match(self, person: Person, audience: Audience, project: CurrentProject, lease_id: UUID) -> Match:
        """The queue of one person in one project; the lease's id seeds what is drawn."""
        asking = self._asking(project)
        if not asking:
            return Match([audience.value], {})
        lanes = (await self._known_lanes()).get(project.project_id, [])
        if audience is Audience.EXPERT:
            return Match(lanes_for(lanes, person.languages, person.groups or (), EXPERTS), {}, apart=True)
        weight = max((one.people.skill for one in project.spec.policies if one.people is not None), default=0.0)
        bonuses: Mapping[str, float] = {}
        if weight > 0.0:
            own, crowd = await self._known_skills(project.project_id, person.id)
            bonuses = fits(own, crowd, weight=weight, seed=lease_id.int)
        return Match(lanes_for(lanes, person.languages, person.groups or ()), bonuses)

    def _asking(self, project: CurrentProject) -> bool:
        """Whether any version of the project has rules of whom it asks: open rounds may pin an old one."""
        projects = self._desk.references.projects
        specs = (projects.spec(project.project_id, version) for version in range(project.version, 0, -1))
        return any(one.people is not None for spec in specs if spec is not None for one in spec.policies)

    async def _known_lanes(self) -> dict[str, list[str]]:
        until, found = self._lanes
        if until < time.monotonic():
            async with self._desk.service.database.pool.acquire(timeout=10) as connection:
                found = await list_lanes(connection)
            self._lanes = (time.monotonic() + LANES_S, found)
        return found

    async def _known_skills(self, project_id: str, annotator_id: str) -> tuple[Judged, Judged]:
        until, people, crowd = self._skills.get(project_id, (0.0, {}, {}))
        if until < time.monotonic():
            async with self._desk.service.database.pool.acquire(timeout=10) as connection:
                measured = await list_of_kind(connection, project_id, "skill")
            skills = [Skill.model_validate_json(one.body) for one in measured]
            people, crowd = {one.annotator_id: judged([one]) for one in skills}, judged(skills)
            self._skills[project_id] = (time.monotonic() + SKILLS_S, people, crowd)
        return people.get(annotator_id, {}), crowd
