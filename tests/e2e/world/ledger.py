"""What the outside world knows for certain: which records Kafka acknowledged, which answers the API accepted."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.bus.records import Outgoing
from shared.errors import Reason
from shared.events import content_hash
from shared.events.items import Item
from tests.support.poison import Poison

SEQUENCE = "e2e_sequence"
"""The header by which a record in a topic is found in the ledger."""


@dataclass(slots=True)
class Sent:
    """One record that the producer sent; it may be in its topic more than once, where the first try was not answered.

    Attributes:
        kind: "item", "repeat", or the kind of poison.
        item: what it says, if it is good.
        poison: why it must be refused, if it is not.
    """

    sequence: int
    kind: str
    record: Outgoing
    item: Item | None = None
    poison: Poison | None = None
    acknowledged: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """An answer that the API accepted."""

    lease_id: UUID
    annotation_id: UUID
    person: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Promotion:
    """A model that was made live: the number of its file, its version and generation."""

    model: int
    version: str
    generation: int
    at: datetime


@dataclass(slots=True)
class Happened:
    """A fault, in seconds from the start of the load; `ended` is when what was harmed served again."""

    kind: str
    target: str
    began: float
    ended: float | None = None
    note: str = ""

    def __str__(self) -> str:
        until = f"{self.ended:6.1f}" if self.ended is not None else "   ..."
        return f"{self.began:6.1f} - {until} s  {self.kind:<10} {self.target:<12} {self.note}".rstrip()


@dataclass(slots=True)
class Ledger:
    """Everything noted in one run.

    Attributes:
        breaches: promises that the outside saw broken while the run went on.
        refusals: problems that the API answered, by code.
        unsettled: submits that have no answer yet, by lease.
    """

    sent: list[Sent] = field(default_factory=list)
    receipts: dict[UUID, Receipt] = field(default_factory=dict)
    promotions: list[Promotion] = field(default_factory=list)
    faults: list[Happened] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    behaviour: Counter[str] = field(default_factory=Counter)
    unsettled: dict[UUID, str] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    @property
    def clock(self) -> float:
        """Seconds since the start of the load."""
        return time.monotonic() - self.started

    def add(self, kind: str, record: Outgoing, *, item: Item | None = None, poison: Poison | None = None) -> Sent:
        """Note a record that is about to be sent, and mark it with its number."""
        sequence = len(self.sent)
        marked = Outgoing(record.topic, record.key, record.value, (*record.headers, (SEQUENCE, str(sequence).encode())))
        sent = Sent(sequence, kind, marked, item, poison)
        self.sent.append(sent)
        return sent

    def items(self) -> dict[str, str]:
        """Item id -> content hash, of all acknowledged items."""
        return {one.item.item_id: content_hash(one.item.content) for one in self.acknowledged() if one.item is not None}

    def acknowledged(self) -> Iterator[Sent]:
        return (one for one in self.sent if one.acknowledged)

    def poison(self) -> list[tuple[Sent, Reason]]:
        """The acknowledged bad records."""
        return [(one, one.poison.reason) for one in self.acknowledged() if one.poison is not None]

    def accepted(self, person: str, receipt: dict[str, Any]) -> None:
        """Note a receipt; the same one again is as it should be."""
        lease_id = UUID(receipt["lease_id"])
        new = Receipt(lease_id, UUID(receipt["annotation_id"]), person, receipt["outcome"])
        known = self.receipts.setdefault(lease_id, new)
        if known != new:
            self.breach(f"lease {lease_id} got two different receipts: {known} and {new}")

    def breach(self, what: str) -> None:
        self.breaches.append(f"{self.clock:.1f} s: {what}")

    def fault(self, kind: str, target: str) -> Happened:
        """Note that a fault begins."""
        happened = Happened(kind, target, self.clock)
        self.faults.append(happened)
        return happened
