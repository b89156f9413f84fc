"""Recorded crowds are read as recorded, and refused with the line of the mistake."""

from pathlib import Path

import pytest

from cli.replay.dataset import Answer, read_crowd
from shared.errors import ConfigurationError
from shared.events import JsonContent, TextContent

ANSWERS = (
    "task,worker,label,timestamp\nt1,w2,b,2020-01-02\nt1,w1,a,2020-01-01\nt2,w1,b,2020-01-01\nt1,w2,a,2020-01-03\n"
)


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_last_answer_of_a_worker_counts_and_recorded_times_order(tmp_path: Path) -> None:
    crowd = read_crowd(
        written(tmp_path, "answers.csv", ANSWERS),
        truth=written(tmp_path, "truth.csv", "task,label\nt1,a\nt9,b\n"),
        items=written(tmp_path, "items.jsonl", '{"task": "t1", "text": "x"}\n{"task": "t2", "q": 1, "a": [2]}\n'),
    )
    assert crowd.answers["t1"] == [Answer("w1", "a"), Answer("w2", "a")]
    assert crowd.classes == ("a", "b")
    assert crowd.truth == {"t1": "a"}
    assert crowd.content("t1") == TextContent(text="x")
    assert crowd.content("t2") == JsonContent(fields={"q": 1, "a": [2]})
    assert crowd.content("t3") == TextContent(text="t3")
    assert crowd.workers == ["w1", "w2"]


def test_without_times_the_seed_decides_and_the_limit_takes_the_first_tasks(tmp_path: Path) -> None:
    rows = [f"t{task},w{worker},{(task + worker) % 2}" for task in range(5) for worker in range(9)]
    path = written(tmp_path, "answers.csv", "\n".join(["task,worker,label", *rows]))
    one, same, other = (read_crowd(path, limit=2, seed=seed) for seed in (1, 1, 2))
    assert one.tasks == ["t0", "t1"]
    assert one.answers == same.answers
    assert one.answers != other.answers


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", ":1: no column task, worker, label"),
        ("task,worker\n", ":1: no column label"),
        ("task,worker,label\n", "holds no answers"),
        ("task,worker,label\na,b\n", ":2: label is empty"),
        ("task,worker,label\na,,c\n", ":2: worker is empty"),
        ("task,worker,label\na,b,c\n", "nothing to decide"),
        ('task,worker,label\na,b,"[[1, 2, ""PER""]]"\n', "structured"),
        ("task,worker,label\n" + "".join(f"a{n},b,c{n}\n" for n in range(300)), "free text"),
    ],
)
def test_a_bad_file_is_refused_with_what_to_do(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match="answers") as caught:
        read_crowd(written(tmp_path, "answers.csv", text))
    assert says in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_crowd(tmp_path / "none.csv")
