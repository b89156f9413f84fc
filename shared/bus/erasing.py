"""Obeying `erasures.v1`: the same frame for every service with a database.

What is erased is erased in one transaction with the offset, and noted in the list that keeps late records out. The list
is read before anything else of a rebuild. A record that another transaction took in at the same moment is found by the
job, which looks again.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Protocol

import structlog

from shared.bus.records import Received
from shared.bus.unit import Unit
from shared.db.erasures import (
    Noted,
    Removed,
    list_items,
    list_people,
    names_in_outbox,
    note_erasures,
    take_from_outbox,
)
from shared.errors import RetryLater
from shared.events import Erasure

log = structlog.get_logger(__name__)

ItemKey = tuple[str, str]
OpenUnit = Callable[[], AbstractAsyncContextManager[Unit]]

AGAIN_FOR = timedelta(hours=1)
"""How long after its request an item is looked for again: no transaction is older."""
AGAIN_LIMIT = 1000


class Eraser(Protocol):
    """What a service does about it; both give what was removed, and removing again removes nothing."""

    async def erase_items(self, keys: Sequence[ItemKey], unit: Unit) -> Mapping[ItemKey, Removed]:
        """Forget all that items hold and what people said of them; only their ids stay, marked as erased."""
        ...

    async def erase_person(self, annotator_id: str, unit: Unit) -> Removed:
        """Forget who a person is and cut what they answered loose from them."""
        ...


class Erasing:
    """The handler of `erasures.v1` and the job that looks again."""

    def __init__(self, eraser: Eraser, unit: OpenUnit) -> None:
        self._eraser = eraser
        self._unit = unit

    async def on_erasures(self, batch: Sequence[Received[Erasure]], unit: Unit) -> None:
        """Erase what the batch names.

        Raises:
            RetryLater: the outbox still holds a record that names a person; it has to be published first, since an
                answer that was accepted must reach qc.
        """
        asked = {received.event.key: _noted(received.event) for received in batch}
        await self._erase(list(asked.values()), unit)

    async def again(self) -> None:
        """Look again for people, and for items whose erasure is young."""
        async with self._unit() as unit:
            people = await list_people(unit.connection)
            items = await list_items(unit.connection, unit.now - AGAIN_FOR, AGAIN_LIMIT)
        for noted in ([one] for one in people):
            async with self._unit() as unit:
                await self._erase(noted, unit, only_if_found=True)
        if items:
            async with self._unit() as unit:
                await self._erase(items, unit, only_if_found=True)

    async def _erase(self, asked: Sequence[Noted], unit: Unit, *, only_if_found: bool = False) -> None:
        people = [one.annotator_id for one in asked if one.annotator_id is not None]
        if people and await names_in_outbox(unit.connection, people):
            raise RetryLater("the outbox still holds records that name a person who is to be erased")
        items = {_key(one): one for one in asked if one.annotator_id is None}
        erased: dict[Noted, Removed] = {}
        if items:
            removed = await self._eraser.erase_items(sorted(items), unit)
            unsent = await take_from_outbox(unit.connection, (one.subject for one in items.values()))
            erased = {one: removed.get(key, Counter()) + unsent[one.subject] for key, one in items.items()}
        for one in asked:
            if one.annotator_id is not None:
                erased[one] = await self._eraser.erase_person(one.annotator_id, unit)
        if only_if_found:
            erased = {one: found for one, found in erased.items() if found}
        if erased:
            await note_erasures(unit.connection, erased, unit.now)
            total = sum(erased.values(), Counter[str]())
            log.info("erased", items=len(items), people=len(people), removed=dict(total))


def _noted(event: Erasure) -> Noted:
    person = event.annotator_id if event.subject == "annotator" else None
    return Noted(event.key, person, event.requested_at)


def _key(noted: Noted) -> ItemKey:
    project_id, _, item_id = noted.subject.partition("/")
    return project_id, item_id
