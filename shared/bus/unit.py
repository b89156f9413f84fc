"""One transaction: a batch's effects, what it publishes, its dead letters and its offsets stand or fall together."""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from shared.bus.deadletter import dead_letter
from shared.bus.records import Outgoing, Record, outgoing
from shared.db.store import Place, add_outbox, move_offsets, pack
from shared.errors import Reason
from shared.events import Event
from shared.topics import BY_NAME, Topic

E = TypeVar("E", bound=Event)


class Unit:
    """A unit of work inside an open PostgreSQL transaction.

    Attributes:
        connection: the asyncpg connection, in its transaction.
        now: the time that every event made here carries.
        afterwards: what to do when the transaction has committed.
    """

    def __init__(self, service: str, connection: Any, now: datetime) -> None:
        self.connection = connection
        self.now = now
        self._service = service
        self._outbox: list[Outgoing] = []
        self._letters: list[Outgoing] = []
        self.refused: Counter[tuple[str, Reason]] = Counter()
        self.poison = 0
        self.afterwards: list[Callable[[], None]] = []
        self._handed_over = 0

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
        return self._handed_over + len(self._outbox) + len(self._letters)

    def hand_over(self) -> tuple[bytes, int] | None:
        """What has been emitted so far, packed, for a statement that writes the outbox along; None: nothing."""
        if not self._outbox:
            return None
        records, self._outbox = self._outbox, []
        self._handed_over += len(records)
        return pack(records), len(records)

    async def finish(self, moves: Mapping[Place, tuple[int, int]]) -> None:
        """Write outbox and offsets; to be called last, inside the transaction.

        Raises:
            Fenced: a partition of the batch belongs to another consumer by now.
        """
        if moves:
            await move_offsets(self.connection, moves)
        if self._outbox or self._letters:
            await add_outbox(self.connection, [*self._outbox, *self._letters])
