"""Loading and saving whole aggregates: the items a batch touches, each in one query per table."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from operator import attrgetter
from typing import Any

from services.assignment.domain.aggregate import Aggregate, Round
from services.assignment.domain.states import Standing
from services.assignment.store.items import lock_items, park_items, save_items
from services.assignment.store.rounds import lock_rounds, write_rounds
from services.assignment.store.rows import Key


async def load(connection: Any, keys: Iterable[Key], *, ended: bool = False) -> dict[Key, Aggregate]:
    """The aggregates of these items, locked; rows are made for unknown ones.

    Args:
        connection: in a transaction.
        keys: the items.
        ended: load the latest round also where it has ended.
    """
    return await with_rounds(connection, await lock(connection, keys), ended=ended)


async def lock(connection: Any, keys: Iterable[Key]) -> dict[Key, Aggregate]:
    """The same without their rounds."""
    wanted = set(keys)
    known = await lock_items(connection, wanted)
    missing = wanted - known.keys()
    if missing:
        await park_items(connection, missing)
        known |= await lock_items(connection, missing)
    return known


async def with_rounds(connection: Any, known: dict[Key, Aggregate], *, ended: bool = False) -> dict[Key, Aggregate]:
    """Add the latest rounds to aggregates whose items are locked; no statement where nothing was asked."""
    places = [(*key, one.round) for key, one in known.items() if one.open or (ended and one.round > 0)]
    if not places:
        return known
    rounds = await lock_rounds(connection, places)
    return {key: one._replace(asked=rounds.get(key)) for key, one in known.items()}


async def save(connection: Any, before: Mapping[Key, Aggregate], after: Mapping[Key, Aggregate]) -> None:
    """Write what changed, and count the changes of standing."""
    items = [one for key, one in after.items() if _item_changed(before[key], one)]
    rounds = [changed for key, one in after.items() for changed in _changed_rounds(before[key].asked, one.asked)]
    if items:
        changes: Counter[Key] = Counter()
        for one in items:
            was, now = before[one.key].standing, one.standing
            if was is not Standing.PARKED:  # not an item yet: never counted
                changes[one.project_id, was.value] -= 1
            if now is not Standing.PARKED:
                changes[one.project_id, now.value] += 1
        await save_items(connection, items, {key: n for key, n in changes.items() if n})
    if rounds:
        await write_rounds(connection, rounds)


def _item_changed(before: Aggregate, after: Aggregate) -> bool:
    return before is not after and _STORED(before) != _STORED(after)


_STORED = attrgetter("content_hash", "guess", "round", "ending", "label_version", "relabels")


def _changed_rounds(before: Round | None, after: Round | None) -> list[Round]:
    changed = []
    if before is not None and not before.ended and (after is None or after.number != before.number):
        changed.append(replace(before, ended=True))
    if after is not None and after != before:
        changed.append(after)
    return changed
