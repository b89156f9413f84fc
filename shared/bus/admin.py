"""The topics of shared/topics.py as brokers have them: created, described, their settings put right."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from shared.bus.client import make_admin
from shared.errors import ConfigurationError
from shared.runtime.settings import KafkaSettings
from shared.topics import DAY_MS, TOPICS, Topic

DLQ_RETENTION_MS = 30 * DAY_MS
DYNAMIC_TOPIC_CONFIG = 1
_SETTLE_S = 0.05


@dataclass(frozen=True, slots=True)
class Wanted:
    """A topic as it should be: its name without prefix, and the settings it is created with."""

    name: str
    partitions: int
    config: dict[str, str]


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it is.

    Attributes:
        replication: copies of the partition that has fewest.
        leaderless: partitions without a leader: nobody can read or write them.
        shrunk: partitions that have fewer copies in sync than they should.
        config: every setting in force; empty where the broker does not say.
        own: those that were set for this topic, not by a default of the brokers.
    """

    partitions: int
    replication: int
    leaderless: int = 0
    shrunk: int = 0
    config: Mapping[str, str] = field(default_factory=dict)
    own: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Physical names.

    Attributes:
        created: made now.
        existing: were there, with the partitions wanted.
        different: were there with another number of partitions: name to (found, wanted). Never changed here, since
            that would move keys to other partitions.
    """

    created: tuple[str, ...]
    existing: tuple[str, ...]
    different: dict[str, tuple[int, int]]


def wanted_topics(*, partitions: int, max_record_bytes: int) -> list[Wanted]:
    """Every topic of the table and its dead letters.

    Reference topics have one partition: every replica reads all of them, and a pointer stays behind its version.
    Dead letters have one, live 30 days, and exist where a service owns them.
    """
    largest = {"max.message.bytes": str(2 * max_record_bytes + 65_536)}
    wanted = []
    for topic in TOPICS:
        wanted.append(Wanted(topic.name, 1 if topic.compacted else partitions, {**_keeping(topic), **largest}))
        if topic.dlq_owner is not None:
            wanted.append(Wanted(topic.dlq, 1, {**_deleting(DLQ_RETENTION_MS), **largest}))
    return wanted


async def create_topics(
    kafka: KafkaSettings, *, partitions: int = 4, replication: int = 1, within_s: float = 60
) -> Outcome:
    """Create whatever topic is missing; an existing one is left as it is.

    Args:
        kafka: where, and the prefix.
        partitions: of every topic that is read by consumer groups.
        replication: copies of each partition; from 3 on, two of them must have a record before it is acknowledged.
        within_s: seconds until giving up.

    Raises:
        ConfigurationError: the broker refused; says which topic and why.
        TimeoutError: the broker did not finish in time.
    """
    wanted = wanted_topics(partitions=partitions, max_record_bytes=kafka.max_record_bytes)
    by_name = {kafka.physical(topic.name): topic for topic in wanted}
    async with asyncio.timeout(within_s):
        admin = make_admin(kafka)
        try:
            await admin.start()
            found = await _found(admin, by_name)
            missing = [name for name in by_name if name not in found]
            created = await _create(admin, {name: by_name[name] for name in missing}, replication)
            present = await _settled(admin, by_name)
        finally:
            await admin.close()
    different = {name: (present[name], t.partitions) for name, t in by_name.items() if present[name] != t.partitions}
    existing = tuple(name for name in by_name if name not in created and name not in different)
    return Outcome(created, existing, different)


async def _settled(admin: AIOKafkaAdminClient, names: dict[str, Wanted]) -> dict[str, int]:
    """Wait until each has its leaders: a producer may then use it."""
    while True:
        present = await _found(admin, names)
        if present.keys() >= names.keys():
            return present
        await asyncio.sleep(_SETTLE_S)


async def _found(admin: AIOKafkaAdminClient, names: dict[str, Wanted]) -> dict[str, int]:
    """Partitions of those topics that have a leader for each."""
    described: list[dict[str, Any]] = await admin.describe_topics()
    return {
        topic["topic"]: len(topic["partitions"])
        for topic in described
        if topic["topic"] in names and topic["partitions"] and all(part["leader"] >= 0 for part in topic["partitions"])
    }


async def _create(admin: AIOKafkaAdminClient, missing: dict[str, Wanted], replication: int) -> tuple[str, ...]:
    if not missing:
        return ()
    safety = {"min.insync.replicas": "2"} if replication >= 3 else {}  # noqa: PLR2004  # two of three
    response = await admin.create_topics(
        [
            NewTopic(name, one.partitions, replication, topic_configs={**one.config, **safety})
            for name, one in missing.items()
        ]
    )
    created = []
    for name, code, *message in response.topic_errors:
        if code == 0:
            created.append(name)
        elif code != TopicAlreadyExistsError.errno:  # another process may be doing the same
            error: type[KafkaError] = for_code(code)
            detail = next((text for text in message if text), error.description or error.__name__)
            raise ConfigurationError(f"the broker refused to create topic {name}: {detail}")
    return tuple(created)


async def describe_topics(kafka: KafkaSettings, *, within_s: float = 30) -> dict[str, TopicState]:
    """Every topic of the deployment, by logical name.

    Raises:
        ConfigurationError: the broker refuses to describe settings.
        TimeoutError: the broker does not answer in time.
    """
    async with asyncio.timeout(within_s):
        admin = make_admin(kafka)
        try:
            await admin.start()
            described: list[dict[str, Any]] = await admin.describe_topics()
            known = {one["topic"]: one["partitions"] for one in described if one["topic"].startswith(kafka.prefix)}
            configs = await _configs(admin, known)
        finally:
            await admin.close()
    return {
        name.removeprefix(kafka.prefix): TopicState(
            partitions=len(parts),
            replication=min((len(part["replicas"]) for part in parts), default=0),
            leaderless=sum(part["leader"] < 0 for part in parts),
            shrunk=sum(len(part["isr"]) < len(part["replicas"]) for part in parts),
            config={key: value for key, (value, _) in configs.get(name, {}).items()},
            own={key: value for key, (value, own) in configs.get(name, {}).items() if own},
        )
        for name, parts in known.items()
    }


async def _configs(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, dict[str, tuple[str, bool]]]:
    """Topic -> setting -> (value, whether it is the topic's own)."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found: dict[str, dict[str, tuple[str, bool]]] = {}
    if not resources:
        return found
    for response in await admin.describe_configs(resources):
        for code, message, _, name, entries in response.resources:
            if code == UnknownTopicOrPartitionError.errno:
                continue  # deleted since it was listed
            if code != 0:
                error: type[KafkaError] = for_code(code)
                raise ConfigurationError(f"the broker does not describe topic {name}: {message or error.__name__}")
            # name, value, read only, source (1: the topic's own; in the oldest version: whether a default), ...
            found[name] = {entry[0]: (entry[1] or "", _is_own(entry[3])) for entry in entries}
    return found


def _is_own(source: Any) -> bool:
    return source is False or (source is not True and source == DYNAMIC_TOPIC_CONFIG)


def differences(state: TopicState, wanted: Wanted) -> dict[str, tuple[str, str]]:
    """Setting -> (as it is, as it should be)."""
    return {
        key: (state.config.get(key, ""), value)
        for key, value in wanted.config.items()
        if state.config and state.config.get(key) != value
    }


async def fix_topics(kafka: KafkaSettings, wanted: Mapping[str, Wanted], *, within_s: float = 60) -> list[str]:
    """Give existing topics the settings that they should have; other settings of theirs stay.

    Args:
        kafka: where.
        wanted: by logical name; those that do not exist are passed over.
        within_s: seconds until giving up.

    Returns:
        The logical names of those that were changed.

    Raises:
        ConfigurationError: the broker refused; says which topic and why.
        TimeoutError: the broker did not finish in time.
    """
    states = await describe_topics(kafka, within_s=within_s)
    wrong = {name: one for name, one in wanted.items() if name in states and differences(states[name], one)}
    if not wrong:
        return []
    # The request replaces all of a topic's own settings, so those that are not ours go along.
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, kafka.physical(name), {**states[name].own, **one.config})
        for name, one in wrong.items()
    ]
    async with asyncio.timeout(within_s):
        admin = make_admin(kafka)
        try:
            await admin.start()
            responses = await admin.alter_configs(resources)
        finally:
            await admin.close()
    for response in responses:
        for code, message, _, name in response.resources:
            if code != 0:
                error: type[KafkaError] = for_code(code)
                raise ConfigurationError(f"the broker refused to change topic {name}: {message or error.__name__}")
    return sorted(wrong)


def _keeping(topic: Topic[Any]) -> dict[str, str]:
    """A compacted topic keeps deletions for a week, longer than a replica may be away.

    Segments are short: what is erased or expired goes with the segment that holds it.
    """
    if topic.compacted:
        return {
            "cleanup.policy": "compact", "delete.retention.ms": str(7 * DAY_MS), "min.cleanable.dirty.ratio": "0.1",
            "segment.ms": str(DAY_MS), "max.compaction.lag.ms": str(DAY_MS),
        }  # fmt: skip
    return _deleting(topic.retention_ms)


def _deleting(retention_ms: int) -> dict[str, str]:
    segment_ms = min(DAY_MS, retention_ms // 4)
    return {"cleanup.policy": "delete", "retention.ms": str(retention_ms), "segment.ms": str(segment_ms)}
