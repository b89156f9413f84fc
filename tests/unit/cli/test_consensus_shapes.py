"""`labelstream consensus --kind` on shapes: what it reads, what it writes, what it says."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from typer.testing import CliRunner

from cli.__main__ import build
from cli.offline.objects import read_drawn
from cli.offline.shapes import SHAPES, Refused, read_shapes, write_shapes
from services.qc.domain.kinds.runs import runs_of
from shared.errors import ConfigurationError
from shared.labels import LabelValue
from tests.bench.shapes.drawing import scene

VALUES: TypeAdapter[LabelValue] = TypeAdapter(LabelValue)


def run(*given: str, command: str = "consensus") -> Any:
    found = CliRunner().invoke(build([command]), [command, "--json", *given])
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def write(path: Path, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


@pytest.mark.parametrize(("kind", "tasks"), [("boxes", 30), ("polygons", 12), ("masks", 12), ("tracks", 16)])
def test_fused_shapes_are_label_values_and_better_than_the_baselines(kind: str, tasks: int, tmp_path: Path) -> None:
    drawn = scene(kind, tasks, 5, 11, objects=4)
    told = [
        (f"t{place}", one.annotator, write_shapes(one.objects, kind))
        for place, item in enumerate(drawn.answers) for one in item
    ]  # fmt: skip
    answers = write(tmp_path / "answers.csv", ("task", "worker", "label"), told)
    true = [(f"t{place}", write_shapes(item, kind)) for place, item in enumerate(drawn.truth)]
    truth, output = write(tmp_path / "truth.csv", ("task", "label"), true), tmp_path / "out.csv"
    found = run("--kind", kind, "--answers", answers, "--truth", truth, "--output", str(output))
    assert found["mean_iou"] > max(found["majority"]["mean_iou"], found["best_single"]["mean_iou"])
    assert found["f1"] >= found["majority"]["f1"]
    assert found["intervals"]["mean_iou"][0] < found["mean_iou"] < found["intervals"]["mean_iou"][1]
    for name in ("ap", "ap50", "mean_dice", *(("mota", "idf1") if kind == "tracks" else ())):
        low, high = found["intervals"][name]
        assert low <= found[name] <= high
        assert high - low < 0.4
    for skill in found["skills"].values():
        assert all(low <= skill[name] <= high for name, (low, high) in skill["intervals"].items())
    assert found["refused"] == 0
    assert found["judged"] == tasks
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == tasks
    for row in rows:
        value = VALUES.validate_json(row["label"]).model_dump()
        assert len(value[kind]) == len(row["existence"].split())


def test_agreement_of_shapes_is_that_of_consensus(tmp_path: Path) -> None:
    drawn = scene("boxes", 12, 3, 5, objects=4)
    told = [
        (f"t{at}", one.annotator, write_shapes(one.objects, "boxes")) for at, i in enumerate(drawn.answers) for one in i
    ]
    told.append(("alone", "p00", "[]"))
    answers = write(tmp_path / "answers.csv", ("task", "worker", "label"), told)
    found = run("--kind", "boxes", "--answers", answers, command="agreement")
    assert found["alpha"] == run("--kind", "boxes", "--answers", answers)["agreement"]["alpha"]
    assert found["intervals"]["alpha"][0] < found["alpha"] < found["intervals"]["alpha"][1]
    assert (found["tasks"], found["tasks_with_two"], found["pairs"]) == (13, 12, 36)


FORMS: list[tuple[str, str, list[tuple[str, float]]]] = [
    ("boxes", '{"kind":"boxes","boxes":[{"x":1,"y":2,"width":3,"height":4,"label":"a"}]}', [("a", 12)]),
    ("boxes", '[{"x":1,"y":2,"width":3,"height":4,"rotation":9,"category":"b"}]', [("b", 12)]),
    ("boxes", '[{"bbox":[1,2,3,4],"name":"7"},{"x1":0,"y1":0,"x2":2,"y2":5}]', [("7", 12), ("object", 10)]),
    ("boxes", "[1,2,3,4]", [("object", 12)]),
    ("boxes", "[]", []),
    ("boxes", '{"boxes":[]}', []),
    ("boxes", '[{"x":1,"y":2,"width":0,"height":4}]', []),
    ("polygons", '[{"points":[[0,0],[4,0],[4,4],[0,4]],"label":"a"}]', [("a", 16)]),
    ("polygons", '[{"segmentation":[[0,0,4,0,4,4,0,4]],"category_id":1}]', [("1", 16)]),
    ("polygons", '[{"points":[{"x":0,"y":0},{"x":4,"y":4},{"x":4,"y":0},{"x":0,"y":4}],"label":"bow"}]', [("bow", 8)]),
    ("masks", '{"width":3,"height":2,"masks":[{"counts":[1,4,1],"label":"a"},{"counts":[6],"label":"a"}]}', [("a", 4)]),
    ("masks", '[{"segmentation":{"size":[2,3],"counts":"141"},"label":"a"}]', [("a", 4)]),
    ("tracks", '[{"id":"1","frames":[{"frame":0,"x":0,"y":0,"width":2,"height":2}],"label":"a"}]', [("a", 4)]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "expected"), FORMS)
def test_forms_that_are_read(kind: str, text: str, expected: list[tuple[str, float]]) -> None:
    found = read_shapes(text, SHAPES[kind], Refused())
    areas = {
        "boxes": lambda e: e.width * e.height,
        "polygons": lambda e: e.area,
        "masks": lambda e: e.area,
        "tracks": lambda e: (e.edges[0, 2] - e.edges[0, 0]) * (e.edges[0, 3] - e.edges[0, 1]),
    }  # fmt: skip
    assert [(one.label, areas[kind](one.extent)) for one in found] == expected


def test_what_cannot_be_read_is_left_out_and_counted(tmp_path: Path) -> None:
    good = '{"x":0,"y":0,"width":9,"height":9,"label":"a"}'
    rows = [
        ("t", name, f'[{good},{{"x":0,"y":0,"width":{size},"height":9}}]')
        for name, size in zip("xyz", (-1, -1, 1e200), strict=True)
    ]
    found = run("--kind", "boxes", "--answers", write(tmp_path / "a.csv", ("task", "worker", "label"), rows))
    assert (found["objects"], found["refused"], found["mean_iou"]) == (1, 3, None)
    far = "ValueError: a number that is not finite, or 1e+60 and more"
    assert found["refused_why"] == {"ValueError: a box without size": 2, far: 1}


def test_masks_of_another_size_than_most_are_left_out(tmp_path: Path) -> None:
    masks = [f'{{"width":3,"height":{high},"masks":[{{"counts":[0,{3 * high}],"label":"a"}}]}}' for high in (2, 2, 4)]
    rows = [("t", name, mask) for name, mask in zip("xyz", masks, strict=True)]
    found = run("--kind", "masks", "--answers", write(tmp_path / "a.csv", ("task", "worker", "label"), rows))
    assert (found["refused"], found["opinions"]) == (1, 3)


def test_semantic_masks_are_told_from_instances_and_may_be_named(tmp_path: Path) -> None:
    """Two classes side by side; two of three agree on where one ends."""
    told = [((0, 4, 96), (4, 6, 90)), ((0, 4, 96), (4, 6, 90)), ((0, 7, 93), (7, 3, 90))]
    rows = [
        (f"t{task}", str(who), json.dumps({"width": 10, "height": 10, "masks": [
            {"counts": sky, "label": "sky"}, {"counts": sea, "label": "sea"}]}))
        for task in range(3) for who, (sky, sea) in enumerate(told)
    ]  # fmt: skip
    answers = write(tmp_path / "a.csv", ("task", "worker", "label"), rows)
    truth = write(tmp_path / "t.csv", ("task", "label"), [(row[0], row[2]) for row in rows[::3]])
    found = run("--kind", "masks", "--answers", answers, "--truth", truth)
    assert (found["semantic"], found["mean_iou"]) == (True, 1.0)
    assert run("--kind", "masks", "--answers", answers, "--instances")["semantic"] is False


@pytest.mark.parametrize("kind", list(SHAPES))
def test_crowds_that_draw_nothing_and_those_of_one_class_are_told_in_json(kind: str, tmp_path: Path) -> None:
    one = write_shapes(scene(kind, 1, 1, 2, objects=3).truth[0][:1], kind).replace('"label":"car"', '"label":"dog"')
    for label in ("[]", one):
        told = [(f"t{task}", f"w{who}", label) for task in range(2) for who in range(3)]
        answers = write(tmp_path / "answers.csv", ("task", "worker", "label"), told)
        truth = write(tmp_path / "truth.csv", ("task", "label"), [("t0", label), ("t1", label)])
        skill = run("--kind", kind, "--answers", answers, "--truth", truth)["skills"]["w0"]
        assert all(end is not None for ends in skill["intervals"].values() for end in ends)


def test_a_line_without_json_is_named(tmp_path: Path) -> None:
    answers = write(tmp_path / "a.csv", ("task", "worker", "label"), [("t", "x", "[]"), ("t", "y", "cat")])
    with pytest.raises(ConfigurationError, match=r"a.csv:3: no boxes in JSON"):
        read_drawn(Path(answers), "boxes")


def test_a_run_length_bomb_is_refused_unopened() -> None:
    refused = Refused()
    text = '{"width":65000,"height":65000,"masks":[{"counts":[0,4225000000],"label":"a"}]}'
    assert read_shapes(text, SHAPES["masks"], refused) == ()
    assert "exceed the limit" in next(iter(refused.reasons))
    with pytest.raises(ValueError, match="negative or longer"):
        runs_of([0, 10**9], 10, 10)
