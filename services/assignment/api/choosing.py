"""Which of several people gets an item that a lead hands out: drawn by what their opinions tell, as qc measured it."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import uuid4

from services.assignment.api.desk import Desk
from services.assignment.api.schemas import Assignment
from services.assignment.domain.draws import draw
from services.assignment.domain.fit import drawn
from services.assignment.store.measurements import list_of_kind
from shared.events import Worth

BELIEVED_S = 1.0
"""How long what was read is believed."""


class Choosing:
    """Reads people's worths now and then, and only where somebody is to be chosen."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._known: dict[str, tuple[float, Mapping[str, float]]] = {}

    async def settle(self, project_id: str, assignments: Sequence[Assignment]) -> Sequence[Assignment]:
        """The same, each with the one person that was drawn; never the same one twice for an item."""
        project = self._desk.project(project_id)
        if project is None or not any(one.others for one in assignments):
            return assignments
        prefer = project.spec.policy.overlap.prefer
        worths = await self._worths(project_id) if prefer > 0.0 else {}
        taken: defaultdict[str, set[str]] = defaultdict(set)
        settled = []
        for one in assignments:
            people = [name for name in (one.annotator_id, *one.others) if name not in taken[one.item_id]]
            who = drawn(people, worths, prefer=prefer, chance=draw("who", uuid4())) if people else one.annotator_id
            taken[one.item_id].add(who)
            settled.append(Assignment(item_id=one.item_id, annotator_id=who))
        return settled

    async def _worths(self, project_id: str) -> Mapping[str, float]:
        until, found = self._known.get(project_id, (0.0, {}))
        if until < time.monotonic():
            async with self._desk.service.database.pool.acquire(timeout=10) as connection:
                measured = await list_of_kind(connection, project_id, "worth")
            told = [Worth.model_validate_json(one.body) for one in measured]
            found = {one.annotator_id: one.nats for one in told}
            self._known[project_id] = time.monotonic() + BELIEVED_S, found
        return found
