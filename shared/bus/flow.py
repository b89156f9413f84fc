"""What every consumer shares: where it stands, how far behind it is, and the limit on poison."""

import time
from collections import deque
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.errors import InvariantBroken
from shared.runtime.metrics import BusMetrics


@dataclass(slots=True)
class Progress:
    """The last sign of life of one consumer; `moved_at` in monotonic seconds.

    `behind`: there is lag, or Kafka no longer says whether there is any.
    """

    topic: str
    moved_at: float = field(default_factory=time.monotonic)
    behind: bool = False
    joined: bool = False
    fatal: str | None = None
    failure: str | None = None

    def mark(self) -> None:
        """A batch was finished, or there was nothing to do."""
        self.moved_at = time.monotonic()
        self.failure = None

    @property
    def still_s(self) -> float:
        """Seconds since something moved."""
        return time.monotonic() - self.moved_at

    def stalled(self, after_s: float) -> bool:
        """Whether there is lag, or none can be known, and nothing has moved for `after_s` seconds."""
        return self.behind and time.monotonic() - self.moved_at > after_s


class PoisonLimit:
    """Stops a consumer when nearly everything it reads is poison: that is a bad deploy, not bad data.

    Args:
        records: the size of the window.
        ratio: the share of poison in a full window that trips it.
    """

    def __init__(self, records: int, ratio: float) -> None:
        self._window: deque[tuple[int, int]] = deque()
        self._records = records
        self._ratio = ratio

    def check(self, topic: str, read: int, poison: int) -> None:
        """Look at one batch before it is committed.

        Raises:
            InvariantBroken: the limit is reached; the batch must not be committed.
        """
        total = read + sum(n for n, _ in self._window)
        bad = poison + sum(p for _, p in self._window)
        if total >= self._records and bad >= self._ratio * total:
            raise InvariantBroken(
                f"{bad} of the last {total} records of {topic} are poison; the consumer stopped before it moved more"
                " of them. Is the producer or this service's version wrong? Restart it to go on."
            )

    def add(self, read: int, poison: int) -> None:
        """Account for one committed batch."""
        self._window.append((read, poison))
        total = sum(n for n, _ in self._window)
        while self._window and total - self._window[0][0] >= self._records:
            total -= self._window.popleft()[0]


def silent_s(consumer: AIOKafkaConsumer) -> float:
    """Seconds since Kafka last answered a fetch of any partition of this consumer; 0 where it has none."""
    answered = [consumer.last_poll_timestamp(place) or 0 for place in consumer.assignment()]
    return max(0.0, time.time() - max(answered) / 1000) if answered else 0.0


class LagReporter:
    """Lag and age per partition, from the high watermark of the last fetch."""

    def __init__(self, metrics: BusMetrics, topic: str) -> None:
        self._metrics = metrics
        self._topic = topic
        self._oldest_ms: dict[int, int] = {}
        self._known: set[int] = set()

    def working_on(self, partition: int, timestamp_ms: int) -> None:
        """Remember the time of the record that is oldest among those not done; a bound where it is not known."""
        self._oldest_ms[partition] = timestamp_ms

    def report(self, consumer: AIOKafkaConsumer, done: dict[int, int], physical: str) -> int:
        """Set the gauges; `done` is partition -> next offset to process. Returns the total lag in records."""
        total = 0
        now_ms = time.time() * 1000
        assigned = {place.partition for place in consumer.assignment()}
        for partition in self._known - assigned:
            self._metrics.lag.remove(self._topic, str(partition))
            self._metrics.oldest.remove(self._topic, str(partition))
        self._known = assigned
        for partition in assigned:
            end = consumer.highwater(TopicPartition(physical, partition))
            lag = max(0, end - done.get(partition, 0)) if end is not None else 0
            age = max(0.0, now_ms - self._oldest_ms.get(partition, now_ms)) / 1000 if lag else 0.0
            self._metrics.lag.labels(self._topic, str(partition)).set(lag)
            self._metrics.oldest.labels(self._topic, str(partition)).set(age)
            total += lag
        return total
