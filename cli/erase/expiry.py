"""When the topics will have forgotten: from what the brokers say about their retention."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cli.erase.subjects import Subject
from shared.bus.admin import DLQ_RETENTION_MS, TopicState
from shared.events import ItemEvent
from shared.topics import ANNOTATIONS, DAY_MS, GOLD_ANSWERS, GOLD_ITEMS, LABELS, QUALITY, RELABELS, TOPICS, Topic

CHECKED_EVERY = timedelta(minutes=5)
"""How often brokers look for expired segments (log.retention.check.interval.ms)."""
LONGEST_SEGMENT_MS = 7 * DAY_MS
"""A broker's default of segment.ms."""
OF_PEOPLE = (ANNOTATIONS, LABELS, QUALITY, RELABELS)
"""What names people: who answered, whose votes a label stands on, whose skill was measured, who is excluded."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """One topic's promise.

    Attributes:
        gone_by: when nothing of what it holds now is left; None where that cannot be said.
        how: retention, or compaction with its condition.
    """

    topic: str
    gone_by: datetime | None
    how: str


def holding(subject: Subject) -> list[Topic[Any]]:
    """The topics that may hold something about it."""
    if subject.annotator_id is not None:
        return list(OF_PEOPLE)
    return [t for t in TOPICS if any(issubclass(event, ItemEvent) for event in t.events)]


def expiries(subject: Subject, states: Mapping[str, TopicState], now: datetime) -> list[Expiry]:
    """Every topic, and the dead letters of it, that may still hold something.

    Args:
        subject: an item or a person.
        states: of the topics that exist, by logical name.
        now: the time of the erasure.
    """
    found = []
    for topic in holding(subject):
        stated = topic.retention_ms
        found.append(
            _of(topic.name, states.get(topic.name), stated, now, compacted=topic in (GOLD_ITEMS, GOLD_ANSWERS))
        )
        if topic.dlq_owner is not None:
            found.append(_of(topic.dlq, states.get(topic.dlq), DLQ_RETENTION_MS, now, compacted=False))
    return [one for one in found if one is not None]


def _of(name: str, state: TopicState | None, stated_ms: int, now: datetime, *, compacted: bool) -> Expiry | None:
    if state is None:
        return None
    segment = _milliseconds(state, "segment.ms", LONGEST_SEGMENT_MS)
    if "compact" in state.config.get("cleanup.policy", "compact" if compacted else "delete"):
        dirty = timedelta(milliseconds=min(segment, _milliseconds(state, "max.compaction.lag.ms", segment)))
        return Expiry(name, now + dirty + CHECKED_EVERY, "compacted, at the next record after that")
    retention = _milliseconds(state, "retention.ms", stated_ms)
    if retention < 0:
        return Expiry(name, None, "kept for ever: retention.ms is -1; `labelstream topics create --fix` sets it")
    gone = now + timedelta(milliseconds=retention + segment) + CHECKED_EVERY
    return Expiry(name, gone, f"kept {_days(retention)} + {_days(segment)} of a segment")


def _days(milliseconds: int) -> str:
    return f"{milliseconds / DAY_MS:g} d"


def _milliseconds(state: TopicState, key: str, default: int) -> int:
    text = state.config.get(key, "")
    return int(text) if text.lstrip("-").isdigit() else default
