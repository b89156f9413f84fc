"""The golden JSON Schemas of the events, one file per topic and event."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from cli.docs.compatibility import Change, Schema, compare
from shared.events import Event
from shared.topics import TOPICS, Topic

ROOT = Path("tests/contract/schemas")
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def event_name(event: type[Event]) -> str:
    """The middle of `ce_type`: `labelstream.item.v1` gives `item`."""
    match = re.fullmatch(r"labelstream\.([a-z_]+)\.v[0-9]+", event.ce_type)
    if match is None:
        raise ValueError(f"{event.__name__}.ce_type is {event.ce_type!r}, not labelstream.<name>.v<number>")
    return match[1]


def schema_of(topic: Topic[Event], event: type[Event]) -> Schema:
    """The JSON Schema of an event's body, with its type and its topic's key, which are part of the contract."""
    head = {"$schema": DIALECT, "x-type": event.ce_type, "x-key": topic.key}
    return head | event.model_json_schema()


def golden_path(topic: Topic[Event], event: type[Event]) -> Path:
    return ROOT / topic.name / f"{event_name(event)}.json"


def schemas() -> dict[Path, str]:
    """Every golden file, by its path in the repository."""
    return {
        golden_path(topic, event): json.dumps(schema_of(topic, event), indent=1, sort_keys=True) + "\n"
        for topic in TOPICS
        for event in topic.events
    }


def changes(repository: Path) -> Iterator[Change]:
    """What the code changes against the golden files that are there."""
    for topic in TOPICS:
        for event in topic.events:
            golden = repository / golden_path(topic, event)
            if golden.exists():
                yield from compare(json.loads(golden.read_text()), schema_of(topic, event), topic.name)


def orphans(repository: Path) -> list[Path]:
    """Golden files of no event: an event was removed or renamed without a new topic version."""
    known = set(schemas())
    found = (path.relative_to(repository) for path in sorted((repository / ROOT).rglob("*.json")))
    return [path for path in found if path not in known]
