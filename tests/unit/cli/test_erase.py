"""When topics will have forgotten, and whom a record is about."""

from datetime import timedelta

import pytest

from cli.erase.expiry import CHECKED_EVERY, expiries, holding
from cli.erase.subjects import Subject
from shared.bus.admin import TopicState
from shared.topics import ANNOTATIONS, DAY_MS, GOLD_ITEMS, ITEMS, LABELS, MODELS, PREDICTIONS, PROJECTS, QUALITY
from tests.support import events as make

ITEM = Subject.of(make.erasure("i1"))
PERSON = Subject.of(make.erasure(subject="annotator", annotator_id="ann"))
DAY = timedelta(days=1)


def state(**config: str) -> TopicState:
    return TopicState(1, 1, config={key.replace("_", "."): value for key, value in config.items()})


@pytest.mark.parametrize(
    ("config", "days"),
    [
        ({"retention_ms": str(7 * DAY_MS), "segment_ms": str(DAY_MS), "cleanup_policy": "delete"}, 8),
        ({"retention_ms": str(7 * DAY_MS), "cleanup_policy": "delete"}, 14),  # a broker's default segment is a week
        ({}, 14),  # a broker that says nothing: as the topic was made
        ({"cleanup_policy": "compact", "segment_ms": str(DAY_MS)}, 1),
        ({"cleanup_policy": "compact", "segment_ms": str(9 * DAY_MS), "max_compaction_lag_ms": str(2 * DAY_MS)}, 2),
    ],
)
def test_the_date_is_the_latest_that_the_settings_allow(config: dict[str, str], days: int) -> None:
    (only,) = expiries(ITEM, {ITEMS.name: state(**config)}, make.AT)
    assert only.gone_by == make.AT + days * DAY + CHECKED_EVERY


def test_a_topic_that_keeps_for_ever_has_no_date() -> None:
    (only,) = expiries(ITEM, {ITEMS.name: state(retention_ms="-1")}, make.AT)
    assert (only.gone_by, "--fix" in only.how) == (None, True)


def test_every_topic_that_can_hold_it_is_named() -> None:
    items, people = holding(ITEM), holding(PERSON)
    assert {ITEMS, PREDICTIONS, ANNOTATIONS, LABELS, GOLD_ITEMS} <= set(items)
    assert not {PROJECTS, MODELS, QUALITY} & set(items)
    assert {ANNOTATIONS, LABELS, QUALITY} <= set(people)
    assert ITEMS not in people
    dead = [one.topic for one in expiries(ITEM, {ITEMS.dlq: state()}, make.AT)]
    assert dead == [ITEMS.dlq]
