"""Dynamic overlap: opinions against accuracy, over shuffles of the order in which answers arrive."""

from typing import Any

import numpy as np
from rich.console import Console

from cli.offline.arriving import Rule, run
from cli.output import table
from services.qc.domain.calibration import reliability
from services.qc.domain.methods import resolve
from tests.bench.quality.compare import Dataset

TARGETS = {
    "rte": (0.9, 0.95, 0.98, 0.985),
    "temp": (0.88, 0.9, 0.92),
    "sentence_polarity": (0.88, 0.95, 0.985),
    "bluebirds": (0.9, 0.93, 0.94, 0.95),
}
LEAST = 2


def _one(dataset: Dataset, target: float, shuffles: int) -> dict[str, Any]:
    answers = dataset.recorded.answers
    found = []
    for seed in range(shuffles):
        stopped = run(answers, Rule(target, LEAST, answers.annotators), seed, ordered=dataset.recorded.order.ordered)
        last = resolve(stopped.answers, ordered=dataset.recorded.order.ordered)
        right = dataset.right(stopped.posterior.argmax(axis=1))
        curve = reliability(stopped.posterior.max(axis=1)[dataset.judged], right > 0)
        found.append(
            (stopped.used.mean(), dataset.right(last.label).mean(), right.mean(), 0.0 if curve is None else curve.error)
        )
    mean, spread = np.mean(found, axis=0), np.std(found, axis=0)
    return {
        "name": dataset.name, "target": target, "opinions": float(mean[0]), "accuracy": float(mean[1]),
        "accuracy_sd": float(spread[1]), "at_stop": float(mean[2]), "calibration": float(mean[3]),
        "all": float(dataset.right(resolve(answers, ordered=dataset.recorded.order.ordered).label).mean()),
    }  # fmt: skip


def stopping(datasets: list[Dataset], shuffles: int, to: Console) -> list[dict[str, Any]]:
    """A table of the datasets with targets."""
    found = [_one(each, target, shuffles) for each in datasets for target in TARGETS.get(each.name, ())]
    rows = [
        (
            each["name"], f"{each['target']:.3f}", f"{each['opinions']:.2f}",
            f"{each['accuracy']:.3f} +- {each['accuracy_sd']:.3f}", f"{each['at_stop']:.3f}",
            f"{each['calibration']:.3f}", f"{each['all']:.3f}",
        )
        for each in found
    ]  # fmt: skip
    headings = ("dataset", "target", "opinions", "accuracy", "as stopped", "calibration", "with all opinions")
    to.print(table(headings, rows, title=f"\ndynamic overlap, mean of {shuffles} shuffles, minimum {LEAST}"))
    return found
