"""Every statement on qc's tables. All are set-based: a batch costs the same number of statements at any size.

Rows are locked in one order everywhere: items by key, then annotator counts, annotators, classes, agreement, conduct
and trust.
So batches of both topics and of every replica wait for each other and never deadlock.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable

from services.qc.domain.counts import Parameters, build, named_cells, named_learned, unpack
from services.qc.store.conduct import ConductStore
from services.qc.store.counts import CountStore
from services.qc.store.doubts import DoubtStore
from services.qc.store.erasing import ErasingStore
from services.qc.store.gold import GoldStore
from services.qc.store.goldplans import GoldPlanStore
from services.qc.store.items import ItemStore, Known
from services.qc.store.patterns import PatternStore
from services.qc.store.reviews import ReviewStore
from services.qc.store.snapshots import SnapshotStore
from services.qc.store.trust import TrustStore
from shared.labels import Names

__all__ = ["Known", "ParameterCache", "Store"]


class Store(
    ItemStore,
    CountStore,
    GoldStore,
    GoldPlanStore,
    PatternStore,
    ReviewStore,
    DoubtStore,
    SnapshotStore,
    ConductStore,
    TrustStore,
    ErasingStore,
):
    """All statements on one connection, inside its transaction.

    Args:
        connection: the transaction's.
        naming: the present names of classes that were renamed: what is read is given these, for rows stay as they were
            written. A batch keeps one naming to its end.
    """


class ParameterCache:
    """The newest parameters of each project in memory; a snapshot never changes, so it is read and built once.

    `arrived`: project -> annotations that this replica took in since its last look at whether a snapshot is due;
    `since`: since the newest snapshot that it knows.
    """

    def __init__(self) -> None:
        self._known: dict[str, Parameters] = {}
        self._named: dict[str, Names] = {}
        self.arrived: Counter[str] = Counter()
        self.since: Counter[str] = Counter()

    def took_in(self, projects: Iterable[str]) -> None:
        """Count annotations, each by its project."""
        for counter in (self.arrived, self.since):
            counter.update(projects)

    def behind(self, project: str, least: int, most: int) -> bool:
        """Whether the newest snapshot knows less than half of the answers, of at least and at most so many."""
        known = self._known[project].crowd.total if project in self._known else 0.0
        return self.since[project] >= max(least, known) and self.since[project] + known <= most

    async def latest(self, projects: Iterable[str], store: Store) -> dict[str, Parameters]:
        """The parameters of each project; those of snapshot 0 where there is none yet."""
        wanted = set(projects)
        numbers = await store.get_latest(wanted)
        names = {project: store.names(project) for project in numbers}
        changed = {p: n for p, n in numbers.items() if p not in self._known or self._known[p].snapshot != n}
        renamed = {p: n for p, n in numbers.items() if p not in changed and self._named[p] != names[p]}
        for project, body in (await store.get_bodies(changed | renamed)).items():
            self._known[project] = await asyncio.to_thread(_unpacked, numbers[project], body, names[project])
            self._named[project] = names[project]
            if project in changed:
                self.since[project] = 0
        return {project: self._known[project] if project in numbers else NOTHING for project in wanted}


def _unpacked(number: int, body: str, names: Names) -> Parameters:
    cells, learned = unpack(body)
    return build(number, named_cells(cells, names), named_learned(learned, names))


NOTHING = build(0, ())
