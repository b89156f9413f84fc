"""`python -m tests.bench.kinds DATASETS`: what fusing brings beside one annotator, medoid and majority, in one run.

Each folder of DATASETS whose README.md says `kind: spans`, `transcription` or another kind of objects is fused and
measured against its truth. Then generated annotators, of whom every fifth is careless, and the time that one item of
nine opinions with fifty objects each takes. Reports only, asserts nothing.
"""

import argparse
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from cli.offline.kinds import baselines, read_crowd, read_truth
from cli.output import table
from services.qc.domain.kinds.clusters import match
from services.qc.domain.kinds.kind import Kind
from services.qc.domain.kinds.objects import fuse, learn
from services.qc.domain.kinds.registry import KINDS
from services.qc.domain.kinds.segments import DRAWN
from tests.bench.kinds.annotators import Settings, item_of_many, segments

NAMED = {"transcription": "transcript"}
KIND = re.compile(r"^- kind: (\w+)", re.MULTILINE)
HEADINGS = ("crowd", "kind", "figure", "items", "consensus", "one annotator", "medoid", "majority", "seconds")


def _kind(folder: Path) -> Kind[Any] | None:
    about = folder / "README.md"
    found = KIND.search(about.read_text(encoding="utf-8")) if about.exists() else None
    return KINDS.get(NAMED.get(found[1], found[1])) if found else None


def _recorded(folder: Path, kind: Kind[Any]) -> tuple[Any, ...]:
    crowd, truth = read_crowd(folder / "answers.csv", kind), read_truth(folder / "truth.csv", kind)
    started = time.process_time()
    fused = kind.fuse(crowd.items)
    seconds = time.process_time() - started
    figure = kind.measure([(fused.labels[task].value, truth[task]) for task in crowd.items if task in truth])
    beside = baselines(crowd, kind, truth)
    name = kind.headline
    others = [float(beside[way][name]) if way in beside else None for way in ("one_annotator", "medoid", "majority")]
    return folder.name, kind.name, name, len(crowd.items), float(figure[name]), *others, seconds


def _generated(opinions: int, settings: Settings) -> tuple[tuple[Any, ...], float]:
    """Figures of generated segments, and how far the stated existence is from what is so."""
    items, truth = segments(opinions, settings, seed=opinions)
    kind = KINDS["segments"]
    started = time.process_time()
    fused = kind.fuse(items)
    seconds = time.process_time() - started
    ways = {
        "consensus": [(fused.labels[task].value, truth[task]) for task in items],
        "majority": [(kind.majority(answers), truth[task]) for task, answers in items.items()] if kind.majority else [],
    }
    people: dict[str, list[tuple[Any, Any]]] = {}
    for task, answers in items.items():
        for one in answers:
            people.setdefault(one.annotator, []).append((one.value, truth[task]))
    best = max(kind.measure(pairs)["f1"] for pairs in people.values())
    figures = {way: kind.measure(pairs)["f1"] for way, pairs in ways.items()}
    shares, real = [], []
    for task, label in fused.labels.items():
        shares += [part["existence"] for part in label.parts]
        real += _real([tuple(part["extent"]) for part in label.parts], truth[task])
    bins = np.minimum((np.array(shares) * 10).astype(int), 9)
    gaps = [abs(np.sum(np.array(shares)[bins == at]) - np.sum(np.array(real)[bins == at])) for at in range(10)]
    row = (opinions, len(items), figures["consensus"], best, figures["majority"], seconds)
    return row, float(sum(gaps) / len(shares))


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


def _speed() -> float:
    """Milliseconds of CPU per item of nine opinions with fifty objects each."""
    items = [item_of_many(9, 50, seed) for seed in range(10)]
    crowd = learn(items, DRAWN.geometry)
    best = min(_timed(items, crowd) for _ in range(3))
    return 1000.0 * best / len(items)


def _timed(items: Any, crowd: Any) -> float:
    started = time.process_time()
    for item in items:
        fuse(item, DRAWN.geometry, crowd)
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", type=Path)
    chosen = parser.parse_args()
    to = Console(width=180, soft_wrap=True, highlight=False)
    rows = []
    for folder in sorted(chosen.datasets.iterdir()):
        kind = _kind(folder)
        if kind is not None and (folder / "truth.csv").exists():
            rows.append(_recorded(folder, kind))
    to.print(table(HEADINGS, rows, title="recorded crowds"))
    to.print()
    told = [_generated(opinions, Settings()) for opinions in (3, 5, 9)]
    drawn = [(*row, gap) for row, gap in told]
    headings = ("opinions", "items", "consensus", "best annotator", "majority", "seconds", "calibration error")
    to.print(table(headings, drawn, title=f"generated segments, f1: {Settings()}"))
    to.print(f"\n{_speed():.1f} ms of CPU for an item of 9 opinions with 50 objects each")


if __name__ == "__main__":
    main()
