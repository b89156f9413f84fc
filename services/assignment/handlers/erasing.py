"""Forgetting items and people, as `erasures.v1` asks."""

from collections import Counter
from collections.abc import Mapping, Sequence

from services.assignment.domain.aggregate import erase
from services.assignment.domain.annotations import given_id
from services.assignment.domain.leases import ERASED_PERSON, LeaseState
from services.assignment.domain.lifecycle import returned
from services.assignment.metrics import AssignmentMetrics
from services.assignment.store.aggregates import lock, save
from services.assignment.store.erasing import (
    delete_person,
    delete_rounds_and_leases,
    list_given,
    list_held,
    rename_given,
)
from services.assignment.store.items import blank_items
from services.assignment.store.leases import Finish, finish, get_round_ids, lock_leases
from services.assignment.store.rounds import lock_by_id
from services.assignment.store.rows import Key
from shared.bus.unit import Unit
from shared.db.erasures import Removed

CHUNK = 1000


class AssignmentEraser:
    """See `shared.bus.erasing`."""

    def __init__(self, metrics: AssignmentMetrics) -> None:
        self._metrics = metrics

    async def erase_items(self, keys: Sequence[Key], unit: Unit) -> Mapping[Key, Removed]:
        """Content, prediction, rounds and leases go; the row stays, in the state `erased`. A running lease ends."""
        before = await lock(unit.connection, keys)
        removed = await delete_rounds_and_leases(unit.connection, keys)
        fresh = {key: one for key, one in before.items() if not one.erased}
        await save(unit.connection, fresh, {key: erase(one) for key, one in fresh.items()})
        await blank_items(unit.connection, fresh)
        for key, one in fresh.items():
            removed[key]["contents"] += one.content_hash is not None
        return {key: +found for key, found in removed.items()}

    async def erase_person(self, annotator_id: str, unit: Unit) -> Removed:
        """The account goes, what is held is given back; answers stay, each by a nobody of its own."""
        await self._give_back(annotator_id, unit)
        removed: Removed = Counter()
        while given := await list_given(unit.connection, annotator_id, CHUNK):
            names = [f"{ERASED_PERSON}{given_id(*one.key, annotator_id, gold=one.gold)}" for one in given]
            await rename_given(unit.connection, [one.token for one in given], names)
            removed["answers_made_anonymous"] += len(given)
        return +(removed + await delete_person(unit.connection, annotator_id))

    async def _give_back(self, annotator_id: str, unit: Unit) -> None:
        """End what the person holds, as if its time were up."""
        held = await list_held(unit.connection, annotator_id)
        if not held:
            return
        rounds = await lock_by_id(unit.connection, await get_round_ids(unit.connection, held))
        ends = []
        for lease in (await lock_leases(unit.connection, held)).values():
            if lease.state is not LeaseState.ACTIVE:
                continue
            ends.append(Finish(lease.id, LeaseState.EXPIRED))
            self._metrics.leases.labels(lease.project_id, "expired").inc()
            if lease.round_id is not None:
                rounds[lease.round_id] = returned(rounds[lease.round_id], lease.role, None)
        if ends:
            await finish(unit.connection, ends, list(rounds.values()), unit.now)
