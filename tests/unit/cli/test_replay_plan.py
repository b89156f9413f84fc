"""What a replay asks for comes from the recording, and each answer is given out once."""

from datetime import UTC, datetime

import pytest

from cli.replay.dataset import Answer, Crowd
from cli.replay.plan import Picker, items_of, overlap_of, project_of
from shared.events import Content, JsonContent, TextContent


def crowd(*counts: int, contents: dict[str, Content] | None = None) -> Crowd:
    answers = {f"t{n}": [Answer(f"w{k}", "ab"[k % 2]) for k in range(count)] for n, count in enumerate(counts)}
    return Crowd(answers, ("a", "b"), {}, contents or {})


@pytest.mark.parametrize(
    ("counts", "given", "expected"),
    [
        ((5, 7, 9), (None, None), (2, 9)),
        ((1, 1, 4), (None, None), (1, 4)),
        ((111,), (None, None), (2, 100)),
        ((5, 7), (3, 4), (3, 4)),
        ((5, 7), (None, 1), (1, 1)),
    ],
)
def test_the_overlap_is_that_of_the_recording(
    counts: tuple[int, ...], given: tuple[int | None, int | None], expected: tuple[int, int]
) -> None:
    found = overlap_of(crowd(*counts), *given)
    assert (found.min, found.max) == expected


def test_all_items_have_the_content_kind_of_the_project() -> None:
    mixed = crowd(1, 1, contents={"t0": JsonContent(fields={"q": 1})})
    spec = project_of(mixed, overlap=overlap_of(mixed), target=0.9)
    items = list(items_of(mixed, now=datetime(2026, 1, 1, tzinfo=UTC)))
    assert spec.data == "json"
    assert [item.content.kind for item in items] == ["json", "json"]
    assert items[1].content == JsonContent(fields={"text": "t1"})
    plain = crowd(1, contents={"t0": TextContent(text="x")})
    assert project_of(plain, overlap=overlap_of(plain), target=0.9).data == "text"


def test_each_answer_is_given_out_once_in_order() -> None:
    picker = Picker(crowd(3))
    assert [one.worker for one in picker.take("t0", 2)] == ["w0", "w1"]
    assert picker.left("t0") == 1
    assert [one.worker for one in picker.take("t0", 2)] == ["w2"]
    assert picker.take("t0", 1) == []
    assert picker.take("unknown", 1) == []
