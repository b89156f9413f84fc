"""Batches of different topics touch the same items at once: they may wait for each other, never in a circle."""

import asyncio

import pytest

from services.assignment.store.items import lock_items
from shared.topics import ITEMS, PREDICTIONS
from tests.support import events as make
from tests.support.assignment import Replica

pytestmark = pytest.mark.timeout(60)


async def test_an_item_that_comes_again_waits_for_nobody(replica: Replica) -> None:
    """Its batch holds new rows, for which the one that holds the old row may be waiting."""
    name, *_ = await replica.seed(1)
    same, conflicting = make.item(name, text=f"text of {name}"), make.item(name, text="something else")
    async with replica.service.unit() as other:
        assert await lock_items(other.connection, [(make.PROJECT, name)])
        async with asyncio.timeout(5):
            await replica.handle(ITEMS, same, make.item("new"))
            await replica.handle(ITEMS, conflicting)
    assert replica.refused == [("items.v1", "id_conflict")]


async def test_repeated_items_and_their_predictions_never_deadlock(replica: Replica) -> None:
    for number in range(15):
        names = [f"n{number:02d}-{place:02d}" for place in range(20)]
        again = [f"n{number - 1:02d}-{place:02d}" for place in range(20)] if number else []
        async with asyncio.TaskGroup() as group:
            group.create_task(replica.handle(ITEMS, *(make.item(name) for name in [*names, *again])))
            group.create_task(replica.handle(PREDICTIONS, *(make.prediction(name) for name in [*again, *names])))
    (row,) = await replica.sql("SELECT count(*) AS n FROM items WHERE standing = 'open'")
    assert row["n"] == 300
