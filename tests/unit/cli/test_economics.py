"""Economics: a policy is its preset on what was recorded, contents are what a model can learn from, sums are right."""

import math
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from cli.economics.contents import read_contents
from cli.economics.drive import Played, awaited
from cli.economics.pace import room, told
from cli.economics.plan import POLICIES, SIZES_AT_MOST, Options, items_of, learns, project_of, sizes_of, spec_of
from cli.economics.plot import draw
from cli.economics.report import beside, policy_report, savings, show
from cli.project.presets import policy_of
from cli.replay.dataset import Answer, Crowd
from cli.scoring import Ledger
from shared.errors import ConfigurationError
from shared.events import FeaturesContent, TextContent
from shared.events import Path as LabelPath
from tests.support import events as make

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def crowd(tasks: int = 4, opinions: int = 9) -> Crowd:
    answers = {f"t{n}": [Answer(f"w{k}", "ab"[k % 2]) for k in range(opinions)] for n in range(tasks)}
    return Crowd(answers, ("a", "b"), {}, {})


def written(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "items.jsonl"
    path.write_text("\n".join(lines))
    return path


FEATURES = [f'{{"task": "t{n}", "features": [{n}, 0.5], "group": "g{n // 2}"}}' for n in range(4)]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_is_its_preset_but_for_what_a_recording_cannot_do(policy: str, tmp_path: Path) -> None:
    people = crowd()
    contents = read_contents(written(tmp_path, *FEATURES), people)
    spec = spec_of(policy, people, contents, Options(target_error=0.05), training=True)
    preset, policy_ = policy_of(policy), spec.policy
    assert (policy_.preset, policy_.order, policy_.target_posterior) == (policy, preset.order, preset.target_posterior)
    assert policy_.consensus == preset.consensus
    assert (policy_.blind_share, policy_.gold.share, policy_.budget) == (1.0, 0.0, None)
    assert (spec.training is not None) == learns(policy) == (preset.auto_accept is not None)
    if policy_.auto_accept is not None:
        assert policy_.auto_accept.guarantee is not None
        assert policy_.auto_accept.guarantee.target_error == 0.05
    wanted = {"full_manual": (3, 3), "crowdsourced": (2, 9)}
    assert (policy_.overlap.min, policy_.overlap.max) == wanted.get(policy, (1, 3))
    assert policy_.relabel.doubts_per_day == (40 if policy == "crowdsourced" else 0)
    assert spec_of(policy, people, contents, Options(), training=False).training is None
    items = list(items_of(policy, people, contents, now=NOW))
    assert [item.metadata["group"] for item in items] == ["g0", "g0", "g1", "g1"]
    assert {item.project_id for item in items} == {project_of(policy)}


def uneven(counts: list[int]) -> Crowd:
    answers = {f"t{n}": [Answer(f"w{k}", "ab"[k % 2]) for k in range(count)] for n, count in enumerate(counts)}
    return Crowd(answers, ("a", "b"), {}, {})


def test_an_item_may_take_as_many_opinions_as_were_recorded_of_it() -> None:
    people = uneven([1, 3, 120, 3])
    contents = read_contents(None, people)
    spec = spec_of("crowdsourced", people, contents, Options(), training=False)
    items = {one.item_id: one for one in items_of("crowdsourced", people, contents, now=NOW)}
    found = {name: spec.policy_of(spec.slice_of(one.metadata, None)).overlap for name, one in items.items()}
    assert {name: (one.min, one.max) for name, one in found.items()} == {
        "t0": (1, 1), "t1": (2, 3), "t2": (2, 100), "t3": (2, 3),
    }  # fmt: skip
    assert {(one.regret, one.prefer) for one in found.values()} == {(0.007, 2.0)}
    assert spec_of("random", people, contents, Options(), training=False).slices == ()
    assert all(one.metadata == {} for one in items_of("random", people, contents, now=NOW))


def test_where_too_many_numbers_were_recorded_some_are_taken_together_at_the_larger() -> None:
    counts = list(range(1, 73))
    found = sizes_of(uneven(counts))
    assert len(set(found.values())) <= SIZES_AT_MOST
    assert all(0 <= found[f"t{n}"] - count <= 1 for n, count in enumerate(counts))


def test_contents_are_features_or_all_the_texts_of_a_task(tmp_path: Path) -> None:
    found = read_contents(written(tmp_path, *FEATURES), crowd())
    assert found.by_task["t3"] == FeaturesContent(features=(3.0, 0.5))
    assert (found.data, found.groups["t3"], found.learnable) == ("features", "g1", True)
    lines = [f'{{"task": "t{n}", "text": "one", "more": {{"a": "two", "b": ["three", "four"]}}}}' for n in range(4)]
    found = read_contents(written(tmp_path, *lines), crowd())
    assert found.by_task["t0"] == TextContent(text="one\ntwo\nthree four")
    assert not read_contents(None, crowd()).learnable


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (FEATURES[:3], "1 tasks have answers and no line"),
        ([*FEATURES[:3], '{"task": "t3", "text": "x", "group": "g"}'], "some lines have features"),
        ([*FEATURES[:3], '{"task": "t3", "features": [1, 2]}'], "1 lines have no group|lines have no group"),
        ([*FEATURES[:3], '{"task": "t3", "features": "no"}'], ":4: features must be a list of numbers"),
        ([*FEATURES[:3], "{"], ":4: not JSON"),
    ],
)
def test_what_is_wrong_with_an_items_file_is_said_with_its_line(lines: list[str], why: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=why):
        read_contents(written(tmp_path, *lines), crowd())


def test_a_report_counts_labels_opinions_and_what_the_model_did_alone(tmp_path: Path) -> None:
    ledger = Ledger()
    ledger.add_label(make.label("t0", value="a", path=LabelPath.AUTO, opinions=0, cost=0.0002))
    ledger.add_label(make.label("t1", value="b", cost=0.16))
    for who in ("w0", "w1"):
        ledger.add_annotation(make.annotation("t1", by=who, value="b"))
    point = {"cycle": 1, "labels": 1, "opinions": 2, "auto": 1, "model": "m", "model_accuracy": 0.8}
    point |= {"not_in_time": "verdict"}
    truth = {"t0": "a", "t1": "a"}
    found = policy_report(Played("ai_assisted", 1.0, [point]), ledger, truth, {"t0": True, "t1": True, "t9": False})
    assert (found["labels"], found["opinions"], found["opinions_per_label"]) == (2, 2, 1.0)
    assert (found["accuracy"], found["accuracy_auto"], found["auto_share"]) == (0.5, 1.0, 0.5)
    assert found["beside_all_opinions"] == {"accuracy": -0.5, "standard_error": 0.5, "items": 2}
    assert found["cost"] == pytest.approx(0.1602)
    manual = dict(found, opinions=6, cost=0.48)
    all_ = {"opinions": 8, "accuracy": 0.5, "accuracy_majority": 0.5, "opinions_per_label": 4.0}
    policies = {"full_manual": manual, "ai_assisted": found}
    saved = savings(policies, all_)["ai_assisted"]
    assert saved["of_all_opinions"] == 0.75
    assert saved["of_manual_opinions"] == pytest.approx(0.6667, abs=1e-4)
    screen = Console(width=160, record=True, file=StringIO())
    told_of = {"policies": policies, "all_opinions": all_, "saved": savings(policies, all_)}
    show(screen, told_of | {"violations": [], "seconds": 1.0})
    shown = [line.split()[-2:] for line in screen.export_text().splitlines() if "80.0%" in line]
    assert shown == [["80.0%", "verdict"]] * 2
    picture = tmp_path / "economics.png"
    draw({"policies": policies, "all_opinions": all_}, picture)
    assert picture.read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(ConfigurationError, match="cannot be written"):
        draw({"policies": policies, "all_opinions": all_}, tmp_path / "nowhere" / "x.png")


def test_a_policy_stands_beside_all_opinions_item_by_item() -> None:
    both = {f"t{place:02}": place < 50 for place in range(100)}
    assert beside(both, both) == {"accuracy": 0.0, "standard_error": 0.0, "items": 100}
    one = beside(both | {"t00": False, "t01": False, "t02": False, "t99": True}, both)
    assert one is not None
    assert one["accuracy"] == -0.02
    assert one["standard_error"] == pytest.approx(math.sqrt((4 - 100 * 0.02**2) / 99 / 100), abs=1e-6)
    assert beside({"t00": True}, both) is None  # one item has no spread


def test_a_cycle_says_what_the_trainer_did_not_do_in_time() -> None:
    before = {"trainings": 2.0, "registered": 1.0, "verdicts": 1.0}
    assert awaited(before, before) == "training"
    assert awaited(before, before | {"trainings": 3.0}) is None  # no model came of it
    registered = before | {"trainings": 3.0, "registered": 2.0}
    assert awaited(before, registered) == "verdict"
    assert awaited(before, registered | {"verdicts": 2.0}) is None


METRICS = """labelstream_qc_annotations_total{lane="round",outcome="answered",project="a"} 60.0
labelstream_qc_annotations_total{lane="late",outcome="answered",project="a"} 2.0
labelstream_qc_annotations_total{lane="round",outcome="skipped",project="a"} 9.0
labelstream_qc_annotations_total{lane="round",outcome="answered",project="ab"} 500.0
labelstream_qc_unweighed_answers{project="a"} 12.0"""


def test_people_answer_no_faster_than_labels_are_held_against_snapshots() -> None:
    assert (room(0, 0), room(50, 0), room(50, 50), room(80, 50)) == (50, 0, 50, 20)
    assert (room(2000, 2000), room(2150, 2000), room(2300, 2000)) == (200, 50, -100)
    assert told(METRICS, "a") == (62, 12)
    assert told(METRICS, "ab") == (500, None)  # no snapshot yet
