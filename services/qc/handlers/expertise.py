"""Experts' decisions that were marked become gold: qc alone knows what they decided."""

from collections.abc import Sequence

from services.qc.domain.item import ItemState
from services.qc.store import Store
from shared.bus.records import Received
from shared.bus.references import Naming
from shared.bus.unit import Unit
from shared.events import Audience, GoldAnswer, GoldMark, Path, Quality
from shared.labels import LabelValue
from shared.topics import GOLD_ANSWERS


async def publish_marked(batch: Sequence[Received[Quality]], naming: Naming, unit: Unit) -> None:
    """The answer of each item that was marked, as its expert gave it. Marks of anything else say nothing."""
    marks = [(r, m) for r in batch if isinstance(m := r.event.measurement, GoldMark)]
    if not marks:
        return
    store = Store(unit.connection, naming)
    items = await store.claim_items((r.event.project_id, mark.item_id) for r, mark in marks)
    await store.fill_answers(items)
    for received, mark in marks:
        key = (received.event.project_id, mark.item_id)
        value = decided(items[key], mark.version)
        if value is not None:
            at = received.event.measured_at
            answer = GoldAnswer(project_id=key[0], item_id=key[1], value=value, created_at=at)
            unit.emit(GOLD_ANSWERS, answer, cause=received.record)


def decided(item: ItemState, version: int) -> LabelValue | None:
    """What an expert decided in the round of the live label; None where none did, or the label is another."""
    label = item.label
    if label is None or item.erased or label.path is not Path.EXPERT or label.version != version:
        return None
    words = [a.value for a in item.answers.values() if a.role is Audience.EXPERT and a.symbol == label.symbol]
    return next((value for value in words if value is not None), None)
