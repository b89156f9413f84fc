"""The contract as committed: schemas and examples are what the code says, and old records stay readable."""

from pathlib import Path

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


def test_examples_of_this_version_are_what_it_writes() -> None:
    """Until the version is released; then its examples stay and a new version adds its own."""
    for topic in TOPICS:
        path = examples.path_of(topic, examples.current_version())
        assert path.read_text() == examples.written(topic), "run `python -m tests.contract.examples`"
