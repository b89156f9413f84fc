"""Rows of a model to predictions."""

import math
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from services.prelabel.domain.postprocess import Head, abstain, label_value, propose, read_rows
from services.prelabel.domain.questions import NOBODY, Abstained, Identity, Question
from shared.events import Abstention, Manifest, Prediction, TextContent, TextInput, content_hash, entropy
from shared.heldout import group_of, is_held_out
from shared.labels import Choice, Choices, ChoiceSchema, ChoicesSchema, LabelSchema, Rating, RatingSchema
from tests.support import events as make

AT = datetime(2025, 1, 1, tzinfo=UTC)
CLASSES = ("a", "b", "c")
SCHEMA = ChoiceSchema(classes=CLASSES)


def head(output: Literal["probabilities", "logits"] = "probabilities", temperature: float = 1.0) -> Head:
    manifest = Manifest(input=TextInput(), classes=CLASSES, output=output, temperature=temperature)
    return Head.of(manifest, SCHEMA)


def question(item_id: str = "i1") -> Question:
    return Question("p", item_id, TextContent(text="x"), AT)


def proposed(rows: Any, reader: Head) -> list[Prediction | Abstained]:
    table = np.asarray(rows, dtype=np.float64)
    questions = [question(f"i{number}") for number in range(len(table))]
    return propose(questions, read_rows(table, reader), reader, Identity("m1", 3), AT)


def test_probabilities_are_kept() -> None:
    (found,) = proposed([[0.2, 0.7, 0.1]], head())
    assert isinstance(found, Prediction)
    assert found.value == Choice(choice="b")
    assert found.distribution == pytest.approx({"a": 0.2, "b": 0.7, "c": 0.1})
    assert found.confidence == pytest.approx(0.7)
    assert found.margin == pytest.approx(0.5)
    assert found.entropy == pytest.approx(entropy({"a": 0.2, "b": 0.7, "c": 0.1}), abs=1e-6)
    assert (found.model_version, found.generation, found.item_id) == ("m1", 3, "i0")


def test_softmax_with_temperature_is_the_formula() -> None:
    logits, temperature = np.array([2.0, 0.5, -1.0]), 2.5
    expected = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
    (found,) = proposed([logits], head("logits", temperature))
    assert isinstance(found, Prediction)
    assert list((found.distribution or {}).values()) == pytest.approx(expected.tolist(), rel=1e-6)


def test_temperature_on_probabilities_is_the_one_on_their_logarithms() -> None:
    p = np.array([[0.6, 0.3, 0.1]])
    by_logits = read_rows(np.log(p), head("logits", 1.7))
    assert read_rows(p, head("probabilities", 1.7)).probabilities == pytest.approx(by_logits.probabilities)


def test_a_high_temperature_flattens_and_keeps_the_order() -> None:
    p = np.array([[0.9, 0.08, 0.02]])
    flat = read_rows(p, head(temperature=5.0)).probabilities[0]
    assert flat[0] < 0.9
    assert flat[0] > flat[1] > flat[2]


def test_huge_logits_do_not_overflow() -> None:
    scores = read_rows(np.array([[1e30, -1e30, 0.0]]), head("logits"))
    assert scores.ok.all()
    assert scores.probabilities[0].tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "row", [[math.nan, 0.5, 0.5], [math.inf, 0.0, 0.0], [0.5, 0.5, 0.5], [-0.5, 1.0, 0.5], [0.0, 0.0, 0.0]]
)
def test_a_row_that_is_no_distribution_abstains_alone(row: list[float]) -> None:
    before, bad, after = proposed([[0.2, 0.7, 0.1], row, [0.1, 0.1, 0.8]], head())
    assert isinstance(bad, Abstained)
    assert bad.reason is Abstention.BAD_OUTPUT
    assert isinstance(before, Prediction)
    assert isinstance(after, Prediction)
    assert after.value == Choice(choice="c")


def test_an_infinite_logit_abstains() -> None:
    (bad,) = proposed([[math.inf, 0.0, 0.0]], head("logits"))
    assert isinstance(bad, Abstained)


def test_a_tie_goes_to_the_first_class() -> None:
    (found,) = proposed([[0.4, 0.4, 0.2]], head())
    assert isinstance(found, Prediction)
    assert (found.value, found.margin) == (Choice(choice="a"), 0.0)


rows_of_logits = arrays(np.float32, st.tuples(st.integers(1, 20), st.just(3)), elements=st.floats(-80, 80, width=32))


@given(rows_of_logits, st.floats(0.05, 20))
def test_every_finite_row_is_a_valid_prediction(rows: Any, temperature: float) -> None:
    for found in proposed(rows, head("logits", temperature)):
        assert isinstance(found, Prediction)
        assert Prediction.model_validate_json(found.model_dump_json()) == found  # it was built unchecked
        mix = found.distribution or {}
        assert math.fsum(mix.values()) == pytest.approx(1.0, abs=1e-5)
        assert found.confidence == max(mix.values())
        assert found.entropy == pytest.approx(entropy(mix), abs=1e-5)


def test_seven_digits_travel() -> None:
    third = np.full((1, 3), 1 / 3, dtype=np.float32)
    assert read_rows(third, head()).probabilities[0].tolist() == [0.3333333] * 3


@pytest.mark.parametrize(
    ("name", "schema", "value"),
    [
        ("b", SCHEMA, Choice(choice="b")),
        ("x|y", ChoicesSchema(classes=("x", "y")), Choices(choices=("x", "y"))),
        ("3", RatingSchema(min=1, max=5), Rating(rating=3)),
    ],
)
def test_a_class_stands_for_a_label_of_the_project(name: str, schema: LabelSchema, value: object) -> None:
    assert label_value(name, schema) == value


def test_classes_that_the_project_does_not_have_are_refused() -> None:
    manifest = Manifest(input=TextInput(), classes=("a", "z"))
    with pytest.raises(ValueError, match="'z' is not a class"):
        Head.of(manifest, SCHEMA)


def test_a_model_that_learned_a_former_name_goes_on_under_the_present_one() -> None:
    manifest = Manifest(input=TextInput(), classes=CLASSES)
    renamed = Head.of(manifest, ChoiceSchema(classes=("a", "fair", "c"), renamed={"b": "okay", "okay": "fair"}))
    (found,) = proposed([[0.2, 0.7, 0.1]], renamed)
    assert isinstance(found, Prediction)
    assert (found.value, found.generation) == (Choice(choice="fair"), 3)
    assert found.distribution == pytest.approx({"a": 0.2, "fair": 0.7, "c": 0.1})
    sets = ChoicesSchema(classes=("x", "z"), renamed={"a": "z"})
    assert Head.of(Manifest(input=TextInput(), classes=("a|x", "x")), sets).classes == ("x|z", "x")
    both = Manifest(input=TextInput(), classes=("b", "fair"))
    with pytest.raises(ValueError, match="names a class twice"):
        Head.of(both, ChoiceSchema(classes=("a", "fair"), renamed={"b": "fair"}))


def test_an_abstention_names_the_model_that_could_not_answer() -> None:
    why = Abstained(Abstention.SHAPE, "3 features")
    found = abstain(question(), why, Identity("m1", 3), AT)
    assert (found.abstention, found.detail, found.model_version, found.generation) == (
        Abstention.SHAPE, "3 features", "m1", 3,
    )  # fmt: skip
    assert abstain(question(), why, NOBODY, AT).model_version is None


def test_a_fresh_item_is_of_the_first_slice_that_it_fits() -> None:
    parts = [
        {"name": "german", "when": {"metadata": {"language": ["de"]}}, "policy": {}},
        {"name": "shop", "when": {"source": "shop"}, "policy": {}},
    ]
    spec = make.project_spec(slices=parts)
    item = make.item("i1", metadata={"language": "de"})
    assert Question.of(item, spec).along.slice == "german"
    assert Question.of(make.item("i1"), spec).along.slice is None
    assert Question.of(item, make.project_spec()).along.slice is None
    asked = Question.of(item, spec)
    (found,) = propose([asked], read_rows(np.array([[0.2, 0.7, 0.1]]), head()), head(), Identity("m1", 3), AT)
    assert isinstance(found, Prediction)
    assert found.slice == "german"


def test_a_fresh_item_that_no_model_learns_from_is_said_to_be_held_out() -> None:
    spec = make.project_spec(policy={"order": {"explore": 0.1}}, training={"group_by": "page", "holdout_seed": "s"})
    items = [make.item(f"i{n}", text=f"text {n}", metadata={"page": n // 2} if n < 40 else {}) for n in range(60)]
    asked = [Question.of(item, spec) for item in items]
    groups = [group_of(item.metadata.get("page"), content_hash(item.content)) for item in items]
    assert [one.held_out for one in asked] == [is_held_out("s", group, 0.2) or None for group in groups]
    assert {one.held_out for one in asked[:40]} == {one.held_out for one in asked[40:]} == {True, None}
    held = next(place for place, one in enumerate(asked) if one.held_out)
    rows = read_rows(np.array([[0.2, 0.7, 0.1]]), head())
    (found,) = propose([asked[held]], rows, head(), Identity("m1", 3), AT)
    nothing = abstain(asked[held], Abstained(Abstention.NO_MODEL, ""), NOBODY, AT)
    assert isinstance(found, Prediction)
    assert found.held_out is nothing.held_out is True
    unasked = (make.project_spec(policy={"order": {"explore": 0.1}}), spec.model_copy(update={"policy": make.policy()}))
    assert {Question.of(items[held], one).held_out for one in unasked} == {None}
