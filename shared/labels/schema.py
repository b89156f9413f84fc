"""What a project asks for: the label schema, and the check of a value against it."""

import functools
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.labels.shapes import ShapeOptions, check_shapes
from shared.labels.values import (
    MAX_PARTS,
    Boxes,
    Choice,
    Choices,
    ClassName,
    LabelValue,
    Masks,
    Mixed,
    PartName,
    Polygons,
    Rating,
    Relations,
    Segments,
    Spans,
    Tracks,
    Transcript,
)

Classes = Annotated[tuple[ClassName, ...], Field(min_length=1, max_length=1000)]
Renamed = Annotated[dict[ClassName, ClassName], Field(max_length=1000)]


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class _Classed(_Schema):
    classes: Classes

    @model_validator(mode="after")
    def _classes_are_unique(self) -> Self:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes holds a name twice")
        return self


class _Renaming(_Classed):
    renamed: Renamed = Field(
        default_factory=dict, description="Former name of a class -> the name it got. Every rename there ever was."
    )

    @model_validator(mode="after")
    def _each_class_has_one_name(self) -> Self:
        names = list(self.renamed.values())
        for old, new in self.renamed.items():
            if old in self.classes:
                raise ValueError(f"renamed: {old!r} was renamed {new!r} and is among the classes, too")
            if names.count(new) > 1:
                raise ValueError(f"renamed: two classes became {new!r}; a rename makes no two classes one")
            name = new
            while name in self.renamed and name != old:
                name = self.renamed[name]
            if name == old:
                raise ValueError(f"renamed: {old!r} comes back to its own name")
        return self


class ChoiceSchema(_Renaming):
    kind: Literal["choice"] = "choice"
    ordered: bool = Field(default=False, description="The classes are an ordered scale, lowest first.")

    @model_validator(mode="after")
    def _two_classes(self) -> Self:
        if len(self.classes) < 2:  # noqa: PLR2004
            raise ValueError("a choice needs at least two classes")
        return self


class ChoicesSchema(_Renaming):
    kind: Literal["choices"] = "choices"
    min: Annotated[int, Field(ge=0)] = 0
    max: Annotated[int, Field(ge=1)] = 1000

    @model_validator(mode="after")
    def _some_set_fits(self) -> Self:
        if not self.min <= min(self.max, len(self.classes)):
            raise ValueError(f"no set of {len(self.classes)} classes has {self.min} to {self.max} of them")
        return self

    @model_validator(mode="after")
    def _no_separator(self) -> Self:
        for name in self.classes:
            if "|" in name:
                raise ValueError(f"class {name!r} holds '|', which joins the classes of a multi-choice label")
        return self


class RatingSchema(_Schema):
    kind: Literal["rating"] = "rating"
    min: Annotated[float, Field(allow_inf_nan=False)]
    max: Annotated[float, Field(allow_inf_nan=False)]
    step: Annotated[float, Field(allow_inf_nan=False, gt=0)] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max <= self.min:
            raise ValueError(f"max {self.max} is not above min {self.min}")
        return self


class TranscriptSchema(_Schema):
    kind: Literal["transcript"] = "transcript"


class ObjectSchema(_Classed, ShapeOptions):
    """Labelled objects inside the item; for relations also the classes of the arcs."""

    kind: Literal["spans", "relations", "boxes", "polygons", "masks", "segments", "tracks"]
    relation_classes: Annotated[tuple[ClassName, ...], Field(max_length=1000)] = ()

    @model_validator(mode="after")
    def _relations_have_classes(self) -> Self:
        if (self.kind == "relations") != bool(self.relation_classes):
            raise ValueError("relation_classes is given exactly for labels of kind relations")
        return self


PartSchema = Annotated[
    ChoiceSchema | ChoicesSchema | RatingSchema | TranscriptSchema | ObjectSchema, Field(discriminator="kind")
]


class MixedSchema(_Schema):
    """Several questions about one item, each with a name and a schema of its own, as control tags of one form."""

    kind: Literal["mixed"] = "mixed"
    parts: Annotated[dict[PartName, PartSchema], Field(min_length=1, max_length=MAX_PARTS)]
    optional: Annotated[tuple[PartName, ...], Field(max_length=MAX_PARTS)] = Field(
        default=(), description="Parts that an answer may leave out."
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        for name in self.optional:
            if name not in self.parts:
                raise ValueError(f"optional: there is no part {name!r}")
        for name, part in self.parts.items():
            if getattr(part, "renamed", None):
                raise ValueError(f"parts.{name}.renamed: classes of a mix are not renamed; add the new class")
        return self


LabelSchema = Annotated[
    ChoiceSchema | ChoicesSchema | RatingSchema | TranscriptSchema | ObjectSchema | MixedSchema,
    Field(discriminator="kind"),
]


def _used_classes(value: LabelValue) -> tuple[tuple[str, str], ...]:
    """Every (place, class) a value names."""
    match value:
        case Choice():
            return (("choice", value.choice),)
        case Choices():
            return tuple((f"choices[{i}]", name) for i, name in enumerate(value.choices))
        case Rating() | Transcript():
            return ()
        case Spans() | Relations():
            return tuple((f"spans[{i}].label", s.label) for i, s in enumerate(value.spans))
        case Boxes():
            return tuple((f"boxes[{i}].label", b.label) for i, b in enumerate(value.boxes))
        case Polygons():
            return tuple((f"polygons[{i}].label", p.label) for i, p in enumerate(value.polygons))
        case Masks():
            return tuple((f"masks[{i}].label", m.label) for i, m in enumerate(value.masks))
        case Segments():
            return tuple((f"segments[{i}].label", s.label) for i, s in enumerate(value.segments))
        case Tracks():
            return tuple((f"tracks[{i}].label", t.label) for i, t in enumerate(value.tracks))
        case Mixed():
            return tuple(
                (f"parts.{name}.{place}", label)
                for name, part in value.parts.items()
                for place, label in _used_classes(part)
            )


def _check_rating(value: Rating, schema: RatingSchema) -> None:
    if not schema.min <= value.rating <= schema.max:
        raise ValueError(f"rating: {value.rating:g} is outside {schema.min:g} to {schema.max:g}")
    if schema.step is not None:
        steps = (value.rating - schema.min) / schema.step
        if abs(steps - round(steps)) > 1e-6:  # noqa: PLR2004  # float noise of a step
            raise ValueError(f"rating: {value.rating:g} is not on the scale of step {schema.step:g}")


@functools.lru_cache(maxsize=1024)
def class_set(classes: tuple[str, ...]) -> frozenset[str]:
    """The classes of a schema as a set, made once."""
    return frozenset(classes)


def _check_classes(value: LabelValue, schema: ChoiceSchema | ChoicesSchema | ObjectSchema) -> None:
    known = class_set(schema.classes)
    for place, name in _used_classes(value):
        if name not in known:
            raise ValueError(f"{place}: {name!r} is not a class of the project (it has {len(known)})")
    if isinstance(value, Relations) and isinstance(schema, ObjectSchema):
        for i, arc in enumerate(value.relations):
            if arc.label not in schema.relation_classes:
                raise ValueError(f"relations[{i}].label: {arc.label!r} is not a relation class of the project")


def _check_inside(value: Spans | Relations, text: str) -> None:
    for i, span in enumerate(value.spans):
        if span.end > len(text):
            hint = "; offsets count code points, not UTF-16 units" if any(char > "\uffff" for char in text) else ""
            raise ValueError(f"spans[{i}].end: {span.end} is past the end of the text ({len(text)} code points){hint}")
        for name, at in (("start", span.start), ("end", span.end)):
            if "\ud800" <= text[at - 1 : at] <= "\udbff" and "\udc00" <= text[at : at + 1] <= "\udfff":
                raise ValueError(f"spans[{i}].{name}: {at} is inside a surrogate pair; move it by one")


def _check_once(value: LabelValue) -> None:
    """No object is given twice: it would count as two opinions of one annotator."""
    match value:
        case Spans() | Relations():
            keys: list[tuple[object, ...]] = [(each.start, each.end, each.label) for each in value.spans]
            name = "spans"
        case Segments():
            keys, name = [(each.start, each.end, each.label) for each in value.segments], "segments"
        case Boxes():
            keys, name = [tuple(each.model_dump().values()) for each in value.boxes], "boxes"
        case _:
            return
    _no_repeat(keys, name)
    if isinstance(value, Relations):
        _no_repeat([(each.head, each.tail, each.label) for each in value.relations], "relations")


def _no_repeat(keys: list[tuple[object, ...]], name: str) -> None:
    first: dict[tuple[object, ...], int] = {}
    for place, key in enumerate(keys):
        if first.setdefault(key, place) != place:
            raise ValueError(f"{name}[{place}] is the same as {name}[{first[key]}]; give each object once")


def fits(value: LabelValue, schema: LabelSchema) -> bool:
    """Whether `check_label` accepts a label, text apart."""
    try:
        check_label(value, schema)
    except ValueError:
        return False
    return True


def _check_mixed(value: Mixed, schema: MixedSchema, text: str | None) -> None:
    for name in value.parts:
        if name not in schema.parts:
            raise ValueError(f"parts.{name}: the project has no such part; it has {', '.join(sorted(schema.parts))}")
    for name, part in schema.parts.items():
        given = value.parts.get(name)
        if given is None:
            if name not in schema.optional:
                raise ValueError(f"parts.{name}: missing; give it, empty where there is nothing")
            continue
        try:
            check_label(given, part, text=text)
        except ValueError as error:
            raise ValueError(f"parts.{name}.{error}") from None


def check_label(value: LabelValue, schema: LabelSchema, *, text: str | None = None) -> None:
    """Check a label against its project's schema.

    Args:
        value: a label that is well-formed by itself.
        schema: the project's.
        text: the item's text, where it has one; spans must lie inside it.

    Raises:
        ValueError: says which part of the value is wrong and what would be right.
    """
    if value.kind != schema.kind:
        raise ValueError(f"kind: the project asks for {schema.kind!r}, the label is {value.kind!r}")
    if type(schema) is ChoiceSchema and type(value) is Choice and value.choice in class_set(schema.classes):
        return  # nearly all of them; every isinstance below asks the metaclass of pydantic
    if isinstance(schema, MixedSchema) and isinstance(value, Mixed):
        _check_mixed(value, schema, text)
    if isinstance(schema, RatingSchema) and isinstance(value, Rating):
        _check_rating(value, schema)
    if isinstance(schema, ChoicesSchema) and isinstance(value, Choices):
        number = len(value.choices)
        if not schema.min <= number <= schema.max:
            raise ValueError(f"choices: {number} given, the project asks for {schema.min} to {schema.max}")
    if isinstance(schema, ChoiceSchema | ChoicesSchema | ObjectSchema):
        _check_classes(value, schema)
    if isinstance(schema, ObjectSchema):
        _check_once(value)
        check_shapes(value, schema)
    if isinstance(value, Spans | Relations) and text is not None:
        _check_inside(value, text)
