"""`python -m tests.bench.kinds DATASETS`: what fusing brings beside one annotator, medoid and majority, in one run.

Each folder of DATASETS whose README.md says `kind: spans`, `transcription` or another kind of objects is fused and
measured against its truth. Then generated annotators, of whom every fifth is careless, and the time that one item of
nine opinions with fifty objects each takes; `--speed` takes that time alone. Reports only, asserts nothing.
"""

import argparse
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from scipy.stats import t as student

from cli.offline.kinds import baselines, read_crowd, read_truth
from cli.output import table
from services.qc.domain.calibration import reliability
from services.qc.domain.kinds.clusters import match
from services.qc.domain.kinds.kind import Kind
from services.qc.domain.kinds.measures import intervals_of
from services.qc.domain.kinds.registry import KINDS
from services.qc.domain.kinds.segments import DRAWN
from tests.bench.kinds.annotators import Settings, segments
from tests.bench.kinds.speed import OBJECTS, OPINIONS, speed

SEEDS = 10
NAMED = {"transcription": "transcript"}
KIND = re.compile(r"^- kind: (\w+)", re.MULTILINE)
HEADINGS = ("crowd", "kind", "figure", "items", "consensus", "95 %", "one annotator", "medoid", "majority", "seconds")


def _kind(folder: Path) -> Kind[Any] | None:
    about = folder / "README.md"
    found = KIND.search(about.read_text(encoding="utf-8")) if about.exists() else None
    return KINDS.get(NAMED.get(found[1], found[1])) if found else None


def _recorded(folder: Path, kind: Kind[Any]) -> tuple[Any, ...]:
    crowd, truth = read_crowd(folder / "answers.csv", kind), read_truth(folder / "truth.csv", kind)
    started = time.process_time()
    fused = kind.fuse(crowd.items)
    seconds = time.process_time() - started
    pairs = [(fused.labels[task].value, truth[task]) for task in crowd.items if task in truth]
    figure, interval = kind.measure(pairs), intervals_of(kind.measure, pairs)[kind.headline]
    beside = baselines(crowd, kind, truth)
    name = kind.headline
    others = [float(beside[way][name]) if way in beside else None for way in ("one_annotator", "medoid", "majority")]
    told = "" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"
    return folder.name, kind.name, name, len(crowd.items), float(figure[name]), told, *others, seconds


def _generated(opinions: int, settings: Settings) -> tuple[Any, ...]:
    """Mean figures of generated segments over SEEDS crowds, and how far the stated existence is from what is so."""
    table = np.array([_one_crowd(opinions, settings, seed) for seed in range(SEEDS)])
    means = table.mean(axis=0)
    cells = []
    for figure in range(2):
        ours, *others = table[:, 3 * figure : 3 * figure + 3].T
        cells += [float(ours.mean()), *(_gain(ours - other) for other in others)]
    return opinions, *cells, float(means[-1])


def _gain(apart: Any) -> str:
    """A mean difference with its 95 % interval, paired by crowd."""
    half = float(student.ppf(0.975, len(apart) - 1) * apart.std(ddof=1) / np.sqrt(len(apart)))
    return f"{apart.mean():+.4f} +- {half:.4f}"


def _one_crowd(opinions: int, settings: Settings, seed: int) -> tuple[float, ...]:
    """F1 and mean IoU of the fused, the best annotator and the majority; and the calibration error of existence."""
    items, truth = segments(opinions, settings, seed=[opinions, seed])
    kind = KINDS["segments"]
    fused = kind.fuse(items)
    assert kind.majority is not None
    ours = kind.measure([(fused.labels[task].value, truth[task]) for task in items])
    most = kind.measure([(kind.majority(answers), truth[task]) for task, answers in items.items()])
    people: dict[str, list[tuple[Any, Any]]] = {}
    for task, answers in items.items():
        for one in answers:
            people.setdefault(one.annotator, []).append((one.value, truth[task]))
    each = [kind.measure(pairs) for pairs in people.values()]
    shares, real = [], []
    for task, label in fused.labels.items():
        shares += [part["existence"] for part in label.parts]
        real += _real([tuple(part["extent"]) for part in label.parts], truth[task])
    curve = reliability(np.array(shares), np.array(real))
    assert curve is not None
    rows = [(ours[name], max(one[name] for one in each), most[name]) for name in ("f1", "mean_iou")]
    return *rows[0], *rows[1], curve.error


def _real(extents: list[Any], truth: Any) -> list[bool]:
    """Of each candidate, the likeliest first, whether it is a real object that no other is."""
    ends = [(each.start, each.end) for each in truth.segments]
    if not extents or not ends:
        return [False] * len(extents)
    scores = DRAWN.geometry.similarity(extents, ends)
    near = scores >= DRAWN.geometry.least
    rank = np.linspace(1.0, 0.0, len(extents))[:, None]
    rows, _ = match(near * (1.0 + scores + rank), near)
    return [place in set(rows.tolist()) for place in range(len(extents))]


def _tell_speed(to: Console) -> None:
    headings = ("kind", "fastest", "median", "90th percentile")
    about = f"ms of CPU to fuse an item of {OPINIONS} opinions with {OBJECTS} objects each"
    to.print(table(headings, [(kind, *(f"{each:.1f}" for each in row)) for kind, *row in speed()], title=about))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", type=Path, nargs="?")
    parser.add_argument("--speed", action="store_true", help="the time alone, without any datasets")
    chosen = parser.parse_args()
    to = Console(width=180, soft_wrap=True, highlight=False)
    if chosen.speed:
        _tell_speed(to)
        return
    if chosen.datasets is None:
        parser.error("needs DATASETS, or --speed")
    rows = []
    for folder in sorted(chosen.datasets.iterdir()):
        kind = _kind(folder)
        if kind is not None and (folder / "truth.csv").exists():
            rows.append(_recorded(folder, kind))
    to.print(table(HEADINGS, rows, title="recorded crowds"))
    to.print()
    drawn = [_generated(opinions, Settings()) for opinions in (3, 5, 9)]
    gains = ("less the best annotator's", "less the majority's")
    headings = ("opinions", "f1", *gains, "mean_iou", *gains, "calibration error")
    to.print(table(headings, drawn, title=f"generated segments, {SEEDS} crowds each: {Settings()}"))
    to.print()
    _tell_speed(to)


if __name__ == "__main__":
    main()
