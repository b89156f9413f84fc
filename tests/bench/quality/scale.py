"""How long: a million answers in batch beside crowd-kit, each in a process of its own; and one answer at a time."""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from cli.output import table
from services.qc.domain.answers import answers_of
from services.qc.domain.methods import resolve
from services.qc.domain.models import Method
from services.qc.domain.stream import Stream

ITEMS, PEOPLE, CLASSES, OPINIONS = 200_000, 5_000, 5, 5
MEGABYTE = 1024


def made(items: int, people: int, classes: int, opinions: int, path: Path) -> None:
    """A crowd of people who are right with their own probability and otherwise guess."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, classes, items)
    item = np.repeat(np.arange(items), opinions)
    annotator = rng.integers(0, people, (items, opinions))
    annotator = ((annotator[:, :1] + np.arange(opinions) * (1 + annotator[:, 1:2] % 7)) % people).reshape(-1)
    right = rng.random(len(item)) < rng.beta(6, 3, people)[annotator]
    symbol = np.where(right, truth[item], rng.integers(0, classes, len(item)))
    np.savez(
        path, item=item.astype(np.int32), annotator=annotator.astype(np.int32), symbol=symbol.astype(np.int32),
        items=items, annotators=people, classes=classes, truth=truth,
    )  # fmt: skip


def ours(path: str) -> None:
    """In a process of its own: seconds, peak memory, accuracy, as JSON."""
    crowd = dict(np.load(path))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEGABYTE
    started = time.perf_counter(), time.process_time()
    sizes = (int(crowd["items"]), int(crowd["annotators"]), int(crowd["classes"]))
    found = resolve(answers_of(crowd["item"], crowd["annotator"], crowd["symbol"], sizes), Method.DEFAULT)
    wall, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEGABYTE
    right = float((found.label == crowd["truth"]).mean())
    sys.stdout.write(
        json.dumps({"seconds": wall, "cpu": cpu, "peak": peak, "before": before, "accuracy": right}) + "\n"
    )


def scale(python: Path, build: Path, to: Console) -> dict[str, Any]:
    """A million answers: ours and crowd-kit's Dawid-Skene, one after the other."""
    path = build / "scale.npz"
    made(ITEMS, PEOPLE, CLASSES, OPINIONS, path)
    runs = {
        "default": [sys.executable, "-m", "tests.bench.quality.scale", str(path)],
        "crowd-kit DawidSkene": [str(python), str(Path(__file__).with_name("peers.py")), "scale", str(path)],
    }
    found = {}
    for name, command in runs.items():
        ran = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
        found[name] = json.loads(ran.stdout.splitlines()[-1])
    rows = [
        (name, f"{one['seconds']:.2f}", f"{one['cpu']:.2f}", f"{one['peak']:.0f}", f"{one['before']:.0f}",
         f"{one['accuracy']:.4f}")
        for name, one in found.items()
    ]  # fmt: skip
    headings = ("1,000,000 answers", "seconds", "cpu s", "peak MB", "of that data and imports", "accuracy")
    to.print(table(headings, rows, title="\nbatch: 200,000 items, 5,000 annotators, 5 classes"))
    mine, theirs = found.values()
    to.print(
        f"{theirs['seconds'] / mine['seconds']:.1f} times faster, {mine['peak'] / theirs['peak']:.2f} of the memory"
    )
    return found


def speed(to: Console) -> dict[str, float]:
    """Microseconds an answer, one at a time, in memory: 10 opinions an item, 5 classes."""
    rng = np.random.default_rng(0)
    items, people, classes, opinions = 10_000, 500, 5, 10
    truth = rng.integers(0, classes, items)
    item = np.repeat(np.arange(items), opinions)
    annotator = np.concatenate([rng.choice(people, opinions, replace=False) for _ in range(items)])
    symbol = np.where(rng.random(len(item)) < 0.7, truth[item], rng.integers(0, classes, len(item)))
    order = rng.permutation(len(item))
    stream, refreshing = Stream(classes), 0.0
    started = time.process_time()
    for answer in zip(item[order].tolist(), annotator[order].tolist(), symbol[order].tolist(), strict=True):
        stream.answer(*answer)
        if stream.due:
            before = time.process_time()
            stream.refresh()
            refreshing += time.process_time() - before
    whole = time.process_time() - started
    found = {"answer_us": (whole - refreshing) / len(item) * 1e6, "refreshes_us": refreshing / len(item) * 1e6}
    to.print(
        f"\none answer {found['answer_us']:.1f} us; the {stream.snapshot} scheduled refreshes, spread over"
        f" {len(item):,} answers, {found['refreshes_us']:.1f} us more each"
    )
    return found


if __name__ == "__main__":
    ours(sys.argv[1])
