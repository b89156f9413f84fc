"""The schema comparison catches every kind of break and lets additions pass."""

import copy
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, create_model

from cli.docs.compatibility import Change, Schema, breaks, compare
from cli.docs.schemas import schema_of
from shared import topics
from shared.topics import TOPICS


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Circle(BaseModel):
    kind: Literal["circle"] = "circle"
    radius: Annotated[float, Field(ge=0, le=10)]


class Square(BaseModel):
    kind: Literal["square"] = "square"
    side: int


class Base(BaseModel):
    name: Annotated[str, Field(max_length=10)]
    count: Annotated[int, Field(ge=0)] = 0
    note: str | None = None
    colour: Colour = Colour.RED
    shape: Annotated[Circle | Square, Field(discriminator="kind")]
    tags: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    extra: dict[str, float] = Field(default_factory=dict)


Edit = Callable[[Schema], Any]


def edited(edit: Edit) -> list[Change]:
    old = Base.model_json_schema()
    new = copy.deepcopy(old)
    edit(new)
    return compare(old, new, "labels.v1")


def field(schema: Schema, name: str) -> Schema:
    found: Schema = schema["properties"][name]
    return found


def rename(schema: Schema) -> None:
    schema["properties"]["total"] = schema["properties"].pop("count")


def drop_square(schema: Schema) -> None:
    del field(schema, "shape")["discriminator"]["mapping"]["square"]


def retag(schema: Schema) -> None:
    field(schema, "shape")["discriminator"]["propertyName"] = "type"


BREAKS: list[tuple[str, Edit, str, str]] = [
    ("removed", lambda s: s["properties"].pop("note"), "note", "field removed"),
    ("renamed", rename, "count", "field removed (renamed to total?)"),
    ("removed inside", lambda s: s["$defs"]["Circle"]["properties"].pop("radius"), "shape<circle>.radius", "removed"),
    ("became required", lambda s: s["required"].append("note"), "note", "became required"),
    ("type", lambda s: field(s, "name").update(type="integer"), "name", "type changed from 'string' to 'integer'"),
    ("number to integer", lambda s: s["$defs"]["Circle"]["properties"]["radius"].update(type="integer"),
     "shape<circle>.radius", "type changed"),
    ("no more null", lambda s: s["properties"].update(note={"type": "string"}), "note", "'null' to 'string'"),
    ("minimum", lambda s: field(s, "count").update(minimum=1), "count", "minimum narrowed from 0 to 1"),
    ("maximum", lambda s: s["$defs"]["Circle"]["properties"]["radius"].update(maximum=9),
     "shape<circle>.radius", "maximum narrowed"),
    ("new maximum", lambda s: field(s, "count").update(maximum=10**9), "count", "maximum narrowed from None"),
    ("length", lambda s: field(s, "name").update(maxLength=9), "name", "maxLength narrowed"),
    ("item length", lambda s: field(s, "tags")["items"].update(minLength=2), "tags[]", "minLength narrowed"),
    ("value type", lambda s: field(s, "extra")["additionalProperties"].update(type="string"), "extra{}", "type"),
    ("new pattern", lambda s: field(s, "name").update(pattern="^a"), "name", "pattern changed"),
    ("enum value removed", lambda s: s["$defs"]["Colour"]["enum"].remove("blue"), "colour", "value 'blue' removed"),
    ("new enum", lambda s: field(s, "name").update(enum=["a"]), "name", "narrowed to the values"),
    ("kind removed", drop_square, "shape", "kind 'square' removed"),
    ("discriminator", retag, "shape", "discriminator changed from 'kind' to 'type'"),
    ("discriminator gone", lambda s: field(s, "shape").pop("discriminator"), "shape", "discriminator changed"),
    ("event type", lambda s: s.update({"x-type": "labelstream.other.v1"}), "", "x-type changed"),
    ("key", lambda s: s.update({"x-key": "item"}), "", "x-key changed"),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "path", "what"), [row[1:] for row in BREAKS], ids=[row[0] for row in BREAKS])
def test_breaks_are_caught_and_name_the_field_and_the_readers(edit: Edit, path: str, what: str) -> None:
    found = breaks(edited(edit))
    assert [change.path for change in found] == [path]
    assert what in found[0].what
    assert "labels.v1" in str(found[0])
    for reader in topics.LABELS.readers:
        assert reader in str(found[0])


def test_a_new_required_field_is_a_break() -> None:
    grown = create_model("Base", __base__=Base, owner=(str, ...))
    (found,) = breaks(compare(Base.model_json_schema(), grown.model_json_schema()))
    assert (found.path, found.what) == ("owner", "new field is required; give it a default")


def add_kind(schema: Schema) -> None:
    schema["$defs"]["Line"] = {"type": "object", "properties": {"kind": {"const": "line"}}}
    field(schema, "shape")["discriminator"]["mapping"]["line"] = "#/$defs/Line"


WIDENINGS: list[tuple[str, Edit]] = [
    ("enum value", lambda s: s["$defs"]["Colour"]["enum"].append("green")),
    ("maximum", lambda s: s["$defs"]["Circle"]["properties"]["radius"].update(maximum=11)),
    ("no maximum", lambda s: field(s, "name").pop("maxLength")),
    ("integer to number", lambda s: field(s, "count").update(type="number")),
    ("null allowed", lambda s: s["properties"].update(count={"anyOf": [field(s, "count"), {"type": "null"}]})),
    ("optional now", lambda s: s["required"].remove("name")),
    ("kind", add_kind),
]


@pytest.mark.parametrize("edit", [row[1] for row in WIDENINGS], ids=[row[0] for row in WIDENINGS])
def test_a_widening_is_no_break_but_is_said(edit: Edit) -> None:
    (found,) = edited(edit)
    assert found.severity == "widening"
    assert "eaders first" in found.what


def test_an_optional_field_and_other_words_change_nothing() -> None:
    grown = create_model("Renamed", __base__=Base, __doc__="Another docstring.", owner=(str | None, None))
    old, new = Base.model_json_schema(), grown.model_json_schema()
    field(new, "name")["description"] = "said better"
    assert compare(old, new) == []


def test_every_event_is_compatible_with_itself() -> None:
    for topic in TOPICS:
        for event in topic.events:
            assert compare(schema_of(topic, event), schema_of(topic, event), topic.name) == []
