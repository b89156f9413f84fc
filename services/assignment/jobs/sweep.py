"""The sweep over rounds with free slots: blocked, unblocked, exhausted, refreshed. A bounded chunk per transaction."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from services.assignment.domain import lifecycle
from services.assignment.domain.aggregate import Round
from services.assignment.domain.lanes import FALL_BACK_S, fall_back_s, lanes_for
from services.assignment.domain.lifecycle import Sweep
from services.assignment.handlers.deciding import exhaust, pinned_of, publish
from services.assignment.metrics import AssignmentMetrics
from services.assignment.settings import AssignmentSettings
from services.assignment.store.items import get_contents
from services.assignment.store.lanes import list_lanes
from services.assignment.store.people import Person, list_present
from services.assignment.store.rounds import (
    Presence,
    Waiting,
    list_noteworthy,
    lock_waiting,
    mark_refreshed,
    write_rounds,
)
from shared.bus.references import CurrentProject
from shared.bus.unit import Unit
from shared.events import Content, Refresh
from shared.runtime.service import Service
from shared.topics import REFRESHES

CONTENT: TypeAdapter[Content] = TypeAdapter(Content)
WINDOW = 4
"""Chunks that are read for each that may be locked."""
RUSH_S = 0.5
"""One run takes further chunks for so long, while all that it finds waits for a new model: until then the queue has the
order of the one before, and people are asked for what teaches this one little."""


@dataclass(slots=True)
class Found:
    """What one chunk of the sweep does."""

    rounds: list[Round] = field(default_factory=list)
    stale: list[tuple[Round, int]] = field(default_factory=list)


class Sweeper:
    """Goes over the waiting rounds in order of their ids and starts anew at the end.

    Each run reads one window of them without a lock, and locks those only that it may have to change, a chunk at most.
    So its cost does not depend on how many rounds wait; a full turn takes rounds / window runs. After a new
    model, which every round waits for, a run goes on for `RUSH_S`.
    """

    def __init__(self, service: Service, settings: AssignmentSettings, metrics: AssignmentMetrics) -> None:
        self._service = service
        self._references = service.references
        self._metrics = metrics
        self._chunk = settings.job_chunk_rows
        self._after = 0

    async def sweep(self) -> None:
        """One chunk; after a new model as many as there is time for."""
        until = time.monotonic() + RUSH_S
        while await self._sweep() and time.monotonic() < until:
            pass

    async def _sweep(self) -> bool:
        """One chunk; whether it was a full one, and a new model the reason."""
        projects = {project.project_id: project for project in self._references.projects.all()}
        if not projects:
            return False
        async with self._service.unit() as unit:
            window_s = max(project.spec.policy.blocked_after_s for project in projects.values())
            people = await list_present(unit.connection, window_s)
            asking = any(one.people for p in projects.values() for one in p.spec.policies)
            present = self._presence(people, projects, await list_lanes(unit.connection) if asking else {})
            self._metrics.present.set(len({who for _, _, who in present.people}))
            waits = [fall_back_s(one) for p in projects.values() for one in p.spec.policies]
            ids, further = await list_noteworthy(
                unit.connection, self._after, WINDOW * self._chunk, present, narrow_s=min(waits, default=FALL_BACK_S)
            )
            if len(ids) > self._chunk:
                ids, further = ids[: self._chunk], ids[self._chunk - 1]
            found = Found()
            for one in await lock_waiting(unit.connection, ids, present) if ids else ():
                self._judge(one, unit, found)
            if found.rounds:
                await write_rounds(unit.connection, found.rounds)
            await self._refresh(found.stale, unit)
        self._after = further or 0
        return len(ids) == self._chunk and bool(found.stale)

    def _presence(
        self,
        people: Sequence[tuple[Person, float]],
        projects: Mapping[str, CurrentProject],
        lanes: Mapping[str, Sequence[str]],
    ) -> Presence:
        live = {name: self._references.models.live(name) for name in projects}
        seats = [seat for person, seen_s in people for seat in _seats(person, seen_s, projects, lanes)]
        return Presence(seats, {name: model.generation for name, model in live.items() if model is not None})

    def _judge(self, one: Waiting, unit: Unit, found: Found) -> None:
        asked = one.round
        pinned = pinned_of(asked, self._references, unit.now)
        since = one.waiting_since
        if pinned is None:
            return
        match lifecycle.sweep(
            asked, pinned.policy, answerable=one.answerable, waiting_since=since, now=max(unit.now, since)
        ):
            case Sweep.BLOCK:
                asked, route = lifecycle.block(asked, unit.now)
                publish((route,), unit, self._metrics)
                found.rounds.append(asked)
            case Sweep.UNBLOCK:
                asked, route = lifecycle.unblock(asked, unit.now)
                publish((route,), unit, self._metrics)
                found.rounds.append(asked)
            case Sweep.WIDEN:
                asked, route = lifecycle.widen(asked, unit.now)
                publish((route,), unit, self._metrics)
                found.rounds.append(asked)
            case Sweep.EXHAUST:
                found.rounds.append(exhaust(asked, pinned, unit, self._metrics))
            case Sweep.LEAVE:
                live = self._references.models.live(asked.project_id)
                stale = live is not None and live.generation > max(asked.generation, one.refreshed)
                if live is not None and stale and asked.granted == 0:
                    found.stale.append((asked, live.generation))

    async def _refresh(self, stale: Sequence[tuple[Round, int]], unit: Unit) -> None:
        """Ask prelabel to predict again what another model predicted and nobody has seen yet."""
        if not stale:
            return
        contents = await get_contents(unit.connection, ((r.project_id, r.item_id) for r, _ in stale))
        await mark_refreshed(unit.connection, [r.id or 0 for r, _ in stale], [generation for _, generation in stale])
        for asked, generation in stale:
            content = contents.get((asked.project_id, asked.item_id))
            if content is not None and asked.item_created_at is not None:
                refresh = Refresh(
                    project_id=asked.project_id,
                    item_id=asked.item_id,
                    content=CONTENT.validate_json(content),
                    item_created_at=asked.item_created_at,
                    generation=generation,
                    source=asked.guess.source if asked.guess is not None else None,
                    client=asked.guess.client if asked.guess is not None else None,
                    requested_at=unit.now,
                )
                unit.emit(REFRESHES, refresh)


def _seats(
    person: Person, seen_s: float, projects: Mapping[str, CurrentProject], lanes: Mapping[str, Sequence[str]]
) -> list[tuple[str, str, str]]:
    """(project, queue, person) wherever a person counts as present: seen within the project's `blocked_after_s`."""
    return [
        (project.project_id, queue, person.id)
        for project in projects.values()
        if person.may_work_in(project.project_id) and seen_s <= project.spec.policy.blocked_after_s
        for queue in _queues(person, lanes.get(project.project_id, ()))
    ]


def _queues(person: Person, lanes: Sequence[str]) -> Sequence[str]:
    return lanes_for(lanes, person.languages, person.groups or (), person.role)
