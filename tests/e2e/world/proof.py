"""The proof, once everything is at rest: what the outside was promised is what topics and databases hold.

The audit proves the deployment against itself; the rest proves it against the ledger of the outside.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from cli.audit import Report, audit
from cli.audit.checks import CHECKS
from shared.bus.deadletter import REASON, original
from shared.bus.reader import read_all
from shared.bus.records import Received, Record, header
from shared.bus.validate import decode
from shared.events import Annotation, Event, FeaturesContent, Label, Outcome, Prediction, Route
from shared.labels import Choice
from shared.topics import ANNOTATIONS, LABELS, PREDICTIONS, ROUTES, TOPICS, Topic
from tests.e2e.world.ledger import SEQUENCE
from tests.e2e.world.people import answer_of
from tests.e2e.world.plan import FRACTIONS, ROWS, distribution_of
from tests.e2e.world.world import GOLD, Broken, World

if TYPE_CHECKING:
    from tests.e2e.world.ledger import Ledger

E = TypeVar("E", bound=Event)
TRIES = 4
AGAIN_S = 1.5
CLOSE = 1e-4
LOST = frozenset({
    "lost_item", "lost_annotation", "submit_lost", "opinion_not_counted", "label_not_taken_in", "label_not_counted",
    "labelled_without_label", "missing_dead_letter", "item unknown", "answer not in topic", "poison without letter",
    "record not in topic",
})  # fmt: skip
DOUBLED = frozenset({
    "answered_twice", "annotation_changed", "double_label", "opinion_counted_twice", "overlap_exceeded",
    "answer without receipt", "phantom_annotation", "phantom_opinion", "wrong_counter",
})  # fmt: skip
"""Which checks say that something is missing, and which that something is there too often; see `Proof`."""
AT_REST = frozenset(check.name for check in CHECKS if check.at_rest)


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation."""

    check: str
    detail: str
    item: str | None = None
    history: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Proof:
    """What a run came to, proven or not."""

    report: Report
    findings: Sequence[Finding]
    items: int
    submits: int
    poison: int
    by_check: Counter[str]
    topics: "Topics"

    @property
    def lost(self) -> int:
        return sum(n for check, n in self.by_check.items() if check in LOST)

    @property
    def doubled(self) -> int:
        return sum(n for check, n in self.by_check.items() if check in DOUBLED)


async def prove(world: World) -> Proof:
    """Prove that every promise held.

    Raises:
        Broken: one did not; says which, with the item's history, the seed and the faults.
    """
    proof = await examine(world)
    if proof.findings:
        world.broken = True
        first = proof.findings[0]
        lines = [f"{first.check}: {first.detail}", *(f"  {line}" for line in first.history)]
        if first.item is not None and not first.history:
            lines.append(f"  assignment: {await world.history(first.item)}")
        counts = ", ".join(f"{check} {n}" for check, n in sorted(proof.by_check.items()))
        raise Broken(world.story("\n".join([f"violations: {counts}", *lines])))
    return proof


async def examine(world: World) -> Proof:
    """As `prove`, and raises nothing."""
    report = await _audit(world)
    topics = await Topics.read(world)
    found = [
        *(Finding("breach", what) for what in world.ledger.breaches),
        *(Finding("unsettled", f"{who} has no answer for {lease}") for lease, who in world.ledger.unsettled.items()),
        *await _items(world),
        *_answers(world.ledger, topics),
        *_said(world, topics),
        *_letters(world.ledger, topics),
        *_models(world.ledger, topics),
        *_order(topics),
    ]
    counted = Counter(one.check for one in found) + Counter(report.by_check)
    audited = [Finding(v.check, v.detail, v.item, v.history) for v in report.found]
    items, poison = len(world.ledger.items()), len(world.ledger.poison())
    return Proof(report, [*audited, *found], items, len(world.ledger.receipts), poison, counted, topics)


async def _audit(world: World) -> Report:
    """Quality events come by the clock, so "read to the end" may need another look; nothing else gets one."""
    submitted = [one.annotation_id for one in world.ledger.receipts.values()]
    for _ in range(TRIES - 1):
        report = await audit(world.stack.kafka, world.stack.database_urls, at_rest=True, submitted=submitted)
        if not report.by_check or not report.by_check.keys() <= AT_REST:
            return report
        await asyncio.sleep(AGAIN_S)
    return await audit(world.stack.kafka, world.stack.database_urls, at_rest=True, submitted=submitted)


@dataclass(frozen=True, slots=True)
class Topics:
    """What the topics hold at the end, decoded once.

    Attributes:
        places: sequence of the ledger -> the records in the source topics that carry it.
        letters: (source topic, partition, offset) -> the dead letters of that record.
    """

    annotations: Sequence[Annotation]
    labels: Sequence[Label]
    routes: Sequence[tuple[Record, Route]]
    predictions: Sequence[tuple[Record, Prediction]]
    places: dict[int, list[Record]]
    letters: dict[tuple[str, int, int], list[Record]]

    @classmethod
    async def read(cls, world: World) -> "Topics":
        kafka = world.stack.kafka
        judged = [topic for topic in TOPICS if topic.dlq_owner is not None]
        async with asyncio.TaskGroup() as group:
            reading = {
                name: group.create_task(read_all(kafka, name)) for topic in judged for name in (topic.name, topic.dlq)
            }
        records = {name: task.result() for name, task in reading.items()}
        places: dict[int, list[Record]] = defaultdict(list)
        letters: dict[tuple[str, int, int], list[Record]] = defaultdict(list)
        for topic in judged:
            for record in records[topic.name]:
                if (sequence := header(record.headers, SEQUENCE)) is not None:
                    places[int(sequence)].append(record)
            for letter in records[topic.dlq]:
                source = original(letter)
                letters[source.topic, source.partition, source.offset].append(letter)
        return cls(
            [event for _, event in _events(ANNOTATIONS, records, Annotation)],
            [event for _, event in _events(LABELS, records, Label)],
            _events(ROUTES, records, Route),
            _events(PREDICTIONS, records, Prediction),
            places,
            letters,
        )


def _events(topic: Topic[E], records: dict[str, list[Record]], kind: type[E]) -> list[tuple[Record, E]]:
    judged = (decode(topic, record, max_bytes=2**31) for record in records[topic.name])
    return [(one.record, one.event) for one in judged if isinstance(one, Received) and isinstance(one.event, kind)]


async def _items(world: World) -> Iterator[Finding]:
    """Ledger items are the items known, with the content that was sent first."""
    rows = await world.rows("SELECT item_id, content_hash FROM assignment.items WHERE content_hash IS NOT NULL")
    known, sent = {row["item_id"]: row["content_hash"] for row in rows}, world.ledger.items()
    return iter([
        *(Finding("item unknown", f"{item} was acknowledged", item) for item in sent.keys() - known.keys()),
        *(Finding("item from nowhere", f"{item} was never sent", item) for item in known.keys() - sent.keys()),
        *(
            Finding("item changed", f"{item} has other content than was sent", item)
            for item in known.keys() & sent.keys()
            if known[item] != sent[item]
        ),
    ])  # fmt: skip


def _answers(ledger: "Ledger", topics: Topics) -> Iterator[Finding]:
    """Accepted answers are the annotations, each once."""
    receipts = {one.annotation_id: one for one in ledger.receipts.values()}
    if len(receipts) < len(ledger.receipts):
        yield Finding("answered_twice", f"{len(ledger.receipts)} leases gave {len(receipts)} annotations")
    held = {one.annotation_id: one for one in topics.annotations if one.outcome is not Outcome.EXHAUSTED}
    for lost in receipts.keys() - held.keys():
        yield Finding("answer not in topic", f"annotation {lost} of {receipts[lost].person}")
    for extra in held.keys() - receipts.keys():
        yield Finding(
            "answer without receipt", f"annotation {extra} of {held[extra].annotator_id}", held[extra].item_id
        )


def _said(world: World, topics: Topics) -> Iterator[Finding]:
    """Every answer is what that person says of that item: nothing was mixed up on the way."""
    people = {one.name: one for one in world.plan.people}
    features = dict(_features(world.ledger))
    for one in topics.annotations:
        if one.annotator_id is None or not isinstance(one.value, Choice):
            continue
        expected = answer_of(people[one.annotator_id], features[one.item_id], world.plan.seed)
        if one.value.choice != expected:
            detail = f"{one.annotator_id} said {expected}, the annotation says {one.value.choice}"
            yield Finding("answer changed", detail, one.item_id)


def _features(ledger: "Ledger") -> Iterator[tuple[str, float]]:
    yield from ((f"gold{number:03d}", number % ROWS + 0.75 + number / FRACTIONS) for number in range(GOLD))
    for one in ledger.sent:
        if one.item is not None and isinstance(one.item.content, FeaturesContent):
            yield one.item.item_id, one.item.content.features[0]


def _letters(ledger: "Ledger", topics: Topics) -> Iterator[Finding]:
    """Each poison has a dead letter, byte for byte, with its reason; nothing else has one."""
    bad: set[tuple[str, int, int]] = set()
    for sent in ledger.acknowledged():
        places = topics.places.get(sent.sequence, [])
        if not places:
            yield Finding("record not in topic", f"{sent.kind} {sent.sequence} was acknowledged")
        if sent.poison is None:
            continue
        for record in places:
            place = (record.topic, record.partition, record.offset)
            bad.add(place)
            letters = topics.letters.get(place, [])
            if not letters:
                yield Finding("poison without letter", f"{sent.kind} at {place}")
            for letter in letters:
                yield from _compared(sent.kind, record, letter, sent.poison.reason.value)
    for place in topics.letters.keys() - bad:
        reason = header(topics.letters[place][0].headers, REASON)
        yield Finding("letter of a good record", f"{place} was refused as {(reason or b'').decode()}")


def _compared(kind: str, record: Record, letter: Record, reason: str) -> Iterator[Finding]:
    source = original(letter)
    for part in ("key", "value", "headers", "timestamp_ms"):
        if getattr(source, part) != getattr(record, part):
            yield Finding("altered letter", f"{kind}: the letter of {record.topic}/{record.offset} has another {part}")
    got = (header(letter.headers, REASON) or b"").decode()
    if got != reason:
        yield Finding("another reason", f"{kind}: {got}, not {reason}")


def _models(ledger: "Ledger", topics: Topics) -> Iterator[Finding]:
    """Every prediction is one promoted model's alone, and every label's model had been promoted when it was made."""
    promoted = {(one.version, one.generation): one for one in ledger.promotions}
    features = dict(_features(ledger))
    for record, one in topics.predictions:
        if header(record.headers, SEQUENCE) is not None or one.model_version is None:
            continue
        made = promoted.get((one.model_version, one.generation))
        if made is None or one.predicted_at < made.at:
            yield Finding("unpromoted model", f"{one.model_version} generation {one.generation}", one.item_id)
        elif one.distribution is not None:
            expected = distribution_of(made.model, features[one.item_id])
            if any(abs(one.distribution[name] - share) > CLOSE for name, share in expected.items()):
                detail = f"{one.model_version} says {expected}, the prediction {one.distribution}"
                yield Finding("mixed versions", detail, one.item_id)
    for label in topics.labels:
        proposal = label.evidence.proposal
        if proposal is not None and proposal.generation > 0:
            live = promoted.get((proposal.model_version, proposal.generation))
            if live is None or label.labelled_at < live.at:
                yield Finding("label of an unpromoted model", f"{proposal.model_version}", label.item_id)


def _order(topics: Topics) -> Iterator[Finding]:
    """An item's routes stand in its partition in the order in which they were decided; repeats come after."""
    said: dict[str, tuple[set[tuple[int, int]], tuple[int, int]]] = {}
    for record, route in sorted(topics.routes, key=lambda one: (one[0].partition, one[0].offset)):
        step = (route.round, route.step)
        seen, last = said.get(route.item_id, (set(), (0, 0)))
        if step not in seen and step < last:
            where = f"routes.v1/{record.partition}/{record.offset}"
            yield Finding("order broken", f"{where}: round {step[0]} step {step[1]} after {last}", route.item_id)
        said[route.item_id] = ({*seen, step}, max(last, step))
