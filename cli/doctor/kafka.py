"""Brokers, topics, what the records say, and who is behind."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from cli.doctor.findings import Finding, Status
from cli.topics import Lag, end_offsets, lags
from shared.bus.admin import TopicState, Wanted, describe_topics, differences, wanted_topics
from shared.bus.client import make_admin
from shared.bus.reader import read_to_end
from shared.bus.records import Record
from shared.bus.validate import Rejected, decode
from shared.errors import Reason
from shared.runtime.settings import KafkaSettings
from shared.topics import TOPICS, Topic

CONNECT_S = 3.0
SAFE_COPIES, SAFE_ISR = 3, 2
NEWEST = 20
"""Records of each partition that are looked at."""
PAUSE_S = 1.5
"""Between two looks at the lag."""


@asynccontextmanager
async def administrator(kafka: KafkaSettings) -> AsyncGenerator[AIOKafkaAdminClient]:
    """A started admin client."""
    admin = make_admin(kafka)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def brokers(kafka: KafkaSettings) -> list[Finding]:
    """Whether the cluster answers, and whether each of its brokers can be reached from here."""
    async with administrator(kafka) as admin:
        cluster = await admin.describe_cluster()
    found = [
        Finding(
            "brokers", kafka.bootstrap, Status.OK, f"cluster {cluster['cluster_id']}, {len(cluster['brokers'])} brokers"
        )
    ]
    for one in cluster["brokers"]:
        place = f"{one['host']}:{one['port']}"
        try:
            async with asyncio.timeout(CONNECT_S):
                _, writer = await asyncio.open_connection(one["host"], one["port"])
            writer.close()
        except (OSError, TimeoutError) as error:
            why = f"broker {one['node_id']} cannot be reached: {type(error).__name__}"
            found.append(
                Finding(
                    "brokers", place, Status.WRONG, why, "check that it runs, its advertised listener, and the network"
                )
            )
        else:
            found.append(Finding("brokers", place, Status.OK, f"broker {one['node_id']} can be reached"))
    return found


async def topics(kafka: KafkaSettings, count: int) -> list[Finding]:
    """Whether the topics are there, can be used, keep what they should keep, and survive the loss of a broker.

    Args:
        kafka: where.
        count: how many brokers there are.
    """
    states = await describe_topics(kafka)
    wanted = {one.name: one for one in wanted_topics(partitions=0, max_record_bytes=kafka.max_record_bytes)}
    compacted = {topic.name for topic in TOPICS if topic.compacted}
    found = [
        finding
        for name, one in wanted.items()
        for finding in _topic(kafka.physical(name), states.get(name), one, count, single=name in compacted)
    ]
    good = len(wanted) - len({one.subject for one in found})
    if good:
        said = f"{good} of {len(wanted)} topics are there and keep what they should"
        found.insert(0, Finding("topics", f"{kafka.prefix}*", Status.OK, said))
    return found


def _topic(name: str, state: TopicState | None, wanted: Wanted, brokers_: int, *, single: bool) -> Iterable[Finding]:
    if state is None:
        yield Finding("topics", name, Status.WRONG, "missing", "`labelstream topics create`")
        return
    if state.leaderless:
        why = f"{state.leaderless} of {state.partitions} partitions have no leader"
        yield Finding("topics", name, Status.WRONG, why, "bring back the brokers that hold them")
    if state.shrunk:
        why = f"{state.shrunk} of {state.partitions} partitions lack in-sync copies"
        yield Finding("topics", name, Status.WRONG, why, "check the brokers that are down or behind")
    if single and state.partitions != 1:
        why = f"a reference topic with {state.partitions} partitions: a pointer may overtake its version"
        yield Finding("topics", name, Status.WRONG, why, "create it anew with one partition, and publish again")
    for key, (is_, should) in differences(state, wanted).items():
        why = f"{key} is {is_ or 'unset'}, it should be {should}"
        yield Finding("topics", name, Status.WRONG, why, "`labelstream topics create --fix`")
    yield from _copies(name, state, brokers_)


def _copies(name: str, state: TopicState, count: int) -> Iterable[Finding]:
    least = int(state.config.get("min.insync.replicas") or 1)
    if state.replication < min(SAFE_COPIES, count):
        why = f"{state.replication} copies on {count} brokers"
        yield Finding("topics", name, Status.WRONG, why, "add copies with kafka-reassign-partitions.sh")
    elif state.replication >= SAFE_COPIES and least < SAFE_ISR:
        why = f"min.insync.replicas is {least}: one broker alone may acknowledge"
        yield Finding("topics", name, Status.WRONG, why, f"set min.insync.replicas to {SAFE_ISR}")
    elif state.replication > 1 and least >= state.replication:
        why = f"min.insync.replicas is {least} of {state.replication} copies: the loss of one broker stops all writing"
        yield Finding("topics", name, Status.WRONG, why, f"set min.insync.replicas to {state.replication - 1}")


async def schemas(kafka: KafkaSettings) -> list[Finding]:
    """Whether this version can read what was written last: the newest records of every partition."""
    found, read = [], 0
    for topic in TOPICS:
        newest = await _newest(kafka, topic)
        read += len(newest)
        judged = [decode(topic, record, max_bytes=kafka.max_record_bytes) for record in newest]
        reasons = Counter(one.reason for one in judged if isinstance(one, Rejected) and one.record.value is not None)
        if reasons[Reason.UNSUPPORTED_VERSION]:
            number = reasons[Reason.UNSUPPORTED_VERSION]
            why = f"{number} of the newest {len(newest)} records are of another major version"
            todo = "deploy the readers of that version before its writers"
            found.append(Finding("schemas", kafka.physical(topic.name), Status.WRONG, why, todo))
        elif reasons:
            parts = ", ".join(f"{n} {reason.value}" for reason, n in sorted(reasons.items()))
            why = f"of the newest {len(newest)} records: {parts}"
            todo = "`labelstream dlq list`, and mend the producer"
            found.append(Finding("schemas", kafka.physical(topic.name), Status.NOTE, why, todo))
    if not any(one.status is Status.WRONG for one in found):
        found.insert(
            0, Finding("schemas", "events", Status.OK, f"the newest {read} records are of versions that are read")
        )
    return found


async def _newest(kafka: KafkaSettings, topic: Topic[Any]) -> list[Record]:
    ends = await end_offsets(kafka, topic.name)
    start = {partition: max(0, end - NEWEST) for partition, end in ends.items()}
    return [record async for records in read_to_end(kafka, topic.name, start, timeout_s=30) for record in records]


async def behind(kafka: KafkaSettings) -> list[Finding]:
    """How far each reader is behind, looked at twice: being behind is normal, standing still is not."""
    first = {(one.service, one.topic, one.partition): one for one in await lags(kafka)}
    if any(one.records for one in first.values()):
        await asyncio.sleep(PAUSE_S)
    later = await lags(kafka) if any(one.records for one in first.values()) else list(first.values())
    readers: dict[tuple[str, str], list[Lag]] = {}
    for one in later:
        readers.setdefault((one.service, one.topic), []).append(one)
    found = [_reader(kafka, key, parts, first) for key, parts in readers.items()]
    still = [one for one in found if one.status is Status.OK]
    said = f"{len(still)} of {len(found)} readers are at the end or moving"
    return [Finding("lag", "readers", Status.OK, said), *(one for one in found if one.status is not Status.OK)]


def _reader(
    kafka: KafkaSettings, key: tuple[str, str], parts: Iterable[Lag], first: Mapping[tuple[str, str, int], Lag]
) -> Finding:
    service, topic = key
    group = kafka.physical(f"{service}.{topic}")
    stuck = [one for one in parts if one.records and _stands(one, first.get((service, topic, one.partition)))]
    records = sum(one.records for one in stuck)
    if not stuck:
        return Finding("lag", group, Status.OK, "")
    if all(one.committed is None for one in stuck):
        return Finding("lag", group, Status.WRONG, f"{records} records, never read", f"start {service}")
    why = f"{records} records behind on {len(stuck)} partitions, and not moving"
    return Finding("lag", group, Status.WRONG, why, f"look at /health and the log of {service}")


def _stands(now: Lag, before: Lag | None) -> bool:
    """Whether a partition had something to read at both looks and nothing of it was read in between."""
    return before is not None and before.records > 0 and before.committed == now.committed
