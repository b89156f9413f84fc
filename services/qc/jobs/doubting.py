"""Labels that the newest snapshot leaves short of their target are asked for again: one pass a snapshot, in a budget.

Those that nobody can be asked about are revised where another class is likelier by now.

A pass looks at the answers that the snapshot was fitted to, and at the labels of their items: pages of an index by
arrival and a few looks by key an item, so at a billion items it costs what it costs at a million. It locks only the
items whose labels it asks for.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime
from itertools import islice
from operator import attrgetter

import structlog

from services.qc.domain.doubt import Doubt, Prediction, Revision, Standpoint, chosen, doubted, revised, suspects
from services.qc.domain.fold import ItemKey, key_of, rounds_of
from services.qc.domain.item import ItemState
from services.qc.domain.outcomes import doubt_of, revision_of
from services.qc.domain.refresh import Given
from services.qc.domain.scale import Kind, scale_of
from services.qc.jobs.snapshots import SHORT_S
from services.qc.metrics import Metrics
from services.qc.settings import QcSettings
from services.qc.store import ParameterCache, Store
from shared.bus.references import CurrentProject, References
from shared.bus.unit import Unit
from shared.events import Relabel, RelabelCause
from shared.topics import RELABELS

log = structlog.get_logger(__name__)
OpenUnit = Callable[[], AbstractAsyncContextManager[Unit]]
CHUNK = 1000


class Doubts:
    """One replica at a time looks at a project. Interrupted, a pass begins anew: what was asked for is remembered."""

    def __init__(
        self,
        unit: OpenUnit,
        references: References,
        settings: QcSettings,
        metrics: Metrics,
        parameters: ParameterCache,
    ) -> None:
        self._unit = unit
        self._references = references
        self._settings = settings
        self._metrics = metrics
        self._parameters = parameters
        self._done: dict[str, int] = {}
        self._weighed: dict[str, int] = {}
        self._rests_until = 0.0

    async def reconsider(self) -> None:
        """A pass over each project that has a new snapshot; all of them take their share of one processor."""
        wanted = {one.project_id: one for one in self._references.projects.all() if _reconsiders(one)}
        if not wanted:
            return
        async with self._unit() as unit:
            growth = await Store(unit.connection).list_growth()
            numbers = await Store(unit.connection).get_latest(wanted)
        told = {name: (number, growth.get(name, (0, 0, None))) for name, number in numbers.items()}
        for name, (number, grown) in told.items():  # at rest too, and before a pass, which may take long
            self._tell(name, number, *grown)
        for name, (number, grown) in told.items():
            if time.monotonic() < self._rests_until:
                return
            if self._done.get(name) == number:
                continue
            started = time.monotonic()
            await self._pass(wanted[name], number)
            took = time.monotonic() - started
            if took > SHORT_S:
                self._rests_until = started + took / self._settings.snapshot_share
            self._tell(name, number, *grown)

    def _tell(self, name: str, number: int, given: int, known: int, _: datetime | None) -> None:
        """How many answers came since those of the newest snapshot that all labels were held against."""
        if self._done.get(name) == number:
            self._weighed[name] = known
        self._metrics.unweighed(name, given - self._weighed.get(name, 0))

    async def _pass(self, project: CurrentProject, number: int) -> None:
        name, budget = project.project_id, project.spec.policy.relabel.doubts_per_day
        async with self._unit() as unit:
            store, today = Store(unit.connection, self._references.projects.naming), unit.now.date()
            if not await store.lock_project(name, "doubts"):
                return
            search = (await store.lock_searches([name]))[name]
            if search.snapshot >= number:
                self._done[name] = number
                return
            most = min(search.left(budget, today), self._settings.review_max_items)
            if most == 0:
                return
            given = await store.list_given(name, self._settings.snapshot_answers)
            at = await self._standpoint(project, given, store)
            found = await self._find(name, given, at, most, store)
            if self._references.projects.naming is not store.naming:
                return  # a class was renamed at this moment
            items = await store.claim_items((name, item) for item in found)
            await _fill(items, store)
            before = rounds_of(items)
            asked = _asked(items, at, found, unit.now)
            for event in asked:
                items[key_of(event)].merge_relabel(event)
                unit.emit(RELABELS, event)
            await store.save_rounds({k: record for k, record in rounds_of(items).items() if before.get(k) != record})
            fresh = search.spent(len(asked), today)
            if len(found) < most:
                fresh = replace(fresh, snapshot=at.parameters.snapshot)
            await store.save_searches({name: fresh})
        self._count(name, asked, at.parameters.snapshot)

    def _count(self, name: str, asked: Sequence[Relabel], snapshot: int) -> None:
        revisions = sum(one.cause is RelabelCause.REVISION for one in asked)
        self._metrics.reopened(name, "snapshot", len(asked) - revisions)
        self._metrics.reopened(name, "revision", revisions)
        if asked:
            log.info("labels_doubted", project_id=name, snapshot=snapshot, labels=len(asked), revisions=revisions)

    async def _standpoint(self, project: CurrentProject, given: Iterable[Given], store: Store) -> Standpoint:
        name, spec, guidelines = project.project_id, project.spec, self._references.guidelines
        current = guidelines.current(name)
        versions = (guidelines.version(name, n) for n in range(1, current + 1))
        return Standpoint(
            parameters=(await self._parameters.latest([name], store))[name],
            scale=scale_of(spec.label),
            policy=spec.policy,
            costs=spec.cost,
            guideline=current,
            touched={one.version: frozenset(one.touched_classes) for one in versions if one is not None},
            excluded=(await store.list_quarantined([name]))[name],
            people=frozenset(one.annotator_id for one in given),
            since=await store.get_rebuilt(name),
        )

    async def _find(
        self, name: str, given: list[Given], at: Standpoint, most: int, store: Store
    ) -> Mapping[str, Prediction]:
        """The labels to ask for again, at most so many, the most doubtful first; each with its item's prediction."""
        given.sort(key=attrgetter("item_id"))
        standing = await store.list_standing(name, list(dict.fromkeys(one.item_id for one in given)), at.since)
        looked = await asyncio.to_thread(suspects, given, standing, at)
        found: dict[str, Doubt | Revision] = {}
        for start in range(0, len(looked), CHUNK):
            items = await store.get_items((name, item) for item in islice(looked, start, start + CHUNK))
            await _fill(items, store)
            found |= await asyncio.to_thread(_doubted, items, at, looked)
            if len(found) >= most:
                break
        return {item: looked[item] for item in chosen(found, most)}


def _reconsiders(project: CurrentProject) -> bool:
    spec = project.spec
    return spec.policy.relabel.doubts_per_day > 0 and scale_of(spec.label).kind in (Kind.CLOSED, Kind.OPEN)


async def _fill(items: Mapping[ItemKey, ItemState], store: Store) -> None:
    await store.fill_rounds(items)
    await store.fill_answers(items)


def _in_doubt(item: ItemState, at: Standpoint, prediction: Prediction) -> Doubt | Revision | None:
    return doubted(item, at, prediction) or revised(item, at, prediction)


def _asked(
    items: Mapping[ItemKey, ItemState], at: Standpoint, predictions: Mapping[str, Prediction], now: datetime
) -> Sequence[Relabel]:
    """What is to be asked for of these items, which are locked."""
    found = []
    for key, item in sorted(items.items()):
        doubt = _in_doubt(item, at, predictions[key[1]])
        if isinstance(doubt, Doubt):
            found.append(doubt_of(*key, doubt, at.parameters.snapshot, now=now))
        elif doubt is not None:
            found.append(revision_of(*key, doubt, at.parameters.snapshot, now=now))
    return found


def _doubted(
    items: Mapping[ItemKey, ItemState], at: Standpoint, predictions: Mapping[str, Prediction]
) -> dict[str, Doubt | Revision]:
    return {key[1]: doubt for key, item in items.items() if (doubt := _in_doubt(item, at, predictions[key[1]]))}
