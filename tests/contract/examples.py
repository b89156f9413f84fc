"""Golden example events. `python -m tests.contract.examples` adds those of the version in pyproject.toml.

An example of a released version is never changed: it stands for the records that are in people's topics.
"""

import json
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.docs.schemas import event_name
from shared.bus.records import outgoing
from shared.events import Ask, Erasure, Event, RouteState
from shared.topics import BY_NAME, TOPICS, Topic
from tests.support import events as make

REPOSITORY = Path(__file__).parents[2]
ROOT = REPOSITORY / "tests/contract/examples"


@dataclass(frozen=True, slots=True)
class Example:
    """One record that a released version wrote."""

    topic: Topic[Event]
    version: str
    name: str
    event_id: str
    key: str
    body: str


def current_version() -> str:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def variants() -> tuple[Event, ...]:
    """One event of each class, and those whose shape differs by what they say."""
    return (
        *make.one_of_each(), make.abstention("i2"), make.skip("i2"), make.exhausted("i3"), make.auto_label("i2"),
        make.route("i2", state=RouteState.SAMPLED_OUT), make.escalation("i2", ask=Ask.EXPERT),
        Erasure(subject="annotator", annotator_id="ann", requested_at=make.AT),
    )  # fmt: skip


def document(event: Event) -> dict[str, Any]:
    topic = next(topic for topic in TOPICS if type(event) in topic.events)
    record = outgoing(topic, event, source="labelstream/example")
    body = json.loads(record.value or b"")
    return {"event": event_name(type(event)), "id": str(event.event_id), "key": event.key, "body": body}


def path_of(topic: Topic[Event], version: str) -> Path:
    return ROOT / topic.name / f"{version}.json"


def written(topic: Topic[Event]) -> str:
    """The examples of a topic as this code would write them."""
    found = [document(event) for event in variants() if type(event) in topic.events]
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def load() -> list[Example]:
    """Every example of every released version."""
    found = []
    for path in sorted(ROOT.rglob("*.json")):
        for each in json.loads(path.read_text()):
            body = json.dumps(each["body"])
            found.append(Example(BY_NAME[path.parent.name], path.stem, each["event"], each["id"], each["key"], body))
    return found


def main() -> None:
    """Write the examples of the current version; a second run is for a version that is not released yet."""
    for topic in TOPICS:
        path = path_of(topic, current_version())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(written(topic))
        sys.stdout.write(f"{path.relative_to(REPOSITORY)}\n")


if __name__ == "__main__":
    main()
