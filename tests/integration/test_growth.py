"""The counters of growth: what an item costs does not depend on how many there are. Counts only, never time."""

from collections.abc import AsyncGenerator

import pytest

from tests.bench.growth import Circuit, circuit, measure
from tests.bench.stock import copy_items, rows_of

ROUNDS = "assignment.rounds"
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def made() -> AsyncGenerator[Circuit]:
    async with circuit() as one:
        yield one


async def test_copies_are_what_the_services_would_have_stored(made: Circuit) -> None:
    """Real items with the copies' names, sent in the same order, leave the same rows."""
    copies = 800
    await copy_items(made.admin, 0, copies, prefix="b")
    names = {letter: [f"{letter}{n:09d}" for n in range(copies)] for letter in "bc"}
    half = copies // 2
    await made.auto(names["c"][:half])
    await made.auto(names["c"][half:], confidence=0.7)
    copied, real = [await rows_of(made.admin, names[letter]) for letter in "bc"]
    times = {"received_at", "waiting_since"}
    for table in ("assignment.items", "monitor.items"):
        for one, other in zip(copied[table][:half], real[table][:half], strict=True):
            same = {key: one[key] for key in one if key not in times} | {"item_id": other["item_id"]}
            assert same == {key: other[key] for key in other if key not in times}, table
    accepted = set(names["b"][:half]) | set(names["c"][:half])
    assert not accepted & {row["item_id"] for row in (*copied["qc.items"], *real["qc.items"])}
    fresh = [(one, other) for one, other in zip(copied[ROUNDS], real[ROUNDS], strict=True) if one["granted"] == 0]
    assert len(fresh) > 100
    for one, other in fresh:
        same = {key: one[key] for key in one if key not in times} | {"item_id": other["item_id"]}
        assert same == {key: other[key] for key in other if key not in times}
    assert len(copied["assignment.rounds"]) == len(real["assignment.rounds"]) == half
    assert len(copied["assignment.leases"]) == len(copied["qc.annotations"]) == len(copied["qc.items"]) >= 200


async def test_an_item_costs_the_same_when_ten_times_as_many_are_stored() -> None:
    found = await measure(small=2_000, large=20_000)
    grown = {name: value for name, value in found.items() if name.endswith("_growth") and value > 1.15}
    assert not grown, found
