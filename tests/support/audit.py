"""A small deployment in the audit's ledger in which every promise holds: what tests then break, one promise at a time.

i1 was labelled by the model and sent twice, i2 by two people, i3 is queued and i4 not processed yet; one record was
poison, one had other content under a known id.
"""

from typing import Any
from uuid import UUID

from cli.audit.counters import REPEATS
from cli.audit.ledger import Ledger
from cli.audit.topics import EARLY, PENDING, Noted, lettered
from shared.bus.deadletter import dead_letter
from shared.bus.records import Record, outgoing
from shared.errors import Reason
from shared.events import Event, content_hash
from shared.topics import ANNOTATIONS, ITEMS, LABELS, TOPICS, Topic
from tests.support import events as make

P = make.PROJECT
HASH = content_hash(make.item().content)
ANSWERS = (make.annotation("i2", by="a"), make.annotation("i2", by="b"))
ITEMS_READ, LABELS_READ = 6, 2


def record(topic: Topic[Any], event: Event, offset: int, partition: int = 0) -> Record:
    out = outgoing(topic, event, source="test")
    return Record(topic.name, partition, offset, out.key, out.value, out.headers, 0)


def letter(source: Record, reason: Reason, offset: int) -> Record:
    out = dead_letter(source, reason, "broken", service="assignment")
    return Record(out.topic, 0, offset, out.key, out.value, out.headers, 0)


POISON = Record(ITEMS.name, 0, 4, b"sentiment/x", b"{", (), 0)
CONFLICT = record(ITEMS, make.item("i1", text="something else"), 5)
STREAM = (
    record(ITEMS, make.item("i1"), 0),
    record(ITEMS, make.item("i2"), 1),
    record(ITEMS, make.item("i1"), 2),
    record(ITEMS, make.item("i3"), 3),
    POISON,
    CONFLICT,
    record(ITEMS, make.item("i4"), 6),
    *(record(ANNOTATIONS, event, n) for n, event in enumerate(ANSWERS)),
    record(LABELS, make.auto_label("i1"), 0),
    record(LABELS, make.label("i2"), 1),
)
LETTERS = (letter(POISON, Reason.BAD_JSON, 0), letter(CONFLICT, Reason.ID_CONFLICT, 1))


def note(ledger: Ledger, *records: Record, early: int = EARLY, project: str | None = None) -> None:
    """Read these records."""
    noted = Noted(project, early, lettered(ledger, records))
    for one in records:
        noted.note(one, max_bytes=1_048_576)
    noted.write(ledger)


def whole(ledger: Ledger) -> Ledger:
    """Fill the ledger with the deployment above."""
    note(ledger, *LETTERS)
    note(ledger, *STREAM)
    ends = {ITEMS.name: ITEMS_READ + 1, LABELS.name: LABELS_READ, ANNOTATIONS.name: len(ANSWERS)}
    ledger.add("ends", [(topic, 0, 0, high, high) for topic, high in ends.items()])
    ledger.add("owners", [(topic.name, topic.dlq_owner) for topic in TOPICS if topic.dlq_owner])
    read: dict[str, tuple[Topic[Any], ...]] = {
        "assignment": (ITEMS, LABELS),
        "qc": (ANNOTATIONS, LABELS),
        "monitor": (ITEMS, ANNOTATIONS, LABELS),
    }
    at = {ITEMS.name: ITEMS_READ, LABELS.name: LABELS_READ, ANNOTATIONS.name: len(ANSWERS)}
    ledger.add("places", [(service, t.name, 0, at[t.name]) for service, topics in read.items() for t in topics])
    ledger.add("pending", [(service, 0) for service in read])
    ledger.add("projects", [(P, 1, 3, 0)])
    ledger.add("models", [(P, "m1")])
    ledger.add("live", [(P, "m1", 1)])
    ledger.add("a_items", [
        (P, "i1", "labelled", 1, 1, HASH), (P, "i2", "labelled", 1, 1, HASH), (P, "i3", "open", 1, 0, HASH),
    ])  # fmt: skip
    ledger.add("a_rounds", [(P, "i2", 1, 2, 2, 0, 0, 0, 1, 1), (P, "i3", 1, 1, 0, 0, 1, 0, 0, 1)])
    ledger.add("a_leases", [_lease("i2", event.annotation_id, event.annotator_id) for event in ANSWERS])
    ledger.add("a_leases", [_lease("i3", make.uid("lease"), "a", state="active")])
    ledger.add("q_items", [(P, "i2", 1, "consensus")])
    answered = [(event.annotation_id.bytes, P, "i2", 1, "answered", event.annotator_id, 0) for event in ANSWERS]
    ledger.add("q_annotations", answered)
    ledger.add("m_items", [(P, "i1", "labelled", "auto", 2), (P, "i2", "labelled", "consensus", 2)])
    stored = {"labels auto": 1, "labels consensus": 1, "annotations answered round": 2}
    ledger.count("stored", [("monitor", P, name, n) for name, n in stored.items()])
    ledger.count("stored", [("assignment", P, REPEATS, 1)])
    return ledger


def _lease(item: str, lease: UUID, who: str | None, state: str = "answered") -> tuple[Any, ...]:
    return lease.bytes, P, item, 1, 0, who, "annotator", state, 0, 0


def pending(ledger: Ledger, *records: Record) -> None:
    """Find these in an outbox."""
    note(ledger, *(Record(r.topic, -1, -1 - n, r.key, r.value, r.headers, 0) for n, r in enumerate(records)),
         early=PENDING)  # fmt: skip
