"""Renamed classes: one map that all services read by, whenever each of them learns of it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shared import events as ev
from shared.bus.references import References
from shared.labels import (
    SAME,
    Choice,
    Choices,
    ChoiceSchema,
    ChoicesSchema,
    LabelSchema,
    RatingSchema,
    category,
    names_of,
    unkept,
)
from shared.topics import GOLD_ANSWERS, PROJECTS
from tests.support import events as make
from tests.support import strategies
from tests.support.qc import Reference

LETTERS = "abcdefgh"


def schema(classes: str, **renamed: str) -> ChoiceSchema:
    return ChoiceSchema(classes=tuple(classes), renamed=renamed)


@pytest.mark.parametrize(
    ("classes", "renamed", "says"),
    [
        ("ab", {"a": "c"}, "'a' was renamed 'c' and is among the classes"),
        ("cd", {"a": "b", "b": "a"}, "comes back to its own name"),
        ("cd", {"a": "a"}, "comes back to its own name"),
        ("cd", {"a": "c", "b": "c"}, "two classes became 'c'"),
    ],
)
def test_what_is_no_map_of_renames_is_refused(classes: str, renamed: dict[str, str], says: str) -> None:
    for kind in (ChoiceSchema, ChoicesSchema):
        with pytest.raises(ValidationError, match=says):
            kind(classes=tuple(classes), renamed=renamed)


@pytest.mark.parametrize(
    ("versions", "after", "says"),
    [
        ([schema("ab")], schema("cb", a="c"), None),
        ([schema("ab"), schema("cb", a="c")], schema("db", a="c", c="d"), None),
        ([schema("ab"), schema("cb", a="c")], schema("deb", a="c"), None),  # split since
        ([schema("ab"), schema("cb", a="c")], schema("cb"), "'a' was renamed 'c'; keep that entry"),
        ([schema("ab"), schema("cb", a="c")], schema("ab"), "'a' was renamed 'c', and cannot be a class again"),
        ([schema("ab"), schema("cb", a="c")], schema("db", a="d"), "'a' was renamed 'c'; keep that entry"),
        ([schema("abc")], schema("bc", a="b"), "'b' is or was a class"),
        ([schema("abc"), schema("bc")], schema("ac", b="a"), "'a' is or was a class"),
        ([schema("ab")], schema("bc", a="d"), "'a' is renamed 'd', which is not among the classes"),
        ([], schema("bc", a="b"), None),
        ([RatingSchema(min=0, max=1)], schema("bc"), None),
    ],
)
def test_renames_are_for_good_and_make_no_two_classes_one(
    versions: list[LabelSchema], after: LabelSchema, says: str | None
) -> None:
    found = unkept(versions, after)
    assert found is None if says is None else found is not None and says in found, found


def test_values_symbols_and_distributions_come_out_in_present_names() -> None:
    names = names_of(schema("cx", a="b", b="c"))
    assert (names.name("a"), names.name("b"), names.name("x"), names.former("c")) == ("c", "c", "x", ("a", "b"))
    assert names.value(Choice(choice="a")) == Choice(choice="c")
    assert names.shares({"a": 0.5, "x": 0.25, "c": 0.25}) == {"c": 0.75, "x": 0.25}
    assert names.schema(schema("ax")).classes == ("c", "x")  # type: ignore[union-attr]
    sets = names_of(ChoicesSchema(classes=("z", "x"), renamed={"a": "z"}))
    assert sets.value(Choices(choices=("a", "x"))) == Choices(choices=("x", "z"))
    assert sets.symbol("a|x") == "x|z"
    assert names.symbol("a|x") == "a|x"  # one class, whose name has a bar
    assert not SAME
    assert names_of(RatingSchema(min=0, max=1)) is SAME


@st.composite
def histories(draw: st.DrawFn) -> list[LabelSchema]:
    """Versions of a schema: in each a class gets a name that none ever had."""
    found: list[LabelSchema] = [ChoicesSchema(classes=tuple(LETTERS[:3]))]
    for fresh in LETTERS[3 : 3 + draw(st.integers(1, 4))]:
        last = found[-1]
        assert isinstance(last, ChoicesSchema)
        old = draw(st.sampled_from(last.classes))
        classes = tuple(fresh if name == old else name for name in last.classes)
        found.append(ChoicesSchema(classes=classes, renamed=last.renamed | {old: fresh}))
    return found


@given(histories(), st.lists(st.sampled_from(LETTERS[:3]), max_size=3), st.data())
@settings(max_examples=100, deadline=None)
def test_whenever_the_renames_are_learned_of_the_end_is_the_same(
    versions: list[LabelSchema], chosen: list[str], data: st.DataObject
) -> None:
    assert all(unkept(versions[:n], versions[n]) is None for n in range(1, len(versions)))
    value: Any = Choices(choices=tuple(chosen))
    symbol, last = category(value), names_of(versions[-1])
    expected = last.value(value)
    for version in data.draw(st.lists(st.sampled_from(versions), max_size=4)):
        value, symbol = names_of(version).value(value), names_of(version).symbol(symbol)
        assert symbol == category(value)
    assert (last.value(value), last.symbol(symbol)) == (expected, category(expected))
    assert last.value(expected) is expected
    assert last.schema(versions[0]).classes == versions[-1].classes  # type: ignore[union-attr]


@given(st.one_of(strategies.annotations(), strategies.labels(), strategies.predictions(), strategies.gold_answers()))
@settings(max_examples=100, deadline=None)
def test_events_are_read_in_present_names_and_stay_valid(event: ev.Event) -> None:
    names = names_of(ChoiceSchema(classes=("negative", "fair", "positive"), renamed={"neutral": "fair"}))
    found = ev.in_present_names(event, names)
    assert type(found).model_validate_json(found.model_dump_json()) == found
    assert ev.in_present_names(found, names) == found
    assert ev.in_present_names(event, SAME) is event
    text = found.model_dump_json(include={"value", "distribution", "proposal", "evidence"})
    if '"kind":"mixed"' not in text:  # a mix is of another project: its parts have schemas of their own
        assert '"choice":"neutral"' not in text
        assert '"neutral":' not in text


def test_every_version_of_a_project_and_its_gold_are_read_in_present_names() -> None:
    reference = Reference()
    references: References = reference.references
    before = references.projects.naming
    reference.publish(GOLD_ANSWERS, make.gold_answer("g", value="neutral"))
    spec = make.project_spec(label=ChoiceSchema(classes=("negative", "fair", "positive"), renamed={"neutral": "fair"}))
    reference.publish(PROJECTS, make.project_version(2, spec=spec), make.project_pointer(2))
    first = references.projects.spec(make.PROJECT, 1)
    assert first is not None
    assert first.label.classes == ("negative", "fair", "positive")  # type: ignore[union-attr]
    answer = references.gold_answers.get(make.PROJECT, "g")
    assert answer is not None
    assert answer.value == make.choice("fair")
    assert references.projects.named_since(make.PROJECT) == 2
    assert before == {}  # a batch that began before goes on with what it knew
