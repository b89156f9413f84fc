"""demo, replay and up as a person runs them: their own processes, their exit codes, one JSON object on stdout."""

import contextlib
import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

COUNTS = ("labelled", "open", "sampled_out", "unlabelable", "unresolved", "dead_lettered")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("LABELSTREAM_")}
ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "cli"]


def labelstream(*arguments: object, cwd: Path, within_s: float = 280) -> Mapping[str, Any]:
    """Run a command to its end; it must succeed and print exactly one object."""
    done = subprocess.run(  # noqa: S603  # our own arguments
        [*COMMAND, *map(str, arguments), "--json"],
        cwd=cwd,
        env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-4000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize("broker", ["tansu", "kafka"])
def test_the_demo_proves_itself_on_both_brokers(broker: str, tmp_path: Path) -> None:
    found = labelstream("demo", "--broker", broker, "--images", 300, cwd=tmp_path)
    assert found["problems"] == []
    assert found["violations"] == 0
    assert found["items"] == sum(found[name] for name in COUNTS) == 300 + 12
    assert (found["labelled"], found["dead_lettered"], found["duplicates"]) == (300, 12, 30)
    assert sum(found["by_path"].values()) == 300
    assert found["by_path"]["auto"] > 50
    assert found["by_path"]["consensus"] > 20
    assert found["models"].keys() == {"v1", "v2"}
    assert found["accuracy"] > 0.95
    assert found["cost"] < found["baseline_cost"]
    measured = {one["name"]: one["measured_accuracy"] for one in found["people"]}
    assert measured["hal"] < measured["gus"] < measured["ada"]


@pytest.fixture
def crowd(tmp_path: Path) -> Mapping[str, Path]:
    """90 tasks, 9 workers of differing skill, 6 answers each, one repeated, and truths."""
    draw = random.Random(5)
    skills = {f"w{n}": (0.95, 0.9, 0.85, 0.8, 0.8, 0.75, 0.7, 0.6, 0.34)[n] for n in range(9)}
    classes = ("cat", "dog", "owl")
    truths = {f"t{n}": draw.choice(classes) for n in range(90)}
    rows = [
        (task, worker, truth if draw.random() < skills[worker] else draw.choice(classes))
        for task, truth in truths.items()
        for worker in draw.sample(sorted(skills), 6)
    ]
    rows.append((*rows[0][:2], truths["t0"]))
    answers, truth = tmp_path / "answers.csv", tmp_path / "truth.csv"
    with answers.open("w", newline="") as file:
        csv.writer(file).writerows([("task", "worker", "label"), *rows])
    with truth.open("w", newline="") as file:
        csv.writer(file).writerows([("task", "label"), *list(truths.items())[:80]])
    return {"answers": answers, "truth": truth}


@pytest.mark.timeout(200)
def test_a_recorded_crowd_is_replayed_to_the_last_item(crowd: Mapping[str, Path], tmp_path: Path) -> None:
    found = labelstream("replay", "--answers", crowd["answers"], "--truth", crowd["truth"], cwd=tmp_path, within_s=190)
    assert found["violations"] == 0
    assert found["items"] == sum(found[name] for name in COUNTS) == 90
    assert found["labelled"] == 90
    assert found["recorded"] == 540
    assert 180 <= found["opinions"] < 540
    assert found["by_path"] == {"auto": 0, "single": 0, "consensus": 90, "expert": 0}
    assert found["accuracy"] >= found["accuracy_majority"] - 0.02
    assert found["accuracy"] > 0.85
    assert found["coverage"] == 1.0


@pytest.mark.timeout(280)
def test_what_each_policy_costs_is_measured_on_the_running_services(tmp_path: Path) -> None:
    """Two clouds of points, four people each: a model learns them, and a policy without a person's part needs fewer.

    One item was answered twice and differently: a crowd stops there, while it would go on with any other.
    """
    draw = random.Random(1)
    files = {name: tmp_path / name for name in ("items.jsonl", "answers.csv", "truth.csv")}
    truths = {f"t{n:03}": draw.choice("ab") for n in range(180)}
    points = {
        task: [draw.gauss(float((place < 4) == (truth == "a")), 0.4) for place in range(8)]
        for task, truth in truths.items()
    }
    files["items.jsonl"].write_text(
        "".join(json.dumps({"task": task, "features": point}) + "\n" for task, point in points.items())
    )
    answers = [
        (task, worker, truth if draw.random() < 0.9 else "ab"[truth == "a"])
        for task, truth in truths.items()
        for worker in draw.sample(["w1", "w2", "w3", "w4", "w5"], 4)
    ]
    answers = [*answers[4:], ("t000", "w1", "a"), ("t000", "w2", "b")]
    for name, rows in (("answers.csv", [("task", "worker", "label"), *answers]), ("truth.csv", truths.items())):
        with files[name].open("w", newline="") as file:
            csv.writer(file).writerows(rows if name == "answers.csv" else [("task", "label"), *rows])
    policies = ("full_manual", "ai_assisted", "crowdsourced")
    found = labelstream(
        "economics", "--items", files["items.jsonl"], "--answers", files["answers.csv"], "--truth", files["truth.csv"],
        *(word for policy in policies for word in ("--policy", policy)), "--cycles", 1,
        "--plot", tmp_path / "economics.png", cwd=tmp_path,
    )  # fmt: skip
    manual, assisted, crowd = (found["policies"][policy] for policy in policies)
    assert found["violations"] == 0
    assert (manual["labels"], manual["opinions"], manual["auto_share"]) == (180, 539, 0.0)
    assert assisted["labels"] == crowd["labels"] == 180
    assert assisted["opinions"] < 450
    assert 360 <= crowd["opinions"] < found["all_opinions"]["opinions"] == 718
    assert manual["beside_all_opinions"]["items"] == 180
    assert manual["beside_all_opinions"]["accuracy"] == pytest.approx(
        manual["accuracy"] - found["all_opinions"]["accuracy"], abs=1e-5
    )
    assert manual["accuracy"] > 0.93
    assert assisted["accuracy"] > 0.9
    assert crowd["accuracy"] > 0.9
    (point,) = assisted["rounds"]
    assert point["labels"] >= 100
    assert point["model_accuracy"] > 0.9
    assert (tmp_path / "economics.png").stat().st_size > 10_000


@contextlib.contextmanager
def up(cwd: Path) -> Generator[tuple["subprocess.Popen[str]", Mapping[str, Any]]]:
    process = subprocess.Popen(  # noqa: S603  # our own arguments
        [*COMMAND, "up", "--json"],
        cwd=cwd,
        env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.stderr.read() if process.stderr else ""
        yield process, json.loads(line)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.timeout(200)
def test_other_commands_find_the_stack_that_is_up_and_ctrl_c_drains_it(tmp_path: Path) -> None:
    project = tmp_path / "p.yaml"
    project.write_text("project: p\ndata: text\nlabel: {kind: choice, classes: [a, b]}\n")
    with up(tmp_path) as (process, stack):
        assert set(stack["urls"]) == {"prelabel", "assignment", "qc", "monitor", "trainer"}
        assert not stack["keeps"]
        assert httpx.get(stack["status"], auth=("any", stack["admin_token"])).status_code == 200
        assert httpx.get(stack["status"]).status_code == 401
        assert labelstream("project", "apply", project, cwd=tmp_path)["status"] == "applied"
        assert labelstream("migrate", cwd=tmp_path)["count"] == 0
        assert labelstream("topics", "lag", cwd=tmp_path)["lag"] == 0
        assert labelstream("audit", "--at-rest", cwd=tmp_path)["violations"] == 0
        private = tmp_path / ".labelstream" / "environment"
        assert private.stat().st_mode & 0o077 == 0
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        assert process.wait(timeout=60) == 0
        assert time.monotonic() - started < 30
        assert not private.exists()
