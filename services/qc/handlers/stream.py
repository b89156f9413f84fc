"""What qc does with each topic's events: a fixed number of statements per batch."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from uuid import UUID

from services.qc.domain.conduct import Judged, judged_answers, newly_judged
from services.qc.domain.facts import Facts
from services.qc.domain.fold import Context, Folded, ItemKey, Version, fold, key_of, learn, rounds_of
from services.qc.domain.gold import Score, score_all
from services.qc.domain.item import Answer, ItemState
from services.qc.domain.outcomes import quarantine_of
from services.qc.domain.patterns import disputes_of
from services.qc.domain.scale import Kind
from services.qc.domain.trust import convicted, heard, limits, quarantine, told
from services.qc.handlers.expertise import publish_marked
from services.qc.handlers.reading import Reading, look_up, named, reading
from services.qc.handlers.watching import Fired, Watch
from services.qc.metrics import Metrics
from services.qc.store import Known, ParameterCache, Store
from shared.bus.records import Received
from shared.bus.references import Naming, References
from shared.bus.unit import Unit
from shared.errors import Reason, RetryLater
from shared.events import (
    Annotation,
    Escalation,
    GoldAnswer,
    GoldResult,
    Label,
    Outcome,
    Path,
    ProjectSpec,
    Quality,
    Quarantine,
)
from shared.labels import check_label, fits
from shared.topics import ESCALATIONS, LABELS, QUALITY

Batch = Sequence[Received[Annotation]]
CatchUp = Callable[[Iterable[str]], Awaitable[None]]


class Handlers:
    """The handlers of one replica.

    Args:
        references: projects, guidelines and gold answers.
        metrics: what is counted for Prometheus.
        parameters: the newest snapshot of each project.
        catch_up: takes a snapshot of projects where the newest knows too little to decide by; absent: decides anyway.
    """

    def __init__(
        self, references: References, metrics: Metrics, parameters: ParameterCache, catch_up: CatchUp | None = None
    ) -> None:
        self._references = references
        self._metrics = metrics
        self._parameters = parameters
        self._catch_up = catch_up
        self._watch = Watch(references.projects, metrics)

    async def on_annotations(self, batch: Batch, unit: Unit) -> None:
        """Answers, skips and ends of people's supply: facts first, then what they decide."""
        store, projects = Store(unit.connection), {r.event.project_id for r in batch}
        quarantined, doubled = await store.list_quarantined(projects), await store.list_overlaps(projects, unit.now)
        await look_up(self._references, (r.event for r in batch))
        read = reading(self._references, map(_version, batch), quarantined, doubled)
        valid = [received for received in named(batch, read.naming) if self._is_valid(received, read.contexts, unit)]
        store = Store(unit.connection, read.naming)
        known = await store.get_annotations(r.event.annotation_id for r in valid)
        stored = frozenset(known)
        fresh = [received for received in valid if not _is_misplaced(received, known, unit)]
        delta: dict[str, Facts] = defaultdict(Facts)
        new, judged = await self._on_answers([r for r in fresh if not r.event.gold], read, unit, delta)
        gold = [r for r in fresh if r.event.gold and r.event.annotation_id not in stored]
        scores = await self._on_gold(await _kept(gold, unit), read, unit, delta)
        await store.add_facts(delta)
        told = [
            Judged((r.event.project_id, r.event.annotator_id or ""), s.correct, gold=True)
            for r, s in scores
            if s.correct is not None
        ]
        fired = await self._watch.observe([*new, *(r.event for r, _ in scores)], [*judged, *told], unit)
        await self._weigh(scores, read.contexts, fired, unit)

    async def on_labels(self, batch: Sequence[Received[Label]], unit: Unit) -> None:
        """People's labels as facts: which one lives, which rounds are over.

        A label that assignment gave tells nothing here: nobody answered its round, and it judges no answer.
        """
        told = [received for received in batch if received.event.path is not Path.AUTO]
        await look_up(self._references, (r.event for r in told))
        read = reading(self._references, map(_version, told))
        known = []
        for received in told:
            if _version(received) in read.contexts:
                known.append(received.event)
            else:
                unit.reject(received.record, Reason.UNKNOWN_PROJECT, _no_project(received.event))
        scales = [(event, read.contexts[event.project_id, event.project_version].scale) for event in known]
        await self._learn([(event, scale.tolerance) for event, scale in scales], read.naming, unit)

    async def on_quality(self, batch: Sequence[Received[Quality]], unit: Unit) -> None:
        """What leads and experts decided, about people and about gold."""
        await publish_marked(batch, self._references.projects.naming, unit)
        await self._heed(batch, unit)

    async def _heed(self, batch: Sequence[Received[Quality]], unit: Unit) -> None:
        """Who was put in quarantine or reinstated by a lead; what qc said itself comes back and changes nothing."""
        await self._watch.remember([r.event for r in batch], unit)
        marks = [(r.event, m) for r in batch if isinstance(m := r.event.measurement, Quarantine)]
        if not marks:
            return
        store = Store(unit.connection)
        latest = await store.get_latest_seq()
        people = await store.claim_trust((event.project_id, mark.annotator_id) for event, mark in marks)
        for event, mark in marks:
            who = (event.project_id, mark.annotator_id)
            people[who] = told(people[who], active=mark.active, reason=mark.reason, at=event.measured_at, latest=latest)
        await store.save_trust(people)

    async def rebuild_labels(self, batch: Sequence[Received[Label]], unit: Unit) -> None:
        """Labels that an earlier database made: their rounds are over, and their snapshots' numbers are taken."""
        await self.on_labels(batch, unit)
        numbers = _highest((r.event.project_id, r.event.evidence.snapshot) for r in batch)
        await Store(unit.connection).save_numbers(numbers, now=unit.now)

    async def rebuild_escalations(self, batch: Sequence[Received[Escalation]], unit: Unit) -> None:
        """What an earlier database asked for: it is not asked again."""
        store = Store(unit.connection)
        await self._learn([(received.event, 0.0) for received in batch], self._references.projects.naming, unit)
        numbers = _highest((r.event.project_id, r.event.snapshot) for r in batch)
        await store.save_numbers(numbers, now=unit.now)

    async def rebuild_quality(self, batch: Sequence[Received[Quality]], unit: Unit) -> None:
        """Gold results and quarantines that an earlier database published: they are not published again."""
        store = Store(unit.connection)
        told = [(r.event.project_id, r.event.measurement) for r in batch]
        own = [((project, one.gold_item_id), one) for project, one in told if isinstance(one, GoldResult)]
        erased = await store.list_erased(key for key, _ in own) if own else set()
        await store.save_gold_published((one.annotation_id, one.expected) for key, one in own if key not in erased)
        await self._heed(batch, unit)

    def _is_valid(self, received: Received[Annotation], contexts: Mapping[Version, Context], unit: Unit) -> bool:
        """Whether an annotation fits its round's project version; else it goes to the dead letters."""
        event = received.event
        spec = self._references.projects.spec(event.project_id, event.project_version)
        if spec is None or (event.project_id, event.project_version) not in contexts:
            unit.reject(received.record, Reason.UNKNOWN_PROJECT, _no_project(event))
            return False
        try:
            if event.value is not None:
                check_label(event.value, spec.label)
        except ValueError as error:
            unit.reject(received.record, Reason.UNKNOWN_LABEL, f"value.{error}")
            return False
        return True

    async def _on_answers(
        self, batch: Batch, read: Reading, unit: Unit, delta: dict[str, Facts]
    ) -> tuple[list[Annotation], list[Judged]]:
        """Fold answers over their items; those that are new, and answers that a label judges from now on."""
        if not batch:
            return [], []
        store, events = Store(unit.connection, read.naming), [received.event for received in batch]
        if self._catch_up is not None:
            await self._catch_up({event.project_id for event in events})
        items = await self._claim((key_of(event) for event in events), store)
        await self._agree_on_names(events, items, read)
        rounds = rounds_of(items)
        parameters = await self._parameters.latest({event.project_id for event in events}, store)
        labels, before = {key: item.label for key, item in items.items()}, judged_answers(items)
        folded = await asyncio.to_thread(fold, items, events, read.contexts, parameters, now=unit.now)
        for place in folded.conflicts:
            unit.reject(batch[place].record, Reason.ID_CONFLICT, _CONFLICT)
        await store.save_annotations([events[place] for place in folded.new], folded.corrections)
        self._parameters.took_in([events[place].project_id for place in folded.new])
        await store.save_rounds({k: v for k, v in rounds_of(items).items() if rounds.get(k) != v})
        await store.save_labels({k: i.label for k, i in items.items() if i.label is not None and i.label != labels[k]})
        for project, facts in folded.delta.items():
            delta[project].add(facts)
        await store.save_disputes(disputes_of(items, before))
        self._publish(folded, batch, unit)
        return [events[place] for place in folded.new], list(newly_judged(items, map(key_of, events), before))

    def _publish(self, folded: Folded, batch: Batch, unit: Unit) -> None:
        for place, event in folded.decided:
            if isinstance(event, Label):
                unit.emit(LABELS, event, cause=batch[place].record)
                self._metrics.label(event)
            else:
                unit.emit(ESCALATIONS, event, cause=batch[place].record)
                self._metrics.escalation(event)
        self._metrics.annotations(batch[place].event for place in folded.new)

    async def _on_gold(
        self, batch: Batch, read: Reading, unit: Unit, delta: dict[str, Facts]
    ) -> list[tuple[Received[Annotation], Score]]:
        """Score answers to gold items; one whose gold answer is unknown is scored by the job when it arrives."""
        events = {received.event.annotation_id: received for received in batch}
        if not events:
            return []
        golden = self._references.gold_answers
        await golden.known(key_of(received.event) for received in events.values())
        store = Store(unit.connection, read.naming)
        published = await store.get_gold_published({key: one.event.project_id for key, one in events.items()})
        told = named(list(events.values()), self._references.projects.naming)  # those of the gold answers
        given = []
        for received in told:
            event, scale = received.event, read.contexts[_version(received)].scale
            answer, spec = golden.get(*key_of(event)), self._references.projects.spec(*_version(received))
            given.append((key_of(event), Answer.of(event), answer if _fits(answer, spec) else None, scale))
        scores = list(zip(told, await asyncio.to_thread(score_all, given, unit.now), strict=True))
        for received, result in scores:
            delta[received.event.project_id].add(result.delta)
        await store.save_annotations([received.event for received, _ in scores])
        await store.save_gold_results(
            [
                (r.event.annotation_id, *key_of(r.event), s.expected, s.correct)
                for r, s in scores
                if r.event.outcome is Outcome.ANSWERED
            ]
        )
        for received, result in scores:
            if result.event is not None and (received.event.annotation_id, result.expected) not in published:
                unit.emit(QUALITY, result.event, cause=received.record)
                self._metrics.gold(received.event.project_id, correct=bool(result.correct))
        self._metrics.annotations(received.event for received, _ in scores)
        return scores

    async def _weigh(
        self,
        scores: Sequence[tuple[Received[Annotation], Score]],
        contexts: Mapping[Version, Context],
        fired: Fired,
        unit: Unit,
    ) -> None:
        """Each result is evidence for or against who gave it; enough of it is a quarantine. So are some rules."""
        judged = [(received, score.correct) for received, score in scores if score.correct is not None]
        store = Store(unit.connection)
        people = await store.claim_trust(
            [*((r.event.project_id, r.event.annotator_id or "") for r, _ in judged), *(who for who, _ in fired)]
        )
        for received, correct in judged:
            event = received.event
            who = (event.project_id, event.annotator_id or "")
            rules = limits(event.policy.gold, contexts[event.project_id, event.project_version].scale)
            people[who] = heard(people[who], rules, correct=correct)
            if convicted(people[who], rules):
                people[who] = quarantine(people[who], rules, unit.now)
                told_all = quarantine_of(*who, people[who].reason, cause=f"gold:{event.annotation_id}", now=unit.now)
                unit.emit(QUALITY, told_all, cause=received.record)
                self._metrics.quarantine(event.project_id)
        self._watch.condemn(people, fired, unit)
        await store.save_trust(people)

    async def _learn(self, told: Sequence[tuple[Label | Escalation, float]], naming: Naming, unit: Unit) -> None:
        """Fold facts into their items."""
        if not told:
            return
        store = Store(unit.connection, naming)
        items = await self._claim((key_of(event) for event, _ in told), store)
        rounds, labels = rounds_of(items), {key: item.label for key, item in items.items()}
        before = judged_answers(items)
        delta = await asyncio.to_thread(learn, items, [(key_of(event), event, t) for event, t in told], naming)
        await store.save_rounds({k: v for k, v in rounds_of(items).items() if rounds.get(k) != v})
        await store.save_labels({k: i.label for k, i in items.items() if i.label is not None and i.label != labels[k]})
        await store.add_facts(delta)
        fired = await self._watch.observe(
            [], list(newly_judged(items, (key_of(event) for event, _ in told), before)), unit
        )
        await self._weigh((), {}, fired, unit)

    async def _agree_on_names(
        self, events: Sequence[Annotation], items: Mapping[ItemKey, ItemState], read: Reading
    ) -> None:
        """Another replica may know of a rename already, and its answers have names that this one does not know.

        Raises:
            RetryLater: so it was; from now on they are known.
        """
        if any(
            _is_strange(event, items[key_of(event)], read.contexts[event.project_id, event.project_version])
            for event in events
        ):
            await self._references.projects.table.refresh()
            if self._references.projects.naming != read.naming:
                raise RetryLater("a class was renamed at this moment")

    async def _claim(self, keys: Iterable[ItemKey], store: Store) -> dict[ItemKey, ItemState]:
        """Lock items and read all that is known of them."""
        items = await store.claim_items(keys)
        await store.fill_rounds(items)
        await store.fill_answers(items)
        return items


_CONFLICT = "annotation_id: known with other content, or its annotator has answered this item already; the first stands"


def _no_project(event: Annotation | Label) -> str:
    return (
        f"project_id: there is no version {event.project_version} of project {event.project_id!r};"
        " apply it, then replay"
    )


def _is_misplaced(received: Received[Annotation], known: dict[UUID, Known], unit: Unit) -> bool:
    """Whether an annotation's id, stored or earlier in the batch, is that of another one; it is refused."""
    event = received.event
    answer = Answer.of(event)
    where, before, gold = known.setdefault(event.annotation_id, (key_of(event), answer, event.gold))
    if where == key_of(event) and gold == event.gold and before.is_same(answer):
        return False
    unit.reject(received.record, Reason.ID_CONFLICT, _CONFLICT)
    return True


async def _kept(gold: Batch, unit: Unit) -> Batch:
    """Answers to gold items that were not erased."""
    if not gold:
        return gold
    erased = await Store(unit.connection).list_erased(key_of(received.event) for received in gold)
    return [received for received in gold if key_of(received.event) not in erased]


def _version(received: Received[Annotation] | Received[Label]) -> Version:
    return received.event.project_id, received.event.project_version


def _is_strange(event: Annotation, item: ItemState, context: Context) -> bool:
    """Whether an answer of the same round is of no class: rounds outlive no class, so its name is a new one."""
    return context.scale.kind is Kind.CLOSED and any(
        answer.is_answer and answer.round == event.round and answer.symbol not in context.scale.classes
        for answer in item.answers.values()
    )


def _highest(numbers: Iterable[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for project, number in numbers:
        found[project] = max(number, found.get(project, 0))
    return found


def _fits(answer: GoldAnswer | None, spec: ProjectSpec | None) -> bool:
    """Whether a known answer is one that people may give: its class may be gone."""
    return answer is not None and spec is not None and fits(answer.value, spec.label)
