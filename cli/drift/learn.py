"""What a history without incidents says about how to watch what follows."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from cli.drift.run import BLOCK, Run
from cli.drift.stream import Happened
from services.monitor.domain.drift import Learner, Mode, Sensitivity
from services.monitor.domain.drift.season import USED

MODES: tuple[Mode, ...] = ("sharp", "auto", "tolerant")
WINDOWS, STEP, LEAST = 20, 0.01, 0.02
STILL = 1.0
"""Windows that stray from the mean by less than twice what chance explains stand still."""


def learn(learner: Learner) -> tuple[Mode, float]:
    """The mode for a slice of the history, and the tolerance: how far its windows stray beyond chance, 95 % of them.

    Args:
        learner: of all its events.
    """
    reference = learner.reference()
    names = reference.alphabet
    rows = np.zeros((len(learner.blocks), names.size))
    for place, block in enumerate(learner.blocks):
        for code, count in zip(names.codes(block), block.values(), strict=True):
            rows[place, code] += count
    windows = np.array([part.sum(axis=0) for part in np.array_split(rows, min(WINDOWS, len(rows)))])
    sizes, mean = windows.sum(axis=1, keepdims=True), rows.sum(axis=0) / rows.sum()
    chain = (1.0 + reference.repeats) / (1.0 - reference.repeats)
    used = mean > USED
    noise = np.sqrt(2.0 / math.pi * (mean * (1.0 - mean))[used] * chain / sizes).sum(axis=1) / 2.0
    strayed = np.abs(windows / sizes - mean).sum(axis=1) / 2.0 - noise
    most = float(np.quantile(strayed, 0.95))
    tolerance = max(math.ceil(most / STEP) * STEP, LEAST)
    if most <= STILL * float(noise.mean()):
        return "sharp", tolerance
    return ("auto" if reference.season is not None else "tolerant"), tolerance


def advise(sizes: Mapping[str, int], wanted: Mapping[str, int], budget: int, stream: Iterable[Happened]) -> Any:
    """The settings for what follows the stream, by its most restless slice.

    Args:
        sizes: events by slice.
        wanted: events of a reference by slice.
        budget: in events.
        stream: the events; read once.
    """
    learners = {name: Learner(max(n, 2 * WINDOWS)) for name, n in sizes.items()}
    waiting: dict[str, list[str]] = {name: [] for name in sizes}
    for event in stream:
        part = waiting[event.slice]
        part.append(event.symbol)
        if len(part) >= BLOCK:
            learners[event.slice].add(part)
            waiting[event.slice] = []
    for name, rest in waiting.items():
        learners[name].add(rest)
    found = {name: learn(one) for name, one in learners.items()}
    mode = max((mode for mode, _ in found.values()), key=MODES.index)
    tolerance = round(max(one for _, one in found.values()), 2)
    drift: dict[str, Any] = {"mode": mode, "budget": budget, "reference": max(wanted.values())}
    if mode == "tolerant":
        drift["tolerance"] = tolerance
    return {"drift": drift, "strays": {name: round(one, 2) for name, (_, one) in found.items()}}


def wider(found: dict[str, Any]) -> bool:
    """Take the next mode, where there is one: the present one would have raised alarms in the history."""
    drift = found["drift"]
    if drift["mode"] == "tolerant":
        return False
    drift["mode"] = MODES[MODES.index(drift["mode"]) + 1]
    if drift["mode"] == "tolerant":
        drift["tolerance"] = max(found["strays"].values())
    return True


def tried(wanted: Mapping[str, int], drift: Mapping[str, Any], stream: Iterable[Happened]) -> int:
    """Alarms that the settings would have raised in the stream."""
    extra = {"tolerance": drift["tolerance"]} if "tolerance" in drift else {}
    run = Run(
        {n: Sensitivity(mode=drift["mode"], budget=drift["budget"], reference=r, **extra) for n, r in wanted.items()}
    )
    run.take(stream)
    return len(run.finish())
