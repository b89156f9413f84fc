"""Gold files: every form of a line, and every mistake with its line."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.frontmatter import GuidelineText
from cli.gold import read_gold
from cli.guidelines import current_of, next_version
from shared.errors import ConfigurationError
from shared.events import FeaturesContent, GuidelinePointer, GuidelineVersion, ProjectSpec, TextContent
from shared.labels import Choices, ChoicesSchema, Rating, RatingSchema, Transcript, TranscriptSchema
from tests.support import events as make


def write(tmp_path: Path, *lines: Any) -> Path:
    file = tmp_path / "gold.jsonl"
    file.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return file


def mistakes(tmp_path: Path, *lines: Any, spec: ProjectSpec | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read_gold(write(tmp_path, *lines), spec or make.project_spec(), now=make.AT)
    return [line.split("gold.jsonl:", 1)[1] for line in str(caught.value).splitlines()]


def test_short_and_full_forms_are_read(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        {"id": "g1", "content": "fine", "label": "positive", "explanation": "praise"},
        "",
        {"item": 7, "content": {"kind": "text", "text": "bad"}, "label": {"kind": "choice", "choice": "negative"}},
    )
    one, two = read_gold(file, make.project_spec(), now=make.AT)
    assert one.item.content == TextContent(text="fine")
    assert (one.answer.value, one.answer.explanation) == (make.choice("positive"), "praise")
    assert (two.item.item_id, two.answer.value) == ("7", make.choice("negative"))
    assert "positive" not in one.item.model_dump_json()


@pytest.mark.parametrize(
    ("more", "content", "label", "expected"),
    [
        ({"label": ChoicesSchema(classes=("a", "b"))}, "x", ["b", "a"], Choices(choices=("a", "b"))),
        ({"label": RatingSchema(min=1, max=5, step=1)}, "x", 4, Rating(rating=4)),
        ({"label": TranscriptSchema()}, "x", "said", Transcript(text="said")),
        ({"data": "features"}, [0.1, 2], "neutral", make.choice("neutral")),
        ({"data": "json"}, {"a": 1}, "neutral", make.choice("neutral")),
        ({"data": "image"}, {"data": "aGk="}, "neutral", make.choice("neutral")),
        ({"data": "image", "uri_prefixes": ("https://img/",)}, "https://img/1.png", "neutral", make.choice("neutral")),
    ],
)
def test_every_kind_of_project_has_a_short_form(
    tmp_path: Path, more: dict[str, Any], content: Any, label: Any, expected: Any
) -> None:
    file = write(tmp_path, {"id": "g", "content": content, "label": label})
    [gold] = read_gold(file, make.project_spec(**more), now=make.AT)
    assert gold.answer.value == expected
    if more.get("data") == "features":
        assert gold.item.content == FeaturesContent(features=(0.1, 2.0))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"id": "g", ', "2: column 13: not JSON"),
        ("[1]", "2: a line must be an object"),
        ({"content": "x", "label": "positive"}, "2: give the item's id once"),
        ({"id": "g", "item": "g", "content": "x", "label": "positive"}, "2: give the item's id once"),
        ({"id": True, "content": "x", "label": "positive"}, "2: id: must be a text"),
        ({"id": "", "content": "x", "label": "positive"}, "2: content.item_id"),
        ({"id": "g", "label": "positive"}, "2: content: missing"),
        ({"id": "g", "content": [1], "label": "positive"}, "2: content: does not fit"),
        ({"id": "g", "content": {"kind": "features", "features": [1]}, "label": "positive"}, "2: content.kind"),
        ({"id": "g", "content": "x"}, "2: label: missing"),
        ({"id": "g", "content": "x", "label": "purple"}, "2: label.choice: 'purple' is not a class"),
        ({"id": "g", "content": "x", "label": 1.5}, "2: label: does not fit"),
        ({"id": "g", "content": "x", "label": {"kind": "rating", "rating": 1}}, "2: label.kind"),
        ({"id": "g", "content": "x", "label": "positive", "lable": 1}, "2: lable: unknown field"),
        ('{"id": "g", "id": "h", "content": "x", "label": "positive"}', "2: id: given twice"),
        ('{"id": "g", "content": "x", "label": NaN}', "2: NaN is not a JSON number"),
        ('{"id": "g", "content": "x", "label": 1e999}', "2: 1e999 is too large"),
        ({"id": "first", "content": "x", "label": "positive"}, "2: id: 'first' is already on line 1"),
        ({"id": "g", "content": "a\x00b", "label": "positive"}, "2: content"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, line: Any, says: str) -> None:
    [found] = mistakes(tmp_path, {"id": "first", "content": "x", "label": "positive"}, line)
    assert found.startswith(says)


def test_many_mistakes_are_told_at_once_but_not_all(tmp_path: Path) -> None:
    file = write(tmp_path, *[{"id": f"g{n}", "content": "x", "label": "purple"} for n in range(30)])
    with pytest.raises(ConfigurationError) as caught:
        read_gold(file, make.project_spec(), now=make.AT)
    lines = str(caught.value).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "and 10 more"


def test_a_file_that_cannot_be_read_or_is_empty(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        read_gold(tmp_path / "absent", make.project_spec(), now=make.AT)
    with pytest.raises(ConfigurationError, match="holds no line"):
        read_gold(write(tmp_path, ""), make.project_spec(), now=make.AT)
    (tmp_path / "latin").write_bytes(b'{"id": "\xff"}')
    with pytest.raises(ConfigurationError, match="not UTF-8 at byte 8"):
        read_gold(tmp_path / "latin", make.project_spec(), now=make.AT)
    uri = {"id": "g", "content": "https://elsewhere/1.png", "label": "positive"}
    with pytest.raises(ConfigurationError, match="uri_prefixes"):
        read_gold(write(tmp_path, uri), make.project_spec(data="image"), now=make.AT)


def test_guideline_versions_count_up_and_the_same_text_is_no_change() -> None:
    spec = make.project_spec()
    first = next_version([], spec, GuidelineText("# One\n"), ["neutral"], now=make.AT)
    assert first is not None
    assert (first.version, first.touched_classes) == (1, ("neutral",))
    events: list[GuidelineVersion | GuidelinePointer] = [first, make.guideline_pointer(1)]
    assert current_of(events, spec.project) == first
    assert next_version(events, spec, GuidelineText("# One\n"), [], now=make.AT) is None
    second = next_version([*events, make.guideline_version(5)], spec, GuidelineText("# Two\n"), [], now=make.AT)
    assert second is not None
    assert second.version == 6
    with pytest.raises(ConfigurationError, match="purple: not a class"):
        next_version([], spec, GuidelineText("# One\n"), ["purple"], now=make.AT)
    with pytest.raises(ConfigurationError, match="empty"):
        next_version([], spec, GuidelineText(" \n"), [], now=make.AT)
