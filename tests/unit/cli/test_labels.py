"""What a split makes of a project, and which splits are refused."""

import pytest

from cli.labels import split_spec
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
