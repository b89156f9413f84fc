"""What a split and a rename make of a project, and which are refused."""

import pytest

from cli.labels import rename_spec, split_spec
from cli.project.versions import ProjectHistory, closes_rounds, fold, plan, renames
from shared.errors import ConfigurationError
from shared.labels import ChoiceSchema, RatingSchema
from tests.support import events as make


def test_the_new_classes_take_the_place_of_the_old_one() -> None:
    spec = make.project_spec(label=ChoiceSchema(classes=("negative", "neutral", "positive"), ordered=True))
    changed = split_spec(spec, "neutral", ["fair", "mixed"])
    assert isinstance(changed.label, ChoiceSchema)
    assert changed.label.classes == ("negative", "fair", "mixed", "positive")
    assert changed.label.ordered
    assert changed.model_copy(update={"label": spec.label}) == spec


@pytest.mark.parametrize(
    ("old", "into", "says"),
    [
        ("purple", ["a", "b"], "not a class of sentiment; it has negative"),
        ("neutral", ["positive", "b"], "positive: is a class already"),
        ("neutral", ["neutral", "b"], "neutral: is a class already"),
        ("neutral", ["a", "a"], "a: is a class already"),
        ("neutral", ["a"], "two classes or more"),
    ],
)
def test_what_is_no_split_is_refused(old: str, into: list[str], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        split_spec(make.project_spec(), old, into)
    with pytest.raises(ConfigurationError, match="choice and choices"):
        split_spec(make.project_spec(label=RatingSchema(min=0, max=5)), old, into)


def test_a_rename_keeps_the_place_and_every_name_of_before() -> None:
    spec = make.project_spec(label=ChoiceSchema(classes=("negative", "neutral", "positive"), ordered=True))
    once = rename_spec(spec, "neutral", "fair")
    twice = rename_spec(once, "fair", "middling")
    assert isinstance(twice.label, ChoiceSchema)
    assert twice.label.classes == ("negative", "middling", "positive")
    assert twice.label.renamed == {"neutral": "fair", "fair": "middling"}
    assert twice.label.ordered
    assert (closes_rounds(spec, twice), renames(spec, twice)) == ((), (("neutral", "middling"),))
    parts = split_spec(twice, "middling", ["a", "b"])
    assert closes_rounds(spec, parts) == ("middling",)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("purple", "a", "not a class of sentiment; it has negative"),
        ("neutral", "positive", "positive: is a class already"),
        ("neutral", "neutral", "neutral: is a class already"),
        ("negative", "was", "'was' was renamed 'negative' and is among the classes"),
    ],
)
def test_what_is_no_rename_is_refused(old: str, new: str, says: str) -> None:
    label = ChoiceSchema(classes=("negative", "neutral", "positive"), renamed={"was": "negative"})
    with pytest.raises(ConfigurationError, match=says):
        rename_spec(make.project_spec(label=label), old, new)
    with pytest.raises(ConfigurationError, match="choice and choices"):
        rename_spec(make.project_spec(label=RatingSchema(min=0, max=5)), old, new)


def test_a_file_that_forgets_a_rename_or_takes_an_old_name_is_refused() -> None:
    spec = make.project_spec()
    history = ProjectHistory(spec.project)
    for version in (spec, rename_spec(spec, "neutral", "fair")):
        made = plan(history, version, now=make.AT)
        assert made.pointer is not None
        history = fold([*history.versions.values(), made.version, made.pointer])[spec.project]
    label = ChoiceSchema(classes=("negative", "fair", "positive"))
    for classes, renamed, says in (
        (("negative", "neutral", "positive"), {}, "cannot be a class again"),
        (("negative", "fair", "positive"), {}, "keep that entry"),
        (("negative", "other", "positive"), {"neutral": "fair", "fair": "gone"}, "not among the classes"),
    ):
        bad = label.model_copy(update={"classes": classes, "renamed": renamed})
        with pytest.raises(ConfigurationError, match=says):
            plan(history, spec.model_copy(update={"label": bad}), now=make.AT)
