"""Records that tell a service nothing are passed over by their headers, and the offsets move beyond them."""

from types import SimpleNamespace
from typing import Any

from prometheus_client import CollectorRegistry

from shared.bus.consumer import Consumer
from shared.bus.records import Received, outgoing, written_by
from shared.bus.validate import Rejected
from shared.events import Label
from shared.runtime.metrics import BusMetrics
from shared.runtime.settings import KafkaSettings, ServiceSettings
from shared.topics import ASSIGNMENT, LABELS, QC
from tests.support import events as make


class Noting(Consumer[Label]):
    """Keeps what it is given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        kafka = KafkaSettings(security_protocol="PLAINTEXT", allow_insecure=True)
        settings = ServiceSettings(kafka=kafka)
        super().__init__(QC, LABELS, settings, BusMetrics(registry), written_by(ASSIGNMENT))
        self.seen: list[tuple[list[str], int, dict[int, int]]] = []

    async def _positions(self, partitions: set[int]) -> dict[int, int]:
        return dict.fromkeys(partitions, 0)

    async def _apply(self, valid: list[Received[Label]], refused: list[Rejected], ends: dict[int, int]) -> int:
        self.seen.append(([one.event.item_id for one in valid], len(refused), ends))
        return len(refused)

    async def tick(self) -> None: ...


def raw(offset: int, label: Label, source: str, **more: Any) -> SimpleNamespace:
    """As aiokafka gives it."""
    made = outgoing(LABELS, label, source=source)
    known = {
        "topic": LABELS.name, "partition": 0, "offset": offset, "key": made.key, "value": made.value,
        "headers": made.headers, "timestamp": 1,
    }  # fmt: skip
    return SimpleNamespace(**(known | more))


async def test_what_assignment_wrote_is_passed_over_unread() -> None:
    registry = CollectorRegistry()
    consumer = Noting(registry)
    await consumer._take(
        [
            raw(0, make.auto_label("a"), ASSIGNMENT),
            raw(1, make.label("b"), QC),
            raw(2, make.label("c"), QC, value=b"{"),
            raw(3, make.auto_label("d"), ASSIGNMENT, value=b"{"),
            raw(4, make.label("e"), QC, headers=()),
        ]
    )
    await consumer._take([raw(5, make.auto_label("f"), ASSIGNMENT)])
    assert consumer.seen == [(["b", "e"], 1, {0: 5}), ([], 0, {0: 6})]
    read = {o: registry.get_sample_value("labelstream_records_total", {"topic": "labels.v1", "outcome": o})
            for o in ("processed", "skipped")}  # fmt: skip
    assert read == {"processed": 2, "skipped": 3}
