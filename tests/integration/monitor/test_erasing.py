"""Forgetting: monitor holds bits and numbers; the state is `erased`, wherever the erasure comes."""

import random
from typing import Any

import pytest

from services.monitor.domain.counters import Key, Kind
from shared.topics import ERASURES, ITEMS, LABELS, PREDICTIONS, QUALITY, RELABELS, ROUTES
from tests.support import events as make
from tests.support.monitor import Monitor

P = make.PROJECT
DOUBTED = make.label(
    "gone", value="negative", posterior=0.5, evidence={"proposal": make.proposal("positive", confidence=0.4)}
)
STREAMS: tuple[tuple[Any, list[Any]], ...] = (
    (ITEMS, [make.item("gone"), make.item("kept"), make.item("gone")]),
    (PREDICTIONS, [make.prediction("gone"), make.prediction("kept")]),
    (ROUTES, [make.route("gone"), make.route("kept")]),
    (LABELS, [DOUBTED, make.label("kept")]),
    (ERASURES, [make.erasure("gone"), make.erasure(subject="annotator", annotator_id="ann")]),
    (QUALITY, [make.quality()]),
)


@pytest.mark.parametrize("seed", range(6))
async def test_facts_converge_wherever_the_erasure_comes(monitor: Monitor, seed: int) -> None:
    dice = random.Random(seed)
    left = [(topic, list(events)) for topic, events in STREAMS]
    while left:
        topic, events = dice.choice(left)
        await monitor.handle(topic, [events.pop(0)])
        left = [(topic, events) for topic, events in left if events]
    for topic, events in dice.sample(STREAMS, len(STREAMS)):
        await monitor.handle(topic, events)
    counts = await monitor.counts()
    items = {key.part: n for key, n in counts.items() if key.kind is Kind.ITEMS}
    assert items == {"erased": 1, "labelled": 1}
    assert counts[Key(P, Kind.LABELS, "consensus")] == 2  # the traffic as it was
    async with monitor.pool.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM relabels") == 0
        assert await connection.fetchval("SELECT count(*) FROM measurements") == 0
    assert not [record for record in await monitor.published() if record.topic == RELABELS.name]
