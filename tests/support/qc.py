"""qc's handlers and jobs on a real PostgreSQL, without Kafka: batches come from the test."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry

from services.qc.domain.facts import Facts, facts_of, gold_cell
from services.qc.domain.fold import ItemKey
from services.qc.domain.item import ItemState
from services.qc.handlers import Handlers, QcEraser, rebuild_relabels
from services.qc.jobs import AgreementJobs, Doubts, GoldPlans, Jobs, Patterns, PeopleJobs, Reviews
from services.qc.metrics import Metrics
from services.qc.settings import QcSettings
from services.qc.store import ParameterCache, Store
from services.qc.store.rows import answer_of
from shared.bus.erasing import Erasing
from shared.bus.records import Received, Record, outgoing
from shared.bus.references import Naming, References
from shared.bus.unit import Unit
from shared.db.store import list_outbox
from shared.events import Event, Outcome
from shared.labels import SAME, Names
from shared.runtime.settings import KafkaSettings
from shared.topics import BY_NAME, ERASURES, GOLD_ANSWERS, GUIDELINES, PROJECTS, RELABELS, Topic
from tests.support import events as make


def received(topic: Topic[Any], event: Any, offset: int = 0) -> Received[Any]:
    out = outgoing(topic, event, source="test")
    return Received(event, Record(topic.name, 0, offset, out.key, out.value, out.headers, 0))


class Reference:
    """The reference topics in memory; an unknown key stays unknown without a broker."""

    def __init__(self, *specs: Any) -> None:
        self.references = References()
        self._offset = 0
        for table in (
            self.references.projects.table,
            self.references.guidelines.table,
            self.references.gold_answers.table,
        ):
            table.refresh = self._nothing_new  # type: ignore[method-assign]
        for spec in specs or (make.project_spec(),):
            self.publish(PROJECTS, make.project_version(spec=spec), make.project_pointer(project_id=spec.project))

    async def _nothing_new(self) -> None: ...

    def publish(self, topic: Topic[Any], *events: Event) -> None:
        tables: dict[str, Any] = {
            PROJECTS.name: self.references.projects.table,
            GUIDELINES.name: self.references.guidelines.table,
            GOLD_ANSWERS.name: self.references.gold_answers.table,
        }
        for event in events:
            self._offset += 1
            tables[topic.name].apply(received(topic, event, self._offset).record)


@dataclass
class Qc:
    """One replica on a database of its own."""

    pool: Any
    reference: Reference = field(default_factory=Reference)
    now: datetime = field(default_factory=lambda: make.at(1000))
    refused: list[tuple[str, str]] = field(default_factory=list)
    dead: int = 0
    catches_up: bool = False
    settings: QcSettings = field(
        default_factory=lambda: QcSettings(
            kafka=KafkaSettings(allow_insecure=True, security_protocol="PLAINTEXT"), snapshot_min_answers=1
        )
    )

    def __post_init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self.parameters = ParameterCache()

    @property
    def handlers(self) -> Handlers:
        catch_up = self.jobs.catch_up if self.catches_up else None
        return Handlers(self.reference.references, self.metrics, self.parameters, catch_up)

    @property
    def erasing(self) -> Erasing:
        return Erasing(QcEraser(self.reference.references.projects), self.unit)

    @property
    def jobs(self) -> Jobs:
        return Jobs(self.unit, self.reference.references, self.settings, self.metrics, self.parameters)

    @property
    def agreement(self) -> AgreementJobs:
        return AgreementJobs(self.unit, self.reference.references, self.settings, self.parameters)

    @property
    def people(self) -> PeopleJobs:
        return PeopleJobs(self.unit, self.reference.references, self.settings, self.parameters)

    @property
    def plans(self) -> GoldPlans:
        return GoldPlans(self.unit, self.reference.references, self.settings)

    @property
    def reviews(self) -> Reviews:
        return Reviews(self.unit, self.reference.references, self.settings, self.metrics)

    @property
    def doubts(self) -> Doubts:
        return Doubts(self.unit, self.reference.references, self.settings, self.metrics, self.parameters)

    @property
    def patterns(self) -> Patterns:
        return Patterns(self.unit, self.reference.references)

    @asynccontextmanager
    async def unit(self) -> AsyncGenerator[Unit]:
        async with self.pool.acquire() as connection, connection.transaction():
            unit = Unit("qc", connection, self.now)
            yield unit
            await unit.finish({})
            self.refused += [(topic, reason.value) for topic, reason in unit.refused.elements()]

    async def handle(self, topic: Topic[Any], events: Sequence[Any], handler: str | None = None) -> None:
        """One batch, one transaction."""
        name = handler or f"on_{topic.name.removesuffix('.v1')}"
        async with self.unit() as unit:
            owner: Any = self.erasing if topic is ERASURES else self.handlers
            handle = rebuild_relabels if topic is RELABELS else getattr(owner, name)
            await handle([received(topic, event, n) for n, event in enumerate(events)], unit)

    async def published(self, topic: Topic[Any] | None = None) -> list[Any]:
        """Every event in the outbox, dead letters apart."""
        async with self.pool.acquire() as connection:
            records = [record for _, several in await list_outbox(connection, 10_000) for record in several]
        own = [r for r in records if r.topic in BY_NAME and (topic is None or r.topic == topic.name)]
        return [BY_NAME[r.topic].event.validate_json(r.value or b"") for r in own]

    @property
    def names(self) -> Names:
        """Those of the one project that renames."""
        return self.reference.references.projects.names(make.PROJECT)

    async def stored(self) -> Facts:
        """The counts as stored, all projects of a test being one; in present names."""
        async with self.pool.acquire() as connection:
            return named_facts(await stored_counts(connection), self.names)

    async def recomputed(self) -> Facts:
        """The counts recomputed from the raw rows, in present names."""
        async with self.pool.acquire() as connection:
            return await recompute(connection, self.reference.references.projects.naming)


def named_facts(facts: Facts, names: Names) -> Facts:
    """Counts in present names, those of one name added up."""
    found = Facts(rounds=facts.rounds, pairs=facts.pairs, given=facts.given, skipped=facts.skipped)
    for theirs, ours in ((facts.answers, found.answers), (facts.weights, found.weights)):
        for (who, truth, answered, source), n in theirs.items():
            ours[who, names.symbol(truth), names.symbol(answered), source] += n
    found.answered.update(names.shares(facts.answered))
    found.labelled.update(names.shares(facts.labelled))
    return found.nonzero()


async def stored_counts(connection: Any) -> Facts:
    facts = Facts()
    for row in await connection.fetch("SELECT * FROM annotator_counts"):
        key = (row["annotator_id"], row["truth"], row["answered"], row["source"])
        facts.answers[key] += row["answers"]
        facts.weights[key] += row["weight"]
    for row in await connection.fetch("SELECT * FROM class_counts"):
        facts.answered[row["class"]] += row["answered"]
        facts.labelled[row["class"]] += row["labelled"]
    for row in await connection.fetch("SELECT * FROM agreement_counts"):
        facts.rounds[row["opinions"]] += row["rounds"]
        facts.pairs[row["opinions"]] += row["pairs"]
    for row in await connection.fetch("SELECT * FROM annotators"):
        facts.given[row["annotator_id"]] += row["given"]
        facts.skipped[row["annotator_id"]] += row["skipped"]
    return facts.nonzero()


async def recompute(connection: Any, naming: Naming) -> Facts:
    facts, symbol = Facts(), naming.get(make.PROJECT, SAME).symbol
    rows = await connection.fetch(
        "SELECT a.*, g.expected, g.correct FROM annotations a LEFT JOIN gold_results g USING (annotation_id)"
    )
    for row in rows:
        if row["gold"]:
            answer = answer_of(row, naming.get(row["project_id"], SAME))
            facts.given[row["annotator_id"] or ""] += answer.is_answer
            facts.skipped[row["annotator_id"] or ""] += answer.outcome is Outcome.SKIPPED
            if row["expected"] is not None:
                facts.add(gold_cell(answer, symbol(row["expected"]), correct=row["correct"]))
    async with connection.transaction():
        for item in (await _items(connection, naming)).values():
            facts.add(facts_of(item))
    return facts.nonzero()


async def _items(connection: Any, naming: Naming) -> dict[ItemKey, ItemState]:
    store = Store(connection, naming)
    keys = await connection.fetch("SELECT project_id, item_id FROM items")
    items = await store.claim_items((row["project_id"], row["item_id"]) for row in keys)
    await store.fill_rounds(items)
    await store.fill_answers(items)
    return items
