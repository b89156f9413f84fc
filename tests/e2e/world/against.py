"""Topics and databases against the ledger of the outside."""

from collections.abc import Iterator

from shared.bus.deadletter import REASON, original
from shared.bus.records import Record, header
from shared.events import FeaturesContent, Outcome
from shared.labels import Choice
from tests.e2e.world.finding import Finding
from tests.e2e.world.ledger import SEQUENCE, Ledger
from tests.e2e.world.people import answer_of
from tests.e2e.world.plan import FRACTIONS, ROWS, distribution_of
from tests.e2e.world.topics import Topics
from tests.e2e.world.world import GOLD, World

CLOSE = 1e-4


async def compare(world: World, topics: Topics) -> list[Finding]:
    """Everything that the ledger can be held against."""
    return [
        *await _items(world),
        *_answers(world.ledger, topics),
        *_said(world, topics),
        *_letters(world.ledger, topics),
        *_models(world.ledger, topics),
        *_order(topics),
    ]


async def _items(world: World) -> Iterator[Finding]:
    """Ledger items are the items known, with the content that was sent first."""
    rows = await world.rows("SELECT item_id, content_hash FROM assignment.items WHERE content_hash IS NOT NULL")
    known, sent = {row["item_id"]: row["content_hash"] for row in rows}, world.ledger.items()
    return iter([
        *(Finding("I1", "item unknown", f"{item} was acknowledged", item) for item in sent.keys() - known.keys()),
        *(Finding("I5", "item from nowhere", f"{item} was never sent", item) for item in known.keys() - sent.keys()),
        *(
            Finding("I1", "item changed", f"{item} has other content than was sent", item)
            for item in known.keys() & sent.keys()
            if known[item] != sent[item]
        ),
    ])  # fmt: skip


def _answers(ledger: Ledger, topics: Topics) -> Iterator[Finding]:
    """Accepted answers are the annotations, each once."""
    receipts = {one.annotation_id: one for one in ledger.receipts.values()}
    if len(receipts) < len(ledger.receipts):
        yield Finding("I2", "answered_twice", f"{len(ledger.receipts)} leases gave {len(receipts)} annotations")
    held = {one.annotation_id: one for one in topics.annotations if one.outcome is not Outcome.EXHAUSTED}
    for lost in receipts.keys() - held.keys():
        yield Finding("I2", "answer not in topic", f"annotation {lost} of {receipts[lost].person}")
    for extra in held.keys() - receipts.keys():
        yield Finding(
            "I2", "answer without receipt", f"annotation {extra} of {held[extra].annotator_id}", held[extra].item_id
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
            yield Finding("I2", "answer changed", detail, one.item_id)


def _features(ledger: Ledger) -> Iterator[tuple[str, float]]:
    yield from ((f"gold{number:03d}", number % ROWS + 0.75 + number / FRACTIONS) for number in range(GOLD))
    for one in ledger.sent:
        if one.item is not None and isinstance(one.item.content, FeaturesContent):
            yield one.item.item_id, one.item.content.features[0]


def _letters(ledger: Ledger, topics: Topics) -> Iterator[Finding]:
    """Each poison has a dead letter, byte for byte, with its reason; nothing else has one."""
    bad: set[tuple[str, int, int]] = set()
    for sent in ledger.acknowledged():
        places = topics.places.get(sent.sequence, [])
        if not places:
            yield Finding("I1", "record not in topic", f"{sent.kind} {sent.sequence} was acknowledged")
        if sent.poison is None:
            continue
        for record in places:
            place = (record.topic, record.partition, record.offset)
            bad.add(place)
            letters = topics.letters.get(place, [])
            if not letters:
                yield Finding("I6", "poison without letter", f"{sent.kind} at {place}")
            for letter in letters:
                yield from _compared(sent.kind, record, letter, sent.poison.reason.value)
    for place in topics.letters.keys() - bad:
        reason = header(topics.letters[place][0].headers, REASON)
        yield Finding("I6", "letter of a good record", f"{place} was refused as {(reason or b'').decode()}")


def _compared(kind: str, record: Record, letter: Record, reason: str) -> Iterator[Finding]:
    source = original(letter)
    for part in ("key", "value", "headers", "timestamp_ms"):
        if getattr(source, part) != getattr(record, part):
            yield Finding(
                "I6", "altered letter", f"{kind}: the letter of {record.topic}/{record.offset} has another {part}"
            )
    got = (header(letter.headers, REASON) or b"").decode()
    if got != reason:
        yield Finding("I6", "another reason", f"{kind}: {got}, not {reason}")


def _models(ledger: Ledger, topics: Topics) -> Iterator[Finding]:
    """Every prediction is one promoted model's alone, and every label's model had been promoted when it was made."""
    promoted = {(one.version, one.generation): one for one in ledger.promotions}
    features = dict(_features(ledger))
    for record, one in topics.predictions:
        if header(record.headers, SEQUENCE) is not None or one.model_version is None:
            continue
        made = promoted.get((one.model_version, one.generation))
        if made is None or one.predicted_at < made.at:
            yield Finding("I7", "unpromoted model", f"{one.model_version} generation {one.generation}", one.item_id)
        elif one.distribution is not None:
            expected = distribution_of(made.model, features[one.item_id])
            if any(abs(one.distribution[name] - share) > CLOSE for name, share in expected.items()):
                detail = f"{one.model_version} says {expected}, the prediction {one.distribution}"
                yield Finding("I7", "mixed versions", detail, one.item_id)
    for label in topics.labels:
        proposal = label.evidence.proposal
        if proposal is not None and proposal.generation > 0:
            live = promoted.get((proposal.model_version, proposal.generation))
            if live is None or label.labelled_at < live.at:
                yield Finding("I7", "label of an unpromoted model", f"{proposal.model_version}", label.item_id)


def _order(topics: Topics) -> Iterator[Finding]:
    """An item's routes stand in its partition in the order in which they were decided; repeats come after."""
    said: dict[str, tuple[set[tuple[int, int]], tuple[int, int]]] = {}
    for record, route in sorted(topics.routes, key=lambda one: (one[0].partition, one[0].offset)):
        step = (route.round, route.step)
        seen, last = said.get(route.item_id, (set(), (0, 0)))
        if step not in seen and step < last:
            where = f"routes.v1/{record.partition}/{record.offset}"
            yield Finding("I5", "order broken", f"{where}: round {step[0]} step {step[1]} after {last}", route.item_id)
        said[route.item_id] = ({*seen, step}, max(last, step))
