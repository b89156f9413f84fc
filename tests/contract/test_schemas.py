"""The contract as committed: schemas and examples are what the code says, and old records stay readable."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.docs import schemas
from cli.docs.__main__ import main, stale
from cli.docs.compatibility import breaks
from shared.bus.records import Received, Record
from shared.bus.validate import decode
from shared.topics import TOPICS
from tests.contract import examples

REPOSITORY = examples.REPOSITORY
REGENERATE = "python -m cli.docs"


def test_no_event_breaks_its_released_schema() -> None:
    found = breaks(list(schemas.changes(REPOSITORY)))
    assert not found, "\n".join(map(str, found)) + "\na break needs a new topic version (.v2)"


def test_golden_schemas_are_current() -> None:
    assert stale(REPOSITORY, schemas.schemas()) == [], f"run `{REGENERATE} schemas` and look at what it reports"


def test_there_are_no_orphan_schemas() -> None:
    assert schemas.orphans(REPOSITORY) == [], "an event was removed or renamed: that is a break of its readers"


def test_an_orphan_is_found(tmp_path: Path) -> None:
    orphan = schemas.ROOT / "items.v1" / "gone.json"
    (tmp_path / orphan).parent.mkdir(parents=True)
    (tmp_path / orphan).write_text("{}")
    assert schemas.orphans(tmp_path) == [orphan]


def test_the_generator_refuses_to_overwrite_a_golden_schema_with_a_break(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else a regenerated file would hide what it broke."""
    monkeypatch.setattr("cli.docs.__main__.REPOSITORY", tmp_path)
    assert main(["schemas"]) == 0
    golden = tmp_path / schemas.ROOT / "labels.v1" / "label.json"
    released = golden.read_text().replace('"cost": {', '"price": {"type": "number"},\n  "cost": {', 1)
    golden.write_text(released)
    assert main(["schemas"]) == 1
    assert golden.read_text() == released
    assert "break: labels.v1 price: field removed" in capsys.readouterr().out


def test_every_topic_has_examples_of_this_version() -> None:
    version = examples.current_version()
    for topic in TOPICS:
        path = examples.path_of(topic, version)
        assert path.exists(), "run `python -m tests.contract.examples` for the new version"
        shown = {example.name for example in examples.load() if example.topic is topic and example.version == version}
        assert shown == {schemas.event_name(event) for event in topic.events}


@pytest.mark.parametrize("example", examples.load(), ids=lambda e: f"{e.topic.name}-{e.version}-{e.name}")
def test_records_of_every_released_version_are_read_as_before(example: examples.Example) -> None:
    record = Record(example.topic.name, 0, 0, example.key.encode(), example.body.encode(), (), 0)
    judged = decode(example.topic, record, max_bytes=1_048_576)
    assert isinstance(judged, Received), judged
    assert schemas.event_name(type(judged.event)) == example.name
    assert str(judged.event.event_id) == example.event_id
    assert judged.event.key == example.key
    missing = list(lost(json.loads(example.body), json.loads(judged.event.model_dump_json())))
    assert not missing, "what an old record says must still be there, and mean the same"


def lost(written: Any, read: Any, place: str = "body") -> Iterator[str]:
    """Places of a released record whose value is gone or another; fields that came since are no loss."""
    if isinstance(written, dict) and isinstance(read, dict):
        for name, value in written.items():
            if name not in read:
                yield f"{place}.{name} is gone"
            else:
                yield from lost(value, read[name], f"{place}.{name}")
    elif isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        for number, (one, other) in enumerate(zip(written, read, strict=True)):
            yield from lost(one, other, f"{place}[{number}]")
    elif written != read:
        yield f"{place} was {written!r}, is {read!r}"


def test_a_lost_value_is_found() -> None:
    written = {"a": 1, "b": {"c": [1, {"d": 2}]}}
    assert list(lost(written, {**written, "new": 1})) == []
    assert list(lost(written, {"b": {"c": [1, {"d": 3}], "e": 0}})) == ["body.a is gone", "body.b.c[1].d was 2, is 3"]


def test_a_newer_record_is_read_by_this_version() -> None:
    """Unknown fields are ignored on every level; an unknown kind is refused with a reason, never a crash."""
    for example in examples.load():
        body = json.loads(example.body)
        record = Record(example.topic.name, 0, 0, example.key.encode(), json.dumps(grown(body)).encode(), (), 0)
        judged = decode(example.topic, record, max_bytes=1_048_576)
        assert isinstance(judged, Received), (example, judged)
        assert json.loads(judged.event.model_dump_json()) == json.loads(
            example.topic.event.validate_json(example.body).model_dump_json()
        )


FREE = ("distribution", "parameters", "metrics", "metadata", "attributes", "lineage", "renamed")
"""Objects whose names are data."""


def grown(body: Any) -> Any:
    """The record with one field more in every object."""
    if isinstance(body, list):
        return [grown(each) for each in body]
    if isinstance(body, dict):
        inner = {name: value if name in FREE else grown(value) for name, value in body.items()}
        return inner | {"from_tomorrow": {"anything": [1]}}
    return body


def test_examples_of_this_version_are_what_it_writes() -> None:
    """Until the version is released; then its examples stay and a new version adds its own."""
    for topic in TOPICS:
        path = examples.path_of(topic, examples.current_version())
        assert path.read_text() == examples.written(topic), "run `python -m tests.contract.examples`"
