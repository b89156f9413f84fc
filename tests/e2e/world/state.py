"""What must hold between topics, databases, Kafka's groups and the metrics once everything is at rest."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping

import asyncpg
from aiokafka import TopicPartition

from services.monitor.domain.facts import State
from services.monitor.store import facts_of
from shared.bus.client import make_admin, make_reader
from shared.events import Audience, Outcome
from shared.topics import ITEMS, PRELABEL, QUALITY, REFRESHES, SERVICES, TOPICS
from tests.e2e.world.finding import Finding
from tests.e2e.world.topics import Topics
from tests.e2e.world.totals import totals
from tests.e2e.world.world import World

LOOKS = 45
OVERDUE_S = 5.0
OPEN = frozenset({State.QUEUED, State.BLOCKED})
Committed = Mapping[tuple[str, str, int], int]
"""(service, topic, partition) -> offset."""


async def at_rest(world: World, topics: Topics) -> list[Finding]:
    """Every check of this page."""
    return [
        *await _people(world, topics),
        *await _leases(world),
        *await _decisions(world, topics),
        *await _offsets(world),
        *await totals(world, topics),
        *await _request_log(world),
    ]


async def _people(world: World, topics: Topics) -> list[Finding]:
    """I3 from outside: what each person gave, by the receipts; qc made its numbers from topics."""
    given: Counter[str] = Counter()
    for one in topics.annotations_once():
        if one.annotator_id is not None and one.outcome is Outcome.ANSWERED:
            given[one.annotator_id] += 1
    receipts = Counter(one.person for one in world.ledger.receipts.values() if one.outcome == "answered")
    rows = await world.rows("SELECT annotator_id, given FROM qc.annotators WHERE given > 0")
    stored = Counter({row["annotator_id"]: row["given"] for row in rows})
    return [
        Finding("I3", "wrong count of a person", f"{who}: qc says {stored[who]}, topics {given[who]}, receipts {n}")
        for who, n in (receipts | stored | given).items()
        if not stored[who] == given[who] == receipts[who]
    ]


async def _leases(world: World) -> list[Finding]:
    """I4: a lease beyond its end is swept up, and gives its slot back."""
    rows = await world.rows(
        "SELECT item_id, annotator_id, now() - expires_at AS late FROM assignment.leases"
        " WHERE state = 'active' AND expires_at < now() - make_interval(secs => $1)",
        OVERDUE_S,
    )
    return [
        Finding("I4", "lease held", f"{row['annotator_id']} holds it {row['late']} beyond its end", row["item_id"])
        for row in rows
    ]


async def _decisions(world: World, topics: Topics) -> list[Finding]:
    """I5: what the databases say was decided is in the topics, each step of it; two services agree on every state."""
    steps: dict[tuple[str, int], set[int]] = {}
    for _, route in topics.routes:
        steps.setdefault((route.item_id, route.round), set()).add(route.step)
    found = [
        Finding("I5", "decision not published", f"routes of round {number}: steps {sorted(known)} only", item)
        for (item, number), known in steps.items()
        if known != set(range(1, len(known) + 1))
    ]
    for row in await world.rows("SELECT item_id, number, step FROM assignment.rounds WHERE step > 0"):
        told = max(steps.get((row["item_id"], row["number"]), {0}))
        if told != row["step"]:
            detail = f"round {row['number']} is at step {row['step']}, routes.v1 at {told}"
            found.append(Finding("I5", "decision not published", detail, row["item_id"]))
    found += await _asked(world, topics)
    return [*found, *await _agreed(world)]


async def _asked(world: World, topics: Topics) -> Iterator[Finding]:
    """What qc asked for stands in escalations.v1."""
    asked: dict[tuple[str, int], int] = {}
    experts = set()
    for one in topics.escalations:
        key = (one.item_id, one.round)
        asked[key] = max(asked.get(key, 0), one.opinions_wanted)
        if one.ask.value == Audience.EXPERT.value:
            experts.add(key)
    rows = await world.rows("SELECT item_id, round, asked, expert_asked FROM qc.rounds")
    return iter([
        Finding("I5", "decision not published", f"qc asked for {row['asked']} in round {row['round']}", row["item_id"])
        for row in rows
        if asked.get((row["item_id"], row["round"]), 0) < row["asked"]
        or (row["expert_asked"] and (row["item_id"], row["round"]) not in experts)
    ])  # fmt: skip


async def _agreed(world: World) -> Iterator[Finding]:
    """monitor's state of an item, from topics alone, is assignment's."""
    rows = await world.rows("SELECT * FROM monitor.items")
    seen = {row["item_id"]: facts_of(row).state for row in rows}
    known = {
        row["item_id"]: row["standing"]
        for row in await world.rows("SELECT item_id, standing FROM assignment.items WHERE content_hash IS NOT NULL")
    }
    found = []
    for item, standing in known.items():
        state = seen.get(item)
        if (state.value if state is not None else None) != standing and not (standing == "open" and state in OPEN):
            found.append(Finding("I1", "states differ", f"assignment says {standing}, monitor {state}", item))
    return iter(found)


async def _offsets(world: World) -> list[Finding]:
    """I8: Kafka's groups are where the work is done, and prelabel, which has no other offsets, at the ends."""
    for _ in range(LOOKS):
        found = _behind(await _done(world), await _committed(world))
        if not found:
            break
        await asyncio.sleep(1.0)
    return found


def _behind(done: Committed, committed: Committed) -> list[Finding]:
    found = []
    for (service, topic, partition), offset in done.items():
        told = committed.get((service, topic, partition), 0)
        if told > offset:
            detail = f"{service} committed {told} of {topic}/{partition} and has done {offset}"
            found.append(Finding("I8", "offset skipped", detail))
        elif told < offset and topic != QUALITY.name:
            detail = f"{service} committed {told} of {topic}/{partition}, which is done up to {offset}"
            found.append(Finding("I8", "offset behind", detail))
    return found


async def _done(world: World) -> dict[tuple[str, str, int], int]:
    """What is done, by the services' own offsets; prelabel has done what its topics hold, or it is not at rest."""
    done: dict[tuple[str, str, int], int] = {}
    for service in ("assignment", "qc", "monitor"):
        query = f"SELECT topic, partition, next_offset FROM {service}.consumer_offsets"  # noqa: S608  # our own names
        for row in await world.rows(query):
            done[service, row["topic"], row["partition"]] = row["next_offset"]
    consumer = make_reader(world.stack.kafka)
    await consumer.start()
    try:
        for topic in (ITEMS.name, REFRESHES.name):
            physical = world.stack.kafka.physical(topic)
            places = [TopicPartition(physical, partition) for partition in range(world.plan.partitions)]
            for place, end in (await consumer.end_offsets(places)).items():
                done[PRELABEL, topic, place.partition] = end
    finally:
        await consumer.stop()
    return done


async def _committed(world: World) -> dict[tuple[str, str, int], int]:
    kafka = world.stack.kafka
    admin = make_admin(kafka)
    await admin.start()
    found = {}
    try:
        for topic in (one for one in TOPICS if not one.compacted):
            for service in set(topic.readers) & set(SERVICES):
                group = kafka.physical(f"{service}.{topic.name}")
                for place, stored in (await admin.list_consumer_group_offsets(group)).items():
                    found[service, topic.name, place.partition] = max(stored.offset, 0)
    finally:
        await admin.close()
    return found


async def _request_log(world: World) -> list[Finding]:
    """I11: nobody can change or remove a line, and what was done by administrators stands there."""
    found = [Finding("I11", "log shrank", what) for what in world.shrunk]
    for statement in ("UPDATE assignment.request_log SET principal = ''", "DELETE FROM assignment.request_log"):
        try:
            await world.rows(statement)
        except asyncpg.RaiseError:
            continue
        found.append(Finding("I11", "log changed", statement))
    (row,) = await world.rows("SELECT count(*) AS n FROM assignment.request_log WHERE action = 'add'")
    if row["n"] != len(world.plan.people) and not world.restored:
        found.append(Finding("I11", "log incomplete", f"{row['n']} of {len(world.plan.people)} people were added"))
    return found
