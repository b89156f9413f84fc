"""What the topics hold at the end, decoded once."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from shared.bus.deadletter import original
from shared.bus.reader import read_all
from shared.bus.records import Received, Record, header
from shared.bus.validate import decode
from shared.events import Annotation, Escalation, Event, Label, Prediction, Relabel, Route
from shared.runtime.settings import KafkaSettings
from shared.topics import ANNOTATIONS, ESCALATIONS, LABELS, PREDICTIONS, RELABELS, ROUTES, TOPICS, Topic
from tests.e2e.world.ledger import SEQUENCE

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Topics:
    """The events of each topic, in the order of their partitions, repeats and all.

    Attributes:
        ends: topic -> how many records it holds.
        places: sequence of the ledger -> the records in the source topics that carry it.
        letters: (source topic, partition, offset) -> the dead letters of that record.
    """

    annotations: Sequence[Annotation]
    labels: Sequence[Label]
    routes: Sequence[tuple[Record, Route]]
    predictions: Sequence[tuple[Record, Prediction]]
    escalations: Sequence[Escalation]
    relabels: Sequence[Relabel]
    ends: Mapping[str, int]
    places: Mapping[int, Sequence[Record]]
    letters: Mapping[tuple[str, int, int], Sequence[Record]]

    def annotations_once(self) -> Sequence[Annotation]:
        """Each annotation once, however often it was published."""
        return list({one.annotation_id: one for one in self.annotations}.values())

    @classmethod
    async def read(cls, kafka: KafkaSettings) -> "Topics":
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
            [event for _, event in _events(ESCALATIONS, records, Escalation)],
            [event for _, event in _events(RELABELS, records, Relabel)],
            {name: len(found) for name, found in records.items()},
            places,
            letters,
        )


def _events(topic: Topic[E], records: Mapping[str, Sequence[Record]], kind: type[E]) -> list[tuple[Record, E]]:
    judged = (decode(topic, record, max_bytes=2**31) for record in records[topic.name])
    return [(one.record, one.event) for one in judged if isinstance(one, Received) and isinstance(one.event, kind)]
