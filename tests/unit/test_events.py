"""Every event: what it accepts, what it refuses, and that its id and key come from its cause alone."""

import json
import math
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from shared import events as ev
from shared.events.base import MAX_JSON_DEPTH, NAMESPACE, Event, derived_id
from shared.topics import TOPICS
from tests.support import events as make
from tests.support import strategies

EACH = pytest.mark.parametrize("event", make.one_of_each(), ids=lambda event: type(event).__name__)


def body(event: BaseModel) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(event.model_dump_json())
    return found


def read(cls: type[Event], fields: dict[str, Any]) -> Event:
    """As a consumer does: from JSON text, in which Python writes NaN and Infinity bare."""
    return cls.model_validate_json(json.dumps(fields))


def places(value: Any, kinds: type | tuple[type, ...]) -> Iterator[tuple[Any, ...]]:
    """The path of every leaf of the kinds in a JSON document."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            yield from ((key, *rest) for rest in places(inner, kinds))
    elif isinstance(value, kinds) and not isinstance(value, bool):
        yield ()


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(document))
    inner = copy
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return copy


def test_builders_cover_every_class_of_every_topic() -> None:
    assert {type(event) for event in make.one_of_each()} == {cls for topic in TOPICS for cls in topic.events}


@settings(deadline=None)
@given(strategies.any_event())
def test_events_survive_the_wire(event: ev.Event) -> None:
    again = type(event).model_validate_json(event.model_dump_json())
    assert again == event
    assert (again.event_id, again.key, again.time) == (event.event_id, event.key, event.time)


@settings(deadline=None)
@given(strategies.any_event())
def test_the_topic_union_reads_the_class_that_was_written(event: ev.Event) -> None:
    topic = next(topic for topic in TOPICS if type(event) in topic.events)
    assert topic.event.validate_json(event.model_dump_json()) == event


@EACH
def test_unknown_fields_are_ignored_at_every_level(event: ev.Event) -> None:
    document = body(event)
    for holder in (document, *(v for v in document.values() if isinstance(v, dict) and "kind" in v)):
        holder["field_of_a_newer_producer"] = {"x": [1]}
    assert read(type(event), document) == event


@EACH
def test_events_are_frozen(event: ev.Event) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        event.project_id = "other"  # type: ignore[attr-defined]


@EACH
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1e400])
def test_no_number_is_nan_or_infinite(event: ev.Event, number: float) -> None:
    document = body(event)
    for path in places(document, (int, float)):
        with pytest.raises(ValidationError):
            read(type(event), replaced(document, path, number))


@EACH
def test_no_integer_is_larger_than_the_database_holds(event: ev.Event) -> None:
    document = body(event)
    for path in places(document, int):
        if path[0] in {"metrics", "metadata"} or path[-2:-1] == ("content",):
            continue
        with pytest.raises(ValidationError):
            read(type(event), replaced(document, path, 10**30))


@EACH
def test_no_text_holds_u0000(event: ev.Event) -> None:
    document = body(event)
    for path in places(document, str):
        with pytest.raises(ValidationError):
            read(type(event), replaced(document, path, "a\x00b"))


@EACH
def test_no_text_is_a_lone_surrogate(event: ev.Event) -> None:
    document = body(event)
    for path in places(document, str):
        with pytest.raises(ValidationError):
            read(type(event), replaced(document, path, "a\ud800b"))


@EACH
@pytest.mark.parametrize(
    "time", ["2025-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", 1e300]
)
def test_times_have_a_zone_and_fit(event: ev.Event, time: str | float) -> None:
    document = body(event)
    named = [path for path in places(document, str) if str(path[-1]).endswith("_at")]
    assert named
    for path in named:
        with pytest.raises(ValidationError):
            read(type(event), replaced(document, path, time))


@EACH
def test_the_id_depends_on_the_cause_alone(event: ev.Event) -> None:
    assert event.event_id == type(event).model_validate(event.model_dump()).event_id
    assert event.time.utcoffset() == timedelta(0)
    assert len(event.key.encode()) <= 2_000


def test_ids_of_different_causes_differ() -> None:
    events = [*make.one_of_each(), make.item("i2"), make.prediction(generation=2), make.prediction(model_version="m9")]
    events += [make.label(version=2), make.escalation(opinions_wanted=3), make.escalation(ask=ev.Ask.EXPERT)]
    events += [make.route(step=2), make.relabel(round=2), make.model_pointer(generation=2), make.refresh(generation=3)]
    events += [make.gold_answer(value="negative"), make.quality(sequence="21"), make.erasure("i2")]
    assert len({event.event_id for event in events}) == len(events)


def test_derived_ids_are_stable_over_releases() -> None:
    """A changed derivation would make every replay look new."""
    assert str(make.item().event_id) == "a855f8aa-7095-5b5d-9504-0ff89abcc16a"
    assert derived_id("kind", "ab", "c") != derived_id("kind", "a", "bc")


@pytest.mark.parametrize("confidence", [-0.001, 1.001, math.nan, "0.9", True, None])
def test_confidence_is_a_probability(confidence: object) -> None:
    with pytest.raises(ValidationError):
        read(ev.Prediction, body(make.prediction()) | {"confidence": confidence})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"abstention": "no_model"}, "exactly one of value and abstention"),
        ({"value": None}, "exactly one of value and abstention"),
        ({"model_version": None}, "needs model_version"),
        ({"distribution": {"positive": 0.7}}, "add up to 1"),
        ({"distribution": {}}, "at least 1 item"),
    ],
)
def test_a_prediction_proposes_or_abstains(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        read(ev.Prediction, body(make.prediction()) | change)


@pytest.mark.parametrize(
    "event", [make.annotation(), make.skip(), make.exhausted()], ids=["answered", "skipped", "exhausted"]
)
def test_an_annotation_fits_its_outcome(event: ev.Annotation) -> None:
    for outcome in ev.Outcome:
        if outcome is not event.outcome:
            with pytest.raises(ValidationError, match="is given"):
                read(ev.Annotation, body(event) | {"outcome": outcome})


def test_a_label_supersedes_an_older_version_only() -> None:
    assert make.label(version=3, supersedes=1).supersedes == 1
    with pytest.raises(ValidationError, match="cannot supersede"):
        make.label(version=2, supersedes=2)


def test_an_erasure_names_its_subject() -> None:
    assert make.erasure(subject="annotator", annotator_id="ann").key == "annotator#ann"
    for missing in ({"item_id": None}, {"project_id": None}, {"subject": "annotator"}):
        with pytest.raises(ValidationError, match="must be given"):
            make.erasure(**missing)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_json_content_is_bounded_in_depth_and_clean() -> None:
    fields = body(make.item())
    read(ev.Item, fields | {"content": {"kind": "json", "fields": {"a": nested(MAX_JSON_DEPTH - 1)}}})
    for bad in (nested(MAX_JSON_DEPTH), ["a\x00"], {"a\x00": 1}, [math.nan], {"x": -math.inf}):
        with pytest.raises(ValidationError):
            read(ev.Item, fields | {"content": {"kind": "json", "fields": {"a": bad}}})


@pytest.mark.parametrize("raw", ["[" * 100_000, '{"a":' * 100_000, "1" * 100_000, '"\\ud800"', "\ufeff{}", ""])
def test_hostile_json_is_refused_not_fatal(raw: str) -> None:
    for topic in TOPICS:
        with pytest.raises(ValidationError):
            topic.event.validate_json(raw)


def test_item_ids_fit_a_database_index() -> None:
    assert make.item("x" * 512).item_id
    for bad in ("", "x" * 513, "\U0001f600" * 129):
        with pytest.raises(ValidationError):
            make.item(bad)


def test_keys_of_items_are_unambiguous() -> None:
    """A project id holds no slash, so `project/item` has one reading, whatever the item's id."""
    for bad in ("a/b", "A", "", "a\n", "ä", "-a", "x" * 64):
        with pytest.raises(ValidationError):
            make.item(project_id=bad)
    assert make.item("a/b#c").key == "sentiment/a/b#c"


def test_metadata_keeps_the_type_of_its_values() -> None:
    given_values = {"int": 2**60 + 1, "float": 0.5, "bool": True, "none": None, "text": "1"}
    kept = read(ev.Item, body(make.item()) | {"metadata": given_values})
    assert isinstance(kept, ev.Item)
    assert {key: type(value) for key, value in kept.metadata.items()} == {k: type(v) for k, v in given_values.items()}
    assert kept.metadata == given_values


@settings(deadline=None)
@given(strategies.contents)
def test_equal_content_has_one_hash(content: ev.Content) -> None:
    again = type(content).model_validate_json(content.model_dump_json())
    assert ev.content_hash(again) == ev.content_hash(content)


def test_other_content_has_another_hash() -> None:
    contents: list[ev.Content] = [
        ev.TextContent(text="a"), ev.TextContent(text="b"), ev.JsonContent(fields={"text": "a"}),
        ev.MediaContent(kind="image", uri="s3://a"), ev.MediaContent(kind="audio", uri="s3://a"),
        ev.FeaturesContent(features=(1.0,)), ev.FeaturesContent(features=(1.0, 0.0)),
    ]  # fmt: skip
    assert len({ev.content_hash(content) for content in contents}) == len(contents)


def test_a_version_with_an_optional_field_more_gives_the_same_hash() -> None:
    """Else every repeat of an item from before an upgrade would be refused as an id conflict."""

    class Tomorrow(ev.TextContent):
        language: str | None = None

    old = ev.content_hash(ev.TextContent(text="a"))
    assert ev.content_hash(Tomorrow(text="a")) == old
    assert ev.content_hash(Tomorrow(text="a", language="en")) != old
    kept, empty = ev.JsonContent(fields={"a": None}), ev.JsonContent(fields={})
    assert ev.content_hash(kept) != ev.content_hash(empty)


def test_media_content_is_somewhere() -> None:
    with pytest.raises(ValidationError, match="one of uri and data"):
        ev.MediaContent(kind="image")
    with pytest.raises(ValidationError):
        ev.MediaContent(kind="image", data="not base64!")


def test_entropy_is_in_nats() -> None:
    assert ev.entropy({"a": 0.5, "b": 0.5}) == pytest.approx(math.log(2))
    assert ev.entropy({"a": 1.0, "b": 0.0}) == 0.0


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.integers() | st.none(), max_size=4))
def test_a_derived_id_is_a_uuid5_of_its_cause(cause: list[object]) -> None:
    name = "\x1f".join(["kind", *(str(part) for part in cause)])
    assert derived_id("kind", *cause) == uuid.uuid5(NAMESPACE, name)
