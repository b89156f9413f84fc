"""`make bench-quality DATASETS=folder`: the engine beside crowd-kit, cleanlab and peerannot, in one run.

Each folder in DATASETS holds answers.csv and truth.csv of one class per answer; others are left out. Reports only,
asserts nothing. Parts can be named: labels, stop, scale, speed (default all).
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.bench.quality.compare import Dataset, compare, load
from tests.bench.quality.scale import scale, speed
from tests.bench.quality.stopping import stopping

BUILD = Path("build/bench-quality")
PEERS = Path("build/peers/bin/python")
PARTS = ("labels", "stop", "scale", "speed")


def _datasets(folder: Path, only: list[str]) -> list[Dataset]:
    found = []
    for path in sorted(folder.iterdir()):
        if (path / "answers.csv").exists() and (path / "truth.csv").exists() and (not only or path.name in only):
            dataset = load(path)
            if dataset is not None:
                found.append(dataset)
    if not found:
        sys.exit(f"{folder} holds no folder with answers.csv and truth.csv of one class per answer")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--shuffles", type=int, default=20)
    chosen = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    to = Console(width=200, soft_wrap=True, highlight=False)
    report: dict[str, Any] = {}
    files = {"labels", "stop"}.intersection(chosen.parts)
    datasets = _datasets(chosen.datasets, chosen.only) if files else []
    if "labels" in chosen.parts:
        report["labels"] = compare(datasets, PEERS, BUILD, to)
    if "stop" in chosen.parts:
        report["stop"] = stopping(datasets, chosen.shuffles, to)
    if "scale" in chosen.parts:
        report["scale"] = scale(PEERS, BUILD, to)
    if "speed" in chosen.parts:
        report["speed"] = speed(to)
    (BUILD / "report.json").write_text(json.dumps(report, indent=1))
    revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True)  # noqa: S607
    to.print(f"\nrevision {revision.stdout.strip()}; all figures in {BUILD / 'report.json'}")


if __name__ == "__main__":
    main()
