"""Every statement on qc's tables. All are set-based: a batch costs the same number of statements at any size.

Rows are locked in one order everywhere: items by key, then annotator counts, annotators, classes and agreement by key.
So batches of both topics and of every replica wait for each other and never deadlock.
"""

from services.qc.store.counts import CountStore
from services.qc.store.gold import GoldStore
from services.qc.store.items import ItemStore
from services.qc.store.snapshots import SnapshotStore

__all__ = ["Store"]


class Store(ItemStore, CountStore, GoldStore, SnapshotStore):
    """All statements on one connection, inside its transaction."""
