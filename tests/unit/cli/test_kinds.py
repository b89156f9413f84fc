"""`labelstream consensus --kind`: files in, figures beside the baselines out."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.__main__ import build

ANSWERS = [
    ("t1", "a", '[[0, 2, "PER"]]'), ("t1", "b", '[[0, 2, "PER"]]'), ("t1", "c", "[]"),
    ("t2", "a", '[[3, 4, "LOC"]]'), ("t2", "b", '[[3, 5, "LOC"]]'), ("t2", "c", '{"spans": [[3, 4, "LOC"]]}'),
]  # fmt: skip


def run(*arguments: str) -> dict[str, Any]:
    ran = CliRunner().invoke(build(["consensus"]), ["consensus", *arguments, "--json"])
    assert ran.exit_code == 0, ran.output
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def written(path: Path, header: str, rows: Sequence[tuple[str, ...]]) -> str:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        writer.writerows(rows)
    return str(path)


def test_spans_give_f1_beside_the_baselines_and_labels_in_a_file(tmp_path: Path) -> None:
    answers = written(tmp_path / "answers.csv", "task,worker,label", ANSWERS)
    truth = written(tmp_path / "truth.csv", "task,label", [("t1", '[[0, 2, "PER"]]'), ("t2", '[[3, 4, "LOC"]]')])
    labels = tmp_path / "labels.csv"
    found = run("--kind", "spans", "--answers", answers, "--truth", truth, "--output", str(labels))
    assert found["f1"] == 1
    assert found["baselines"]["one_annotator"]["f1"] == pytest.approx(2 * 4 / (5 + 6))
    assert set(found["baselines"]) == {"one_annotator", "medoid", "majority"}
    rows = list(csv.DictReader(labels.read_text(encoding="utf-8").splitlines()))
    assert [json.loads(row["label"]) for row in rows] == [[[0, 2, "PER"]], [[3, 4, "LOC"]]]
    again = written(tmp_path / "again.csv", "task,label", [(row["task"], row["label"]) for row in rows])
    assert run("--kind", "spans", "--answers", answers, "--truth", again)["f1"] == 1


def test_of_repeated_answers_the_last_counts_and_an_empty_transcript_is_one(tmp_path: Path) -> None:
    rows = [("t", "a", "wrong"), ("t", "a", "42"), ("t", "b", ""), ("t", "c", "42")]
    answers = written(tmp_path / "answers.csv", "task,worker,label", rows)
    truth = written(tmp_path / "truth.csv", "task,label", [("t", "42.")])
    found = run("--kind", "transcript", "--answers", answers, "--truth", truth)
    assert (found["wer"], found["opinions"], found["workers"]) == (0, 3, 3)


@pytest.mark.parametrize(
    ("kind", "label", "said"),
    [
        ("spans", "[[2, 1, 'X']]", "no JSON"),
        ("spans", '[[2, 1, "X"]]', "not after its start"),
        ("nonsense", "x", "kind"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, kind: str, label: str, said: str) -> None:
    answers = written(tmp_path / "answers.csv", "task,worker,label", [("t", "a", label)])
    ran = CliRunner().invoke(build(["consensus"]), ["consensus", "--kind", kind, "--answers", answers])
    assert ran.exit_code != 0
    assert said in str(ran.exception) + ran.output
    assert kind == "nonsense" or "answers.csv:2" in str(ran.exception) + ran.output
