"""Labels of every dataset by every method, with the truth seen only here."""

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from cli.offline.crowd import Recorded, read_recorded
from cli.output import table
from services.qc.domain.answers import Floats, Ints
from services.qc.domain.calibration import reliability
from services.qc.domain.methods import resolve
from services.qc.domain.models import Method
from services.qc.domain.stream import Stream
from shared.errors import ConfigurationError

OURS = "default"
LARGE = 0.03
RESAMPLES = 2000


@dataclass(frozen=True)
class Dataset:
    name: str
    recorded: Recorded
    truth: Ints

    @property
    def judged(self) -> Any:
        return self.truth != -1

    def right(self, label: Any) -> Floats:
        """Whether each label with a known truth is right, as 0 or 1."""
        found: Floats = (np.asarray(label)[self.judged] == self.truth[self.judged]).astype(np.float64)
        return found


def load(path: Path) -> Dataset | None:
    """A dataset of one class per answer; None for any other."""
    try:
        recorded = read_recorded(path / "answers.csv")
    except ConfigurationError:
        return None
    structured = any(name.startswith(("[", "{")) for name in recorded.classes)
    return None if structured else Dataset(path.name, recorded, recorded.truth(path / "truth.csv"))


def ties_at_expectation(dataset: Dataset) -> float:
    """The accuracy of plain majority when ties are broken at random, in expectation."""
    votes = dataset.recorded.answers.votes[dataset.judged]
    best = votes == votes.max(axis=1, keepdims=True)
    truth = np.maximum(dataset.truth[dataset.judged], 0)
    known = dataset.truth[dataset.judged] >= 0
    return float((best[np.arange(len(truth)), truth] * known / best.sum(axis=1)).mean())


def _peers(dataset: Dataset, python: Path, build: Path) -> dict[str, Any]:
    answers = dataset.recorded.answers
    crowd, out = build / f"{dataset.name}.npz", build / f"{dataset.name}.json"
    np.savez(
        crowd, item=answers.item, annotator=answers.annotator, symbol=answers.symbol, items=answers.items,
        annotators=answers.annotators, classes=answers.classes,
    )  # fmt: skip
    script = Path(__file__).with_name("peers.py")
    subprocess.run([python, script, "labels", crowd, out], check=True, capture_output=True)  # noqa: S603
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def _error(dataset: Dataset, posterior: Floats) -> float:
    label, share = posterior.argmax(axis=1), posterior.max(axis=1)
    found = reliability(share[dataset.judged], dataset.right(label) > 0)
    return 0.0 if found is None else found.error


def streamed(dataset: Dataset, seed: int = 0) -> tuple[Floats, Floats]:
    """Shares of the answers one at a time: as they stand at the end, and after the scheduled refresh."""
    answers = dataset.recorded.answers
    stream = Stream(answers.classes, ordered=dataset.recorded.order.ordered)
    order = np.random.default_rng(seed).permutation(len(answers))
    for place in order.tolist():
        stream.answer(int(answers.item[place]), int(answers.annotator[place]), int(answers.symbol[place]))
        if stream.due:
            stream.refresh()
    before = stream.labels()
    stream.settle()
    return before, stream.labels()


def _paired(ours: Floats, theirs: Floats) -> tuple[float, float]:
    """A 95 % interval of the mean difference, by resampling items."""
    rng = np.random.default_rng(0)
    gap = theirs - ours
    drawn = rng.multinomial(len(gap), np.full(len(gap), 1.0 / len(gap)), size=RESAMPLES) @ gap / len(gap)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(low), float(high)


def one(dataset: Dataset, python: Path, build: Path) -> dict[str, Any]:
    """All figures of one dataset."""
    answers, ordered = dataset.recorded.answers, dataset.recorded.order.ordered
    found: dict[str, Any] = {"name": dataset.name, "accuracy": {}, "seconds": {}, "calibration": {}, "failed": {}}
    right: dict[str, Floats] = {}
    for method in Method:
        started = time.perf_counter()
        consensus = resolve(answers, method, ordered=ordered)
        found["seconds"][method.value] = time.perf_counter() - started
        right[method.value] = dataset.right(consensus.label)
        found["calibration"][method.value] = _error(dataset, consensus.posterior)
        if method is Method.DEFAULT:
            found["model"] = consensus.model
    before, after = streamed(dataset)
    right["incremental"], right["refreshed"] = dataset.right(before.argmax(axis=1)), dataset.right(after.argmax(axis=1))
    found["items_apart"] = round(float((right["refreshed"] - right[OURS]).sum()))
    peers = _peers(dataset, python, build)
    for name, result in peers.items():
        if "failed" in result:
            found["failed"][name] = result["failed"]
        else:
            right[name] = dataset.right(result["label"])
            found["seconds"][name] = result["seconds"]
    found["accuracy"] = {name: float(each.mean()) for name, each in right.items()}
    found["accuracy"]["majority, ties at expectation"] = ties_at_expectation(dataset)
    names = [name for name in peers if name in right]
    best = max(names, key=lambda name: found["accuracy"][name])
    found |= {"best_peer": best, "regret": found["accuracy"][best] - found["accuracy"][OURS]}
    found["interval"] = _paired(right[OURS], right[best])
    return found


def compare(datasets: list[Dataset], python: Path, build: Path, to: Console) -> list[dict[str, Any]]:
    """Every dataset, as a table."""
    found = []
    for dataset in datasets:
        found.append(one(dataset, python, build))
        to.print(f"{dataset.name}: {found[-1]['accuracy'][OURS]:.3f}, best peer {found[-1]['best_peer']}", style="dim")
    names = sorted({name for each in found for name in each["accuracy"]}, key=lambda name: (name.startswith("c"), name))
    rows = [(each["name"], *(_share(each["accuracy"].get(name)) for name in names)) for each in found]
    common = [name for name in names if all(name in each["accuracy"] for each in found)]
    means = {name: float(np.mean([each["accuracy"][name] for each in found])) for name in common}
    rows.append(("MEAN", *(_share(means.get(name)) for name in names)))
    to.print(table(("accuracy", *names), rows))
    _regrets(found, to)
    return found


def _regrets(found: list[dict[str, Any]], to: Console) -> None:
    rows = [
        (
            each["name"], each["model"], each["best_peer"], f"{100 * each['regret']:+.1f}",
            "{:+.1f} to {:+.1f}".format(*(100 * end for end in each["interval"])),
            f"{100 * (each['accuracy']['refreshed'] - each['accuracy'][OURS]):+.1f}", f"{each['items_apart']:+d}",
            f"{each['calibration'][OURS]:.3f}", f"{each['calibration']['dawid-skene']:.3f}",
            f"{each['seconds'][OURS]:.2f}",
        )
        for each in found
    ]  # fmt: skip
    headings = (
        "dataset", "model", "best peer", "regret", "95 % interval", "refreshed", "items", "calibration", "of DS", "s",
    )  # fmt: skip
    to.print(table(headings, rows, title="\nagainst the best peer of each dataset, in points"))
    mean = float(np.mean([max(each["regret"], 0.0) for each in found]))
    errors = [float(np.mean([each["calibration"][name] for each in found])) for name in (OURS, "dawid-skene")]
    to.print(f"mean regret {100 * mean:.2f} points; calibration error {errors[0]:.3f}, Dawid-Skene {errors[1]:.3f}")
    for each in found:
        if each["regret"] > LARGE:
            to.print(f"over 3 points: {each['name']}, {each['best_peer']} is ahead by {100 * each['regret']:.1f}")
        for name, reason in each["failed"].items():
            to.print(f"{each['name']}: {name} failed: {reason}", style="dim", markup=False)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
