"""What assignment does with each topic: facts folded, decisions made, a fixed number of statements per batch."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from services.assignment.domain.aggregate import ERASED_CONTENT, Aggregate
from services.assignment.domain.decide import LAST_ROUND, MAX_ROUNDS, Context, Said, step
from services.assignment.domain.draws import draws_of
from services.assignment.domain.facts import Escalated, Fact, ItemSeen, Labelled, Predicted, Relabelled
from services.assignment.domain.guess import Guess
from services.assignment.domain.lanes import language_of
from services.assignment.domain.routing import Standing
from services.assignment.domain.sketch import sketches_of
from services.assignment.handlers.deciding import context_of, no_project, publish_all, standing
from services.assignment.handlers.measured import keep, keep_certificates
from services.assignment.handlers.outlook import Outlook
from services.assignment.metrics import AssignmentMetrics
from services.assignment.store.aggregates import load, save, with_rounds
from services.assignment.store.items import (
    NewItem,
    add_tallies,
    fill_items,
    get_hashes,
    insert_items,
    lock_items,
    mark_came,
)
from services.assignment.store.people import set_quarantines
from services.assignment.store.rows import Key
from shared.bus.records import Received, Record
from shared.bus.references import CurrentProject, References
from shared.bus.unit import Unit
from shared.errors import Reason
from shared.events import (
    Audience,
    Escalation,
    Item,
    ItemEvent,
    Label,
    Path,
    Prediction,
    ProjectSpec,
    Quality,
    Quarantine,
    Relabel,
    RelabelCause,
    content_hash,
    in_present_names,
)
from shared.labels import ChoiceSchema, check_label, class_set

E = TypeVar("E", bound=ItemEvent)
Cause = tuple[Key, Fact, Record]

LARGE = 100
UNASKED = (RelabelCause.RENAME, RelabelCause.REVISION)
"""Whose rounds nobody is asked in."""
DUPLICATES = "duplicates"
"""The tally of items that came again."""


class Handlers:
    """The handlers of one replica."""

    def __init__(self, references: References, metrics: AssignmentMetrics) -> None:
        self._references = references
        self._metrics = metrics
        self.outlook = Outlook(references)

    async def on_items(self, batch: Sequence[Received[Item]], unit: Unit) -> None:
        """New items wait for their prediction; one whose prediction came first is routed at once."""
        projects = await self._references.projects.known(received.event.project_id for received in batch)
        arrived = await self._admit(batch, unit, projects)
        first: dict[Key, NewItem] = {}
        for item, _ in arrived:
            first.setdefault(item.key, item)
        new = await insert_items(unit.connection, list(first.values()))
        for (project_id, _), number in Counter((key[0], "") for key in new).items():
            self._metrics.items.labels(project_id, "new").inc(number)
        known = [(item, record) for item, record in arrived if item.key not in new or item is not first[item.key]]
        again = await self._meet(known, {key: first[key].content_hash for key in new}, unit)
        if again:
            repeated = Counter((project_id, DUPLICATES) for project_id in again)
            await add_tallies(unit.connection, repeated)
            for (project_id, _), number in repeated.items():
                self._metrics.items.labels(project_id, "duplicate").inc(number)

    async def on_predictions(self, batch: Sequence[Received[Prediction]], unit: Unit) -> None:
        """The first prediction routes its item; a later one may move it in the queue."""
        known = await self._of_projects(batch, unit)
        facts: list[Cause] = []
        judged = [self._judge(received) for received, _ in known]
        if any(wrong is not None for _, wrong in judged):  # a class may be newer than what is known here
            await self._references.projects.table.refresh()
            judged = [self._judge(received) for received, _ in known]
        for (received, _), (event, wrong) in zip(known, judged, strict=True):
            if wrong is None:
                facts.append((_key(event), Predicted(Guess.of(event)), received.record))
            else:
                unit.reject(received.record, Reason.UNKNOWN_LABEL, wrong)
        await self._advance(facts, unit)

    async def on_escalations(self, batch: Sequence[Received[Escalation]], unit: Unit) -> None:
        """The open round wants more, or ends without a label."""
        known = await self._of_projects(batch, unit)
        await self._advance([(_key(r.event), _escalated(r.event), r.record) for r, _ in known], unit)

    async def on_labels(self, batch: Sequence[Received[Label]], unit: Unit) -> None:
        """Labels of people's rounds end them. Those that assignment gave itself are known; a rebuild reads them."""
        told = [received for received in batch if received.event.path is not Path.AUTO]
        known = await self._of_projects(told, unit)
        await self._advance([(_key(r.event), Labelled(r.event.version), r.record) for r, _ in known], unit)

    async def on_relabels(self, batch: Sequence[Received[Relabel]], unit: Unit) -> None:
        """A doubted label opens the next round, now or when its own has ended."""
        known = await self._of_projects(batch, unit)
        facts = []
        for received, _ in known:
            if received.event.round >= self._last_round(received.event):
                self._metrics.relabels_refused.labels(received.event.project_id).inc()
            else:
                facts.append((_key(received.event), _relabelled(received.event), received.record))
        await self._advance(facts, unit)

    async def on_quality(self, batch: Sequence[Received[Quality]], unit: Unit) -> None:
        """Who is in quarantine is not asked; certificates are obeyed; what was measured is kept for leads."""
        await keep(batch, unit)
        await keep_certificates(batch, unit)
        marks = [
            (q.project_id, m.annotator_id, m.active, m.reason, q.measured_at)
            for q, m in ((received.event, received.event.measurement) for received in batch)
            if isinstance(m, Quarantine)
        ]
        if marks:
            await set_quarantines(unit.connection, marks)

    def _last_round(self, event: Relabel) -> int:
        """The last that a request may open; in which rounds of the item nobody was asked its own state says."""
        if event.cause in UNASKED:
            return LAST_ROUND
        return MAX_ROUNDS + len(self._references.projects.names(event.project_id).present)

    def _judge(self, received: Received[Prediction]) -> tuple[Prediction, str | None]:
        """A prediction in present names, and what is wrong with it."""
        projects, name = self._references.projects, received.event.project_id
        event, project = in_present_names(received.event, projects.names(name)), projects.current(name)
        return event, None if project is None else _misfit(event, project)

    async def _admit(
        self, batch: Sequence[Received[Item]], unit: Unit, projects: Mapping[str, CurrentProject]
    ) -> list[tuple[NewItem, Record]]:
        """What may come in, in order; where contents are to be compared, they are sketched in a thread."""
        arrived = []
        for received in batch:
            item, project = received.event, projects.get(received.event.project_id)
            if project is None:
                unit.reject(received.record, Reason.UNKNOWN_PROJECT, no_project(item.project_id))
            elif item.content.kind != project.spec.data:
                detail = (
                    f"the content is {item.content.kind!r}, project {item.project_id!r} takes {project.spec.data!r}"
                )
                unit.reject(received.record, Reason.CONTENT_KIND, detail)
            else:
                arrived.append((item, project.spec, received.record))
        if any(project.spec.looks_around for project in projects.values()):
            return await asyncio.to_thread(_new_items, arrived)
        return _new_items(arrived)

    async def _meet(
        self, met: Sequence[tuple[NewItem, Record]], hashes: dict[Key, str | None], unit: Unit
    ) -> list[str]:
        """Items that came before, in another batch or (`hashes`) in this one. Returns the projects of the same.

        Content never changes once it is there, so only parked rows are locked: this transaction holds rows that it has
        inserted, and the predictions of repeated items, just now in another one, may wait for those.
        """
        if earlier := {new.key for new, _ in met} - hashes.keys():
            hashes |= await get_hashes(unit.connection, earlier)
        empty = [key for key, stored in hashes.items() if stored is None]
        before = await with_rounds(unit.connection, await lock_items(unit.connection, empty)) if empty else {}
        hashes |= {key: one.content_hash for key, one in before.items()}
        again, gone, parked, facts = [], [], [], []
        for new, record in met:
            stored = hashes[new.key]
            if stored is None and before[new.key].erased:
                hashes[new.key] = ERASED_CONTENT
                gone.append(new.key)
            elif stored is None:
                hashes[new.key] = new.content_hash
                parked.append(new)
                facts.append((new.key, _seen(new), record))
            elif stored in (new.content_hash, ERASED_CONTENT):
                again.append(new.key[0])
            else:
                unit.reject(record, Reason.ID_CONFLICT, _conflict(new.key[1]))
        if gone:
            await mark_came(unit.connection, gone)
        if parked:
            await fill_items(unit.connection, parked)
            await self._step(before, facts, unit)
            for new in parked:
                self._metrics.items.labels(new.key[0], "parked").inc()
        return again

    async def _advance(self, facts: Sequence[Cause], unit: Unit) -> None:
        if facts:
            before = await load(unit.connection, (key for key, _, _ in facts))
            await self._step(before, facts, unit)

    async def _step(self, before: Mapping[Key, Aggregate], facts: Sequence[Cause], unit: Unit) -> None:
        """Fold facts in offset order, decide, publish, save; a large batch in a thread, for people are waiting."""
        projects = {key[0] for key, _, _ in facts}
        certificates = await standing(self._references, projects, unit)
        await self.outlook.refresh(projects, unit)
        if len(facts) > LARGE:
            after = await asyncio.to_thread(self._decide, before, facts, certificates, unit)
        else:
            after = self._decide(before, facts, certificates, unit)
        await save(unit.connection, before, after)

    def _decide(
        self,
        before: Mapping[Key, Aggregate],
        facts: Sequence[Cause],
        certificates: Mapping[str, Standing],
        unit: Unit,
    ) -> dict[Key, Aggregate]:
        after = dict(before)
        contexts: dict[str, Context] = {}
        told: list[tuple[Said, Record | None]] = []
        for key, fact, record in facts:
            if key[0] not in contexts:
                contexts[key[0]] = context_of(self._references, key[0], unit, certificates, self.outlook)
            after[key], said = step(after[key], fact, contexts[key[0]], draws_of(*key))
            told += [(event, record) for event in said]
        publish_all(told, unit, self._metrics)
        return after

    async def _of_projects(self, batch: Sequence[Received[E]], unit: Unit) -> list[tuple[Received[E], CurrentProject]]:
        """The events of known projects; the others are refused."""
        projects = await self._references.projects.known(received.event.project_id for received in batch)
        known = []
        for received in batch:
            project = projects.get(received.event.project_id)
            if project is None:
                unit.reject(received.record, Reason.UNKNOWN_PROJECT, no_project(received.event.project_id))
            else:
                known.append((received, project))
        return known


def _key(event: ItemEvent) -> Key:
    return event.project_id, event.item_id


def _new_items(arrived: Sequence[tuple[Item, ProjectSpec, Record]]) -> list[tuple[NewItem, Record]]:
    made = [_new_item(item, spec) for item, spec, _ in arrived]
    asking = [place for place, (_, spec, _) in enumerate(arrived) if _looks_around(spec, made[place].slice)]
    for place, sketch in zip(asking, sketches_of([arrived[place][0].content for place in asking]), strict=True):
        made[place] = replace(made[place], sketch=sketch)
    return [(one, record) for one, (_, _, record) in zip(made, arrived, strict=True)]


def _looks_around(spec: ProjectSpec, own: str | None) -> bool:
    order = spec.policy_of(own).order
    return order is not None and order.looks_around


def _new_item(item: Item, spec: ProjectSpec) -> NewItem:
    content: bytes = item.content.__pydantic_serializer__.to_json(item.content, exclude_none=True)
    source = item.origin.source if item.origin is not None else None
    own = spec.slice_of(item.metadata, source) if spec.slices else None
    return NewItem(
        _key(item),
        content_hash(item.content),
        content.decode(),
        item.created_at,
        slice=own,
        language=language_of(item.metadata.get("language")),
    )


def _seen(new: NewItem) -> ItemSeen:
    return ItemSeen(new.content_hash, new.created_at, new.slice, new.language, new.sketch)


def _misfit(prediction: Prediction, project: CurrentProject) -> str | None:
    """What is wrong with a proposal under the project's label schema."""
    schema = project.spec.label
    if prediction.value is None:
        return None
    try:
        check_label(prediction.value, schema)
    except ValueError as error:
        return f"value.{error}"
    if isinstance(schema, ChoiceSchema) and prediction.distribution is not None:
        unknown = prediction.distribution.keys() - class_set(schema.classes)
        if unknown:
            return f"distribution: {min(unknown)!r} is not a class of the project (it has {len(schema.classes)})"
    return None


def _escalated(event: Escalation) -> Escalated:
    return Escalated(event.round, event.ask, event.opinions_wanted, event.reason)


def _relabelled(event: Relabel) -> Relabelled:
    reason = f"{event.cause.value}: {event.evidence}" if event.evidence else event.cause.value
    rename = event.cause is RelabelCause.RENAME
    excluded = frozenset(event.excluded_annotators)
    expert = event.audience is Audience.EXPERT
    revise = event.cause is RelabelCause.REVISION
    return Relabelled(event.round, event.urgency, reason, excluded, rename, event.opinions, expert, revise)


def _conflict(item_id: str) -> str:
    return f"item {item_id!r} is known with other content; the first stands. Give the new content an id of its own"
