"""Items that wait while a certificate comes: what it covers is accepted without a person, where nobody has begun it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from services.assignment.domain.decide import certified
from services.assignment.domain.draws import draws_of
from services.assignment.domain.routing import Standing
from services.assignment.handlers.deciding import context_of, publish, standing
from services.assignment.metrics import AssignmentMetrics
from services.assignment.settings import AssignmentSettings
from services.assignment.store.aggregates import save, with_rounds
from services.assignment.store.items import lock_items
from services.assignment.store.rounds import list_certifiable
from services.assignment.store.rows import Key
from shared.runtime.service import Service

log = structlog.get_logger(__name__)
WINDOW = 4


@dataclass(frozen=True, slots=True)
class Applied:
    """What was accepted when the waiting rounds were gone through: of which model, each class from which confidence."""

    generation: int
    limits: Mapping[str, float]


class Accepting:
    """Goes once over the waiting rounds for each certificate that covers more than the one before it.

    A run reads one window without locks and locks what may be accepted, a chunk at a time: its cost does not depend on
    how many rounds wait. Every replica does it; the second finds it done.
    """

    def __init__(self, service: Service, settings: AssignmentSettings, metrics: AssignmentMetrics) -> None:
        self._service = service
        self._references = service.references
        self._metrics = metrics
        self._chunk = settings.job_chunk_rows
        self._done: dict[str, Applied] = {}
        self._after: dict[str, int] = {}

    async def accept(self) -> None:
        """A window of each project that has a certificate to be applied."""
        names = [one.project_id for one in self._references.projects.all() if one.spec.guaranteed is not None]
        if not names:
            return
        async with self._service.unit() as unit:
            found = await standing(self._references, names, unit)
            now = unit.now
        for name, one in found.items():
            lowest = one.lowest(now)
            if lowest is None:
                self._done.pop(name, None)  # the next one is news, whatever it says
                self._after.pop(name, None)
            elif self._is_news(name, one, now):
                await self._window(name, one, lowest, _covered(one, now))

    def _is_news(self, name: str, one: Standing, now: datetime) -> bool:
        """Whether it accepts something that was not accepted all the time since a certificate was applied last."""
        done = self._done.get(name)
        if done is None or one.generation > done.generation:
            return True
        covered = _covered(one, now)
        news = any(covered.get(symbol, covered[""]) < limit for symbol, limit in done.limits.items())
        news = news or any(limit < done.limits.get(symbol, done.limits[""]) for symbol, limit in covered.items())
        if not news:
            self._done[name] = Applied(one.generation, covered)
        return news

    async def _window(self, name: str, one: Standing, lowest: float, limits: Mapping[str, float]) -> None:
        async with self._service.unit() as unit:
            after = self._after.get(name, 0)
            keys, further = await list_certifiable(
                unit.connection, name, one.generation, lowest, after=after, limit=WINDOW * self._chunk
            )
        accepted = 0
        for first in range(0, len(keys), self._chunk):
            accepted += await self._accept(name, keys[first : first + self._chunk])
        if accepted:
            log.info("certified_while_waiting", project_id=name, items=accepted, generation=one.generation)
        if further is None:
            self._done[name] = Applied(one.generation, limits)
            self._after.pop(name, None)
        else:
            self._after[name] = further

    async def _accept(self, name: str, keys: Sequence[Key]) -> int:
        """The certificate is read again with the rows locked: it may have been withdrawn."""
        async with self._service.unit() as unit:
            before = await with_rounds(unit.connection, await lock_items(unit.connection, keys))
            held = await standing(self._references, [name], unit)
            context = context_of(self._references, name, unit, held)
            after, accepted = dict(before), 0
            for key, known in before.items():
                after[key], said = certified(known, context, draws_of(*key))
                accepted += len(said)
                publish(said, unit, self._metrics)
            await save(unit.connection, before, after)
        return accepted


def _covered(standing: Standing, now: datetime) -> dict[str, float]:
    """The confidence from which each class is accepted, all others under ""; 2: it is not."""
    terms = {"": standing.pooled, **standing.classes}
    return {name: one.threshold if one.threshold is not None and one.hold(now) else 2.0 for name, one in terms.items()}
