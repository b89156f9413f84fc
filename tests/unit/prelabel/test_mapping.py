"""Records of a topic that is not ours -> items and predictions."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from services.prelabel.domain.mapping import EXTERNAL, Mapper, check_mapping, uniform
from services.prelabel.domain.records import SourceRecord
from shared.errors import ConfigurationError, PoisonMessage, Reason
from shared.events import FeaturesContent, JsonContent, Mapping, MediaContent, ProjectSpec, Source, TextContent
from shared.labels import Choice, ChoiceSchema

CLASSES = ("spam", "ham")


def source(kind: str = "items", sample: float = 1.0, **paths: Any) -> Source:
    fields = {"id": "id", **paths}
    return Source.model_validate(
        {"name": "reviews", "kind": kind, "topic": "shop.reviews", "sample": sample, "map": fields}
    )


def spec(of: Source, data: str = "text") -> ProjectSpec:
    label = ChoiceSchema(classes=CLASSES)
    return ProjectSpec.model_validate({"project": "shop", "data": data, "label": label, "sources": (of,)})


def mapper(of: Source, data: str = "text") -> Mapper:
    return Mapper(spec(of, data), of)


def record(value: Any, **more: Any) -> SourceRecord:
    body = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
    fields: dict[str, Any] = {
        "topic": "shop.reviews", "partition": 2, "offset": 41, "key": b"k1", "value": body,
        "headers": (("tenant", b"eu"), ("broken", b"\xff"), ("empty", None)), "timestamp_ms": 1_700_000_000_000,
    }  # fmt: skip
    return SourceRecord(**(fields | more))


def refused(of: Mapper, read: SourceRecord) -> tuple[Reason, str]:
    with pytest.raises(PoisonMessage) as caught:
        of.map(read)
    return caught.value.reason, caught.value.detail


def test_a_nested_record_becomes_an_item() -> None:
    paths: dict[str, Any] = {
        "id": "review.id",
        "text": "join(' ', review.lines)",
        "metadata": {"tenant": "_headers.tenant", "k": "_key"},
    }
    item = mapper(source(**paths)).map(record({"review": {"id": 7, "lines": ["good", "coffee"]}})).item
    assert item is not None
    assert (item.project_id, item.item_id, item.content) == ("shop", "7", TextContent(text="good coffee"))
    assert item.metadata == {"tenant": "eu", "k": "k1"}
    assert item.created_at == datetime.fromtimestamp(1_700_000_000, tz=UTC)
    origin = item.origin
    assert origin is not None
    assert (origin.source, origin.topic, origin.partition, origin.offset) == ("reviews", "shop.reviews", 2, 41)


def test_the_same_record_read_again_is_the_same_item() -> None:
    of = mapper(source(text="text"))
    assert of.map(record({"id": "a", "text": "x"})) == of.map(record({"id": "a", "text": "x"}))


def test_key_and_value_of_any_shape_can_be_mapped() -> None:
    item = mapper(source(id="_key", text="_value")).map(record("just a string")).item
    assert item is not None
    assert (item.item_id, item.content) == ("k1", TextContent(text="just a string"))


@pytest.mark.parametrize(
    ("data", "paths", "value", "content"),
    [
        ("features", {"features": "x"}, {"x": [1, 2.5]}, FeaturesContent(features=(1.0, 2.5))),
        (
            "image",
            {"uri": "u"},
            {"u": "https://a.example/1.png"},
            MediaContent(kind="image", uri="https://a.example/1.png"),
        ),
        ("audio", {"data": "d"}, {"d": "AAAA"}, MediaContent(kind="audio", data="AAAA")),
        ("json", {"fields": "row"}, {"row": {"a": [1, {"b": None}]}}, JsonContent(fields={"a": [1, {"b": None}]})),
    ],
)
def test_every_kind_of_content(data: str, paths: dict[str, Any], value: dict[str, Any], content: object) -> None:
    item = mapper(source(**paths), data).map(record({"id": "a", **value})).item
    assert item is not None
    assert item.content == content


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Reason.NULL_VALUE),
        (b"\xff\xfe", Reason.NOT_UTF8),
        (b"{", Reason.BAD_JSON),
        (b"[" * 200_000, Reason.BAD_JSON),
        (b'{"id": "a", "text": NaN}', Reason.BAD_NUMBER),
        (b'{"id": "a", "text": "x", "n": 1e999}', Reason.BAD_NUMBER),
        ({"text": "x"}, Reason.UNMAPPABLE),
        ({"id": True, "text": "x"}, Reason.UNMAPPABLE),
        ({"id": 1.5, "text": "x"}, Reason.UNMAPPABLE),
        ({"id": "", "text": "x"}, Reason.UNMAPPABLE),
        ({"id": "a" * 2000, "text": "x"}, Reason.UNMAPPABLE),
        ({"id": "a"}, Reason.UNMAPPABLE),
        ({"id": "a", "text": 5}, Reason.UNMAPPABLE),
        ({"id": "a", "text": "nul \u0000"}, Reason.UNMAPPABLE),
        ({"id": "a", "text": "half \ud83d"}, Reason.UNMAPPABLE),
        ({"id": "half \ud83d", "text": "x"}, Reason.UNMAPPABLE),
        ([1, 2], Reason.UNMAPPABLE),
    ],
)
def test_what_cannot_be_mapped_says_why(value: Any, reason: Reason) -> None:
    found, detail = refused(mapper(source(text="text")), record(value))
    assert found is reason
    assert detail


def test_a_detail_never_holds_the_content() -> None:
    _, detail = refused(mapper(source(text="text")), record({"id": "a", "text": ["my secret"]}))
    assert "secret" not in detail


def test_an_expression_that_fails_on_a_record_refuses_that_record() -> None:
    reason, detail = refused(mapper(source(text="length(n)")), record({"id": "a", "n": 5}))
    assert (reason, detail) == (Reason.UNMAPPABLE, "map.text: JMESPathTypeError on this record")


@pytest.mark.parametrize("value", [[1, "2"], [True, 1], [[1, 2]], "1,2", {"a": 1}])
def test_features_are_a_flat_array_of_numbers(value: Any) -> None:
    reason, _ = refused(mapper(source(features="x"), "features"), record({"id": "a", "x": value}))
    assert reason is Reason.UNMAPPABLE


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1_600_000_000, "2020-09-13T12:26:40+00:00"),
        (1_600_000_000_000, "2020-09-13T12:26:40+00:00"),
        ("2020-09-13T14:26:40+02:00", "2020-09-13T12:26:40+00:00"),
        ("2020-09-13T12:26:40Z", "2020-09-13T12:26:40+00:00"),
        ("2020-09-13 12:26:40", "2020-09-13T12:26:40+00:00"),
    ],
)
def test_created_at_is_mapped(value: Any, expected: str) -> None:
    item = mapper(source(text="text", created_at="ts")).map(record({"id": "a", "text": "x", "ts": value})).item
    assert item is not None
    assert item.created_at.isoformat() == expected


@pytest.mark.parametrize("value", ["yesterday", 1e30, True, [1]])
def test_a_time_that_is_none_is_refused(value: Any) -> None:
    of = mapper(source(text="text", created_at="ts"))
    assert refused(of, record({"id": "a", "text": "x", "ts": value}))[0] is Reason.UNMAPPABLE


def test_a_record_without_a_timestamp_is_of_1970() -> None:
    item = mapper(source(text="text")).map(record({"id": "a", "text": "x"}, timestamp_ms=-1)).item
    assert item is not None
    assert item.created_at.year == 1970


def test_sampling_takes_its_share_and_records_it() -> None:
    of = mapper(source(text="text", sample=0.3))
    found = [of.map(record({"id": f"i{n}", "text": "x"})).item for n in range(2000)]
    taken = [item for item in found if item is not None]
    assert 0.26 < len(taken) / 2000 < 0.34
    assert {item.origin.sampling_rate for item in taken if item.origin} == {0.3}
    assert found == [of.map(record({"id": f"i{n}", "text": "x"})).item for n in range(2000)]


def test_uniform_is_stable() -> None:
    assert uniform("a", "b") == uniform("a", "b") != uniform("ab", "")
    assert 0.0 <= uniform("x") < 1.0


def test_a_scored_record_becomes_a_prediction() -> None:
    of = mapper(source("predictions", distribution="scores", model_version="model"))
    mapped = of.map(record({"id": "a", "scores": {"spam": 0.8, "ham": 0.2}, "model": "v9"}))
    found = mapped.prediction
    assert mapped.item is None
    assert found is not None
    assert (found.value, found.confidence) == (Choice(choice="spam"), 0.8)
    assert found.margin == pytest.approx(0.6)
    assert (found.model_version, found.generation) == ("v9", 0)
    assert found.entropy == pytest.approx(0.5004, abs=1e-4)


def test_a_scored_record_says_where_it_came_from_whether_or_not_its_item_comes_with_it() -> None:
    for text in (None, "t"):
        of = mapper(source("predictions", label="l", confidence="c", metadata={"client": "app"}, text=text))
        found = of.map(record({"id": "a", "l": "ham", "c": 0.6, "t": "hello", "app": "ios-7"})).prediction
        assert found is not None
        assert (found.source, found.client) == ("reviews", "ios-7")


def test_scores_under_a_former_name_come_out_under_the_present_one() -> None:
    of = source("predictions", distribution="scores")
    renamed = spec(of).model_copy(update={"label": ChoiceSchema(classes=("junk", "ham"), renamed={"spam": "junk"})})
    found = Mapper(renamed, of).map(record({"id": 1, "scores": {"spam": 0.75, "ham": 0.25}})).prediction
    assert found is not None
    assert (found.value, found.distribution) == (Choice(choice="junk"), {"junk": 0.75, "ham": 0.25})
    assert found.confidence == 0.75


def test_label_and_confidence_are_enough() -> None:
    found = (
        mapper(source("predictions", label="l", confidence="c"))
        .map(record({"id": "a", "l": "ham", "c": 0.6}))
        .prediction
    )
    assert found is not None
    assert (found.value, found.distribution, found.margin, found.model_version) == (
        Choice(choice="ham"),
        None,
        None,
        EXTERNAL,
    )


def test_a_scored_record_with_content_gives_both() -> None:
    of = mapper(source("predictions", label="l", confidence="c", text="t"))
    mapped = of.map(record({"id": "a", "l": "ham", "c": 0.6, "t": "hello"}))
    assert mapped.item is not None
    assert mapped.prediction is not None
    assert mapped.item.key == mapped.prediction.key


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"l": "eggs", "c": 0.5}, Reason.UNKNOWN_LABEL),
        ({"l": "ham", "c": 7}, Reason.UNMAPPABLE),
        ({"l": "ham", "c": "0.5"}, Reason.UNMAPPABLE),
        ({"l": None, "c": 0.5}, Reason.UNMAPPABLE),
        ({"l": "ham"}, Reason.UNMAPPABLE),
    ],
)
def test_a_bad_score_is_refused(value: dict[str, Any], reason: Reason) -> None:
    of = mapper(source("predictions", label="l", confidence="c"))
    assert refused(of, record({"id": "a", **value}))[0] is reason


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ({"spam": 0.9, "ham": 0.9}, Reason.UNMAPPABLE),
        ({"spam": 0.9, "eggs": 0.1}, Reason.UNKNOWN_LABEL),
        ({"spam": "0.9", "ham": 0.1}, Reason.UNMAPPABLE),
        ({}, Reason.UNMAPPABLE),
        ([0.9, 0.1], Reason.UNMAPPABLE),
    ],
)
def test_a_bad_distribution_is_refused(scores: Any, reason: Reason) -> None:
    of = mapper(source("predictions", distribution="s"))
    assert refused(of, record({"id": "a", "s": scores}))[0] is reason


@pytest.mark.parametrize(
    ("paths", "data", "why"),
    [
        ({"text": "text["}, "text", "map.text"),
        ({"text": "text", "metadata": {"m": "]"}}, "text", "map.metadata.m"),
        ({"text": "text"}, "features", "map one of features"),
    ],
)
def test_a_mapping_that_can_never_work_is_refused_as_a_whole(paths: dict[str, Any], data: str, why: str) -> None:
    of = source(**paths)
    with pytest.raises(ConfigurationError, match=why):
        check_mapping(spec(of, data), of)


def test_the_mapping_of_the_contract_has_no_field_that_is_ignored() -> None:
    assert set(Mapping.model_fields) == {
        "id", "text", "features", "uri", "data", "fields", "created_at", "metadata",
        "label", "confidence", "distribution", "model_version",
    }  # fmt: skip
