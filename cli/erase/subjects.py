"""What is to be forgotten, and whether a record is about it."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from shared.bus.records import Record
from shared.events import Erasure

PEOPLE_FIELDS = ("annotator_id", "excluded_annotators")


@dataclass(frozen=True, slots=True)
class Subject:
    """An item (project and id) or a person.

    Attributes:
        key: of the event in the topic of erasures, which is that of an item's events too.
    """

    key: str
    project_id: str | None = None
    item_id: str | None = None
    annotator_id: str | None = None

    @classmethod
    def of(cls, event: Erasure) -> "Subject":
        if event.subject == "annotator":
            return cls(event.key, annotator_id=event.annotator_id)
        return cls(event.key, event.project_id, event.item_id)

    def __str__(self) -> str:
        if self.annotator_id is not None:
            return f"person {self.annotator_id!r}"
        return f"item {self.item_id!r} of project {self.project_id!r}"


class Forgotten:
    """Everything that was erased, to be asked about records."""

    def __init__(self, events: Iterable[Erasure]) -> None:
        subjects = [Subject.of(event) for event in events]
        self.items = {subject.key for subject in subjects if subject.annotator_id is None}
        self.people = {subject.annotator_id for subject in subjects if subject.annotator_id is not None}

    def holds(self, record: Record) -> bool:
        """Whether a record is about something that was erased, as far as its key and its value can be read."""
        if not self.items and not self.people:
            return False
        if record.key is not None and record.key.decode("utf-8", "replace") in self.items:
            return True
        body = _body(record.value)
        if f"{body.get('project_id')}/{body.get('item_id')}" in self.items:
            return True
        return bool(self.people) and not self.people.isdisjoint(_people(body))


def _body(value: bytes | None) -> dict[str, Any]:
    """The record's JSON object; empty where it is none."""
    try:
        found = json.loads(value or b"{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _people(node: Any) -> Iterator[str]:
    """Every person that a body names, at any depth."""
    left = [node]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            for field in PEOPLE_FIELDS:
                named = one.get(field)
                yield from [named] if isinstance(named, str) else (n for n in named or () if isinstance(n, str))
            left += one.values()
        elif isinstance(one, list):
            left += one
