"""One transaction: a batch's effects, what it publishes, its dead letters and its offsets stand or fall together."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

from shared.bus.deadletter import dead_letter
from shared.bus.records import Outgoing, Record, outgoing
from shared.db.store import Place, add_outbox, move_offsets
from shared.errors import Reason
from shared.events import Event
from shared.topics import BY_NAME, Topic

E = TypeVar("E", bound=Event)


class Unit:
    """A unit of work inside an open PostgreSQL transaction.

    Attributes:
        connection: the asyncpg connection, in its transaction.
        now: the time that every event made here carries.
    """

    def __init__(self, service: str, connection: Any, now: datetime) -> None:
        self.connection = connection
        self.now = now
        self._service = service
        self._outbox: list[Outgoing] = []
        self._letters: list[Outgoing] = []
        self.refused: Counter[tuple[str, Reason]] = Counter()
        self.poison = 0

    def emit(self, topic: Topic[E], event: E, *, cause: Record | None = None) -> None:
        """Publish an event when the transaction has committed."""
        self._outbox.append(outgoing(topic, event, source=self._service, cause=cause))

    def reject(self, record: Record, reason: Reason, detail: str) -> None:
        """Refuse one record: a dead letter if this service judges its topic, else counted and skipped."""
        self.refused[record.topic, reason] += 1
        self.poison += 1
        if BY_NAME[record.topic].dlq_owner == self._service:
            self._letters.append(dead_letter(record, reason, detail, service=self._service))

    @property
    def published(self) -> int:
        """How many records the transaction publishes."""
        return len(self._outbox) + len(self._letters)

    async def finish(self, moves: Mapping[Place, tuple[int, int]]) -> None:
        """Write outbox and offsets; to be called last, inside the transaction.

        Raises:
            Fenced: a partition of the batch belongs to another consumer by now.
        """
        if moves:
            await move_offsets(self.connection, moves)
        if self.published:
            await add_outbox(self.connection, [*self._outbox, *self._letters])
