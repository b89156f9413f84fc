"""consensus and agreement on files: what they print, what they write, how they refuse."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.component.cli.conftest import Cli
from tests.support.crowds import coin, crowd


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A crowd of 120 tasks, three classes; the first answer of a task is repeated, and changed."""
    answers, truth = crowd([coin(a, 3) for a in np.linspace(0.6, 0.95, 12)], items=120, opinions=5)
    rows = [("t0", "w0", "c0")] + [
        (f"t{i}", f"w{w}", f"c{s}") for i, w, s in zip(answers.item, answers.annotator, answers.symbol, strict=True)
    ]
    if (answers.annotator[:5] != 0).all():
        rows.append(("t0", "w0", "c1"))
    _write(tmp_path / "answers.csv", ("task", "worker", "label"), rows)
    _write(tmp_path / "truth.csv", ("task", "label"), [(f"t{i}", f"c{c}") for i, c in enumerate(truth[:100])])
    return tmp_path


def _write(path: Path, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def test_consensus_labels_a_file_and_says_how_good_it_is(cli: Cli, folder: Path) -> None:
    out = folder / "labels.csv"
    found = cli(
        "consensus", "--answers", folder / "answers.csv", "--truth", folder / "truth.csv", "--output", out, "--json"
    ).json
    assert found["accuracy"] > 0.85
    assert found["macro_f1"] > 0.85
    assert (found["method"], found["items"], found["classes"]) == ("default", 120, 3)
    assert found["opinions"] in (600, 601)
    assert found["answers_per_second"] == pytest.approx(found["opinions"] / found["seconds"], rel=1e-6)
    assert sum(one["labels"] for one in found["reliability"]) == 100
    with out.open() as file:
        labels = {row["task"]: row for row in csv.DictReader(file)}
    assert len(labels) == 120
    first = labels["t0"]
    assert float(first["posterior"]) == float(first[f"p({first['label']})"]) >= 1 / 3
    assert sum(float(first[f"p(c{k})"]) for k in range(3)) == pytest.approx(1.0, abs=1e-4)


def test_every_method_runs_and_without_truth_nothing_is_known(cli: Cli, folder: Path) -> None:
    for method in ("default", "majority", "weighted-majority", "one-coin", "dawid-skene", "ordinal"):
        found = cli("consensus", "--answers", folder / "answers.csv", "--method", method, "--json").json
        assert found["method"] == method
        assert found["accuracy"] is found["macro_f1"] is found["calibration_error"] is None
    shown = cli("consensus", "--answers", folder / "answers.csv")
    assert "unknown" in shown.out
    assert cli("consensus", "--answers", folder / "answers.csv", "--method", "best").code == 2


def test_agreement_shows_alpha_and_ac1_side_by_side(cli: Cli, folder: Path) -> None:
    found = cli("agreement", "--answers", folder / "answers.csv", "--resamples", 200, "--json").json
    assert found["alpha_ordinal"] is found["gwet_ac2"] is found["alpha_interval"] is None
    assert found["intervals"]["alpha_ordinal"] is None
    low, high = found["intervals"]["alpha_nominal"]
    assert low < found["alpha_nominal"] < high
    assert cli("agreement", "--answers", folder / "answers.csv", "--resamples", 200, "--json").json == found
    ordered = cli("agreement", "--answers", folder / "answers.csv", "--order", "c0,c1,c2", "--json").json
    assert ordered["alpha_ordinal"] is not None
    assert "Krippendorff alpha" in (shown := cli("agreement", "--answers", folder / "answers.csv").out)
    assert "Gwet AC1" in shown


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("task,worker\na,b\n", "answers.csv:1: no column label"),
        ("task,worker,label\na,b,\n", "answers.csv:2: an empty column"),
        ("task,worker,label\na,b\n", "answers.csv:2: 2 columns"),
        ("task,worker,label\n", "holds no answers"),
        ("task,worker,label\n" + "".join(f"a,b{n},free text {n}\n" for n in range(300)), "look like free text"),
    ],
)
def test_what_is_no_crowd_is_refused_with_its_line(cli: Cli, tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "answers.csv"
    path.write_text(text)
    for command in ("consensus", "agreement"):
        refused = cli(command, "--answers", path, "--json")
        assert refused.code == 1
        assert told in refused.err
    missing = cli("agreement", "--answers", tmp_path / "none.csv")
    assert missing.code == 1
    assert "cannot be read" in missing.err


def test_an_answer_outside_the_given_order_is_refused(cli: Cli, folder: Path) -> None:
    refused = cli("agreement", "--answers", folder / "answers.csv", "--order", "c0,c1")
    assert refused.code == 1
    assert "'c2' is not in the order" in refused.err
