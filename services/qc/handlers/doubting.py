"""Reading back which labels qc itself asked for again, for a doubt, or revised."""

from collections import Counter
from collections.abc import Sequence

from services.qc.domain.fold import rounds_of
from services.qc.store import Store
from shared.bus.records import Received
from shared.bus.unit import Unit
from shared.events import Relabel, RelabelCause
from shared.topics import QC

DOUBTS = (RelabelCause.LABEL_ERROR, RelabelCause.REVISION)


async def rebuild_relabels(batch: Sequence[Received[Relabel]], unit: Unit) -> None:
    """What an earlier database asked for is not asked for again, and was paid out of the budget of its day."""
    own = [r.event for r in batch if r.event.requested_by == QC and r.event.cause in DOUBTS]
    if not own:
        return
    store, today, used = Store(unit.connection), unit.now.date(), Counter[str]()
    searches = await store.lock_searches(event.project_id for event in own)
    items = await store.claim_items((event.project_id, event.item_id) for event in own)
    await store.fill_rounds(items)
    before = rounds_of(items)
    for event in own:
        item = items[event.project_id, event.item_id]
        if not item.erased and item.merge_relabel(event):
            used[event.project_id] += event.requested_at.date() == today
    await store.save_rounds({key: record for key, record in rounds_of(items).items() if before.get(key) != record})
    await store.save_searches({name: one.spent(used[name], today) for name, one in searches.items()})
