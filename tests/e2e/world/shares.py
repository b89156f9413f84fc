"""How work divides over the replicas of a service: by counters of each process, beside what its partitions hold."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import httpx
from prometheus_client.parser import text_string_to_metric_families

from shared.bus.reader import read_all
from shared.topics import BY_NAME
from tests.e2e.world.world import World

RECORDS, LAG, REBALANCES = (
    "labelstream_records_total",
    "labelstream_consumer_lag_records",
    "labelstream_rebalances_total",
)
Place = tuple[str, int]
"""(topic, partition)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One process's counters: records taken in and assignments by topic, and the partitions that it has."""

    records: Mapping[str, float]
    rebalances: Mapping[str, float]
    places: frozenset[Place]


@dataclass(frozen=True, slots=True)
class Share:
    """What one replica did during a load.

    Attributes:
        held: records that came to its partitions.
        done: records that it took in.
        total: records that came to the topic.
    """

    service: str
    replica: int
    topic: str
    partitions: tuple[int, ...]
    held: int
    done: int
    total: int

    @property
    def part(self) -> float:
        """Of the topic's records."""
        return self.done / self.total if self.total else 0.0


@dataclass(slots=True)
class Watch:
    """Readings of the replicas of some services, before and after a load without any change of membership."""

    world: World
    services: Sequence[str]
    readings: dict[str, list[Reading]] = field(default_factory=dict)
    sizes: Counter[Place] = field(default_factory=Counter)

    async def begin(self) -> None:
        """Read all counters; the world is at rest."""
        self.readings = {name: await self._read(name) for name in self.services}
        self.sizes = await self._sizes()

    async def end(self) -> list[Share]:
        """What each replica has done since."""
        sizes = await self._sizes()
        sizes.subtract(self.sizes)
        shares = []
        for name in self.services:
            after = await self._read(name)
            for number, (before, now) in enumerate(zip(self.readings[name], after, strict=True)):
                for topic in sorted({topic for topic, _ in now.places}):
                    mine = tuple(sorted(partition for where, partition in now.places if where == topic))
                    held = sum(sizes[topic, partition] for partition in mine)
                    total = sum(n for (where, _), n in sizes.items() if where == topic)
                    done = int(now.records.get(topic, 0) - before.records.get(topic, 0))
                    shares.append(Share(name, number + 1, topic, mine, held, done, total))
        return shares

    async def _read(self, name: str) -> list[Reading]:
        urls = [self.world.stack.urls[name], *(one.url for one in self.world.replicas if one.name == name)]
        return [await read(url) for url in urls]

    async def _sizes(self) -> Counter[Place]:
        topics = {topic for several in self.readings.values() for one in several for topic, _ in one.places}
        records = [record for topic in sorted(topics) for record in await read_all(self.world.stack.kafka, topic)]
        return Counter((record.topic, record.partition) for record in records)


async def read(url: str) -> Reading:
    """The counters of one process."""
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"{url}/metrics")).text
    records: Counter[str] = Counter()
    rebalances: Counter[str] = Counter()
    places = set()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == RECORDS:
                records[sample.labels["topic"]] += int(sample.value)
            elif sample.name == REBALANCES:
                rebalances[sample.labels["topic"]] += int(sample.value)
            elif sample.name == LAG:
                places.add((sample.labels["topic"], int(sample.labels["partition"])))
    return Reading(records, rebalances, frozenset(places))


def uneven(shares: Sequence[Share], replicas: int) -> list[str]:
    """What does not divide: a replica that did not do exactly its partitions' records, or a partition with no owner."""
    found = [
        f"{one.service} {one.replica}: {one.topic} {one.partitions} got {one.held} records, it took in {one.done}"
        for one in shares
        if one.held != one.done
    ]
    divided = {(one.service, one.topic) for one in shares if not BY_NAME[one.topic].compacted}
    for service, topic in divided:  # a compacted topic has one partition
        same = [one for one in shares if (one.service, one.topic) == (service, topic)]
        owned = sorted(partition for one in same for partition in one.partitions)
        if len(same) != replicas or owned != sorted(set(owned)) or sum(one.done for one in same) != same[0].total:
            found.append(f"{service}: {topic} is divided as {[one.partitions for one in same]}")
    return found
