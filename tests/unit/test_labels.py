"""Label values and the check against a project's schema."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from pydantic import TypeAdapter, ValidationError

from shared import labels as lb
from tests.support import strategies

VALUES: TypeAdapter[lb.LabelValue] = TypeAdapter(lb.LabelValue)
SCHEMAS: TypeAdapter[lb.LabelSchema] = TypeAdapter(lb.LabelSchema)


@settings(deadline=None)
@given(strategies.label_values)
def test_values_survive_the_wire_and_keep_their_symbol(value: lb.LabelValue) -> None:
    again = VALUES.validate_json(VALUES.dump_json(value))
    assert again == value
    assert lb.category(again) == lb.category(value)
    assert len(lb.category(value)) <= 2_000


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"kind": "choice", "choice": ""}, "at least 1 character"),
        ({"kind": "choice", "choice": "a\x00"}, "U\\+0000"),
        ({"kind": "rating", "rating": math.nan}, "finite"),
        ({"kind": "rating", "rating": 1e10}, "less than or equal"),
        ({"kind": "spans", "spans": [{"start": 5, "end": 5, "label": "x"}]}, "not after its start"),
        (
            {"kind": "relations", "spans": [], "relations": [{"head": "a", "tail": "b", "label": "x"}]},
            "not in spans",
        ),
        ({"kind": "boxes", "boxes": [{"x": 0, "y": 0, "width": 0, "height": 1, "label": "x"}]}, "greater than 0"),
        ({"kind": "polygons", "polygons": [{"points": [[0, 0], [1, 1], [2, 2]], "label": "x"}]}, "no area"),
        ({"kind": "masks", "width": 2, "height": 2, "masks": [{"counts": [1, 2], "label": "x"}]}, "add up to 3"),
        ({"kind": "masks", "width": 65535, "height": 65535, "masks": []}, "exceed the limit"),
        ({"kind": "segments", "segments": [{"start": 2, "end": 1, "label": "x"}]}, "not after its start"),
        (
            {"kind": "tracks", "tracks": [{"id": "a", "label": "x", "frames": [
                {"frame": f, "x": 0, "y": 0, "width": 1, "height": 1} for f in (3, 3)]}]},
            "frame 3 follows frame 3",
        ),
        ({"kind": "sticker"}, "does not match any of the expected tags"),
    ],
)  # fmt: skip
def test_malformed_values_are_refused_with_the_place(value: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        VALUES.validate_python(value)


def test_equal_sets_of_classes_are_equal_values() -> None:
    assert lb.Choices(choices=("b", "a", "b")) == lb.Choices(choices=("a", "b"))
    assert lb.category(lb.Choices(choices=("b", "a"))) == "a|b"
    assert lb.category(lb.Choices(choices=())) == ""


def test_symbols_of_ratings_tell_them_apart() -> None:
    assert lb.category(lb.Rating(rating=-0.0)) == lb.category(lb.Rating(rating=0)) == "0"
    assert lb.category(lb.Rating(rating=0.1 + 0.2)) == lb.category(lb.Rating(rating=0.3)) == "0.3"
    assert lb.category(lb.Rating(rating=1_234_567)) != lb.category(lb.Rating(rating=1_234_568))


def test_long_symbols_are_cut_to_a_digest() -> None:
    many = lb.Choices(choices=tuple(f"{'x' * 150}{i}" for i in range(20)))
    assert lb.category(many).startswith("choices:")
    assert lb.category(many) != lb.category(lb.Choices(choices=many.choices[:-1]))


CHOICE = {"kind": "choice", "classes": ["cat", "dog"]}
CHECKS: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
    (CHOICE, {"kind": "choice", "choice": "cat"}, None),
    (CHOICE, {"kind": "choice", "choice": "cow"}, "choice: 'cow' is not a class"),
    (CHOICE, {"kind": "rating", "rating": 1}, "the project asks for 'choice'"),
    ({"kind": "choices", "classes": ["a", "b"], "min": 1}, {"kind": "choices", "choices": []}, "asks for 1 to"),
    ({"kind": "choices", "classes": ["a", "b"], "max": 1}, {"kind": "choices", "choices": ["a", "b"]}, "0 to 1"),
    ({"kind": "choices", "classes": ["a", "b"]}, {"kind": "choices", "choices": ["a", "c"]}, r"choices\[1\]: 'c'"),
    ({"kind": "rating", "min": 1, "max": 5}, {"kind": "rating", "rating": 6}, "outside 1 to 5"),
    ({"kind": "rating", "min": 1, "max": 5, "step": 0.5}, {"kind": "rating", "rating": 1.7}, "not on the scale"),
    ({"kind": "rating", "min": 1, "max": 5, "step": 0.1}, {"kind": "rating", "rating": 1.3}, None),
    ({"kind": "spans", "classes": ["x"]}, {"kind": "spans", "spans": [{"start": 0, "end": 9, "label": "x"}]}, "past"),
    ({"kind": "spans", "classes": ["x"]}, {"kind": "spans", "spans": [{"start": 0, "end": 8, "label": "x"}]}, None),
    (
        {"kind": "relations", "classes": ["x"], "relation_classes": ["is"]},
        {"kind": "relations", "spans": [{"start": 0, "end": 1, "label": "x", "id": "a"}],
         "relations": [{"head": "a", "tail": "a", "label": "has"}]},
        "'has' is not a relation class",
    ),
    (
        {"kind": "boxes", "classes": ["x"]},
        {"kind": "boxes", "boxes": [{"x": 0, "y": 0, "width": 1, "height": 1, "label": "y"}]},
        r"boxes\[0\].label",
    ),
    (
        {"kind": "polygons", "classes": ["x"]},
        {"kind": "polygons", "polygons": [{"points": [[0, 0], [1, 0], [0, 1]], "label": "y"}]},
        r"polygons\[0\].label",
    ),
    (
        {"kind": "masks", "classes": ["x"]},
        {"kind": "masks", "width": 1, "height": 1, "masks": [{"counts": [0, 1], "label": "y"}]},
        r"masks\[0\].label",
    ),
    (
        {"kind": "segments", "classes": ["x"]},
        {"kind": "segments", "segments": [{"start": 0, "end": 1, "label": "y"}]},
        r"segments\[0\].label",
    ),
    (
        {"kind": "tracks", "classes": ["x"]},
        {"kind": "tracks", "tracks": [{"id": "t", "label": "y", "frames": [
            {"frame": 0, "x": 0, "y": 0, "width": 1, "height": 1}]}]},
        r"tracks\[0\].label",
    ),
    ({"kind": "transcript"}, {"kind": "transcript", "text": "anything"}, None),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "value", "message"), CHECKS)
def test_values_are_checked_against_the_project(
    schema: dict[str, Any], value: dict[str, Any], message: str | None
) -> None:
    parsed = VALUES.validate_python(value)
    against = SCHEMAS.validate_python(schema)
    if message is None:
        lb.check_label(parsed, against, text="8 points")
        return
    with pytest.raises(ValueError, match=message):
        lb.check_label(parsed, against, text="8 points")


@pytest.mark.parametrize(
    "schema",
    [
        {"kind": "choice", "classes": ["only"]},
        {"kind": "choice", "classes": ["a", "a"]},
        {"kind": "choice", "classes": []},
        {"kind": "choices", "classes": ["a|b", "c"]},
        {"kind": "choices", "classes": ["a", "b"], "min": 2, "max": 1},
        {"kind": "choices", "classes": ["a", "b"], "min": 3},
        {"kind": "rating", "min": 5, "max": 1},
        {"kind": "rating", "min": 1, "max": math.inf},
        {"kind": "rating", "min": 1, "max": 5, "step": 0},
        {"kind": "relations", "classes": ["a"]},
    ],
)
def test_schemas_that_no_answer_fits_are_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SCHEMAS.validate_python(schema)


def test_a_span_inside_a_surrogate_pair_and_one_past_the_end_say_so() -> None:
    schema = lb.ObjectSchema(kind="spans", classes=("A",))
    text = "a\ud83d\ude00b"
    lb.check_label(lb.Spans(spans=(lb.Span(start=1, end=3, label="A"),)), schema, text=text)
    with pytest.raises(ValueError, match=r"spans\[0\]\.end: 2 is inside a surrogate pair"):
        lb.check_label(lb.Spans(spans=(lb.Span(start=0, end=2, label="A"),)), schema, text=text)
    with pytest.raises(ValueError, match="not UTF-16 units"):
        lb.check_label(lb.Spans(spans=(lb.Span(start=0, end=3, label="A"),)), schema, text="a😀")


def test_an_object_that_is_given_twice_is_refused_with_both_places() -> None:
    schema = lb.ObjectSchema(kind="segments", classes=("A", "B"))
    twice = [
        lb.Segment(start=0, end=1, label="A"),
        lb.Segment(start=0, end=1, label="B"),
        lb.Segment(start=0, end=1, label="A"),
    ]
    lb.check_label(lb.Segments(segments=tuple(twice[:2])), schema)
    with pytest.raises(ValueError, match=r"segments\[2\] is the same as segments\[0\]"):
        lb.check_label(lb.Segments(segments=tuple(twice)), schema)
