"""A part of the drift bench's work: some streams of a scenario through one detector, in a process of its own."""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.drift import Sensitivity, Watch
from tests.bench.drift.streams import STEADY_ONES, Scenario
from tests.support.drift import NAMES, SHARES, drawn

MERGED, BLOCK = 1_000, 64
"""Alarms within so many events are one; events that come together."""
OURS: dict[str, Sensitivity] = {
    "sharp": Sensitivity("sharp"),
    "auto, the default": Sensitivity("auto"),
    "tolerant .04": Sensitivity("tolerant", tolerance=0.04),
}
PEERS = {"ADWIN one-vs-rest": "river", "Evidently's default": "evidently", "NannyML's chi-squared": "nannyml"}
"""Each runs in an environment of its own, below build/."""
TIMED, TIMED_FROM, ROUNDS = 19_968, 50_000, 5
PAIRED, PAIRS = "ADWIN one-vs-rest", 7


class Task(NamedTuple):
    """A detector over streams of a scenario."""

    detector: str
    scenario: Scenario
    numbers: tuple[int, ...]


class Done(NamedTuple):
    """Offsets of alarms after the reference, by number of the stream; the events seen, and the time that took."""

    task: Task
    alarms: dict[int, list[int]]
    events: int
    seconds: float


def interpreter(detector: str) -> Path:
    """Of a peer; it is there where that was installed."""
    return Path("build", PEERS[detector], "bin/python")


def do(task: Task) -> Done:
    """Run it."""
    streams = task.scenario.streams(task.numbers)
    if task.detector in PEERS:
        report = _peer(task.detector, streams, task.scenario)
        return Done(task, dict(zip(task.numbers, report["alarms"], strict=True)), report["events"], report["seconds"])
    chosen = OURS[task.detector]
    sensitivity = Sensitivity(chosen.mode, reference=task.scenario.reference, tolerance=chosen.tolerance)
    started, events, alarms = time.process_time(), 0, {}
    for number, y in zip(task.numbers, streams, strict=True):
        alarms[number], seen = watched(named(y), sensitivity, task.scenario.stop)
        events += seen
    return Done(task, alarms, events, time.process_time() - started)


def named(codes: NDArray[Any]) -> list[str]:
    """Classes by name."""
    found: list[str] = np.array(NAMES, dtype=object)[codes].tolist()
    return found


def watched(symbols: list[str], sensitivity: Sensitivity, stop: int | None) -> tuple[list[int], int]:
    """Offsets of alarms after the reference, and the events seen."""
    watch, found = Watch(sensitivity), list[int]()
    for start in range(0, len(symbols), BLOCK):
        for finding in watch.observe(symbols[start : start + BLOCK]):
            at = finding.offset - sensitivity.reference
            if finding.state == "open" and at >= 0 and (not found or at - found[-1] > MERGED):
                found.append(at)
        if stop is not None and found and found[-1] >= stop:
            break
    return found, watch.offset


def _peer(detector: str, streams: NDArray[np.int8], scenario: Scenario) -> Any:
    stop = -1 if scenario.stop is None else scenario.stop
    with tempfile.TemporaryDirectory() as folder:
        given, said = Path(folder, "streams.npz"), Path(folder, "said.json")
        np.savez(given, y=streams, classes=len(SHARES), skip=scenario.reference, stop=stop)
        program = f"tests.bench.drift.peers.{PEERS[detector]}_"
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        subprocess.run([interpreter(detector), "-m", program, given, said], check=True, env=environment)  # noqa: S603  # our own driver
        return json.loads(said.read_text())


def cost(sensitivity: Sensitivity, *, sticky: float = 0.0) -> float:
    """Our microseconds of processor time per event in blocks of 64, once the reference is full; the best of five."""
    symbols = named(drawn(np.random.default_rng(5), TIMED_FROM + ROUNDS * TIMED, sticky=sticky))
    watch = Watch(sensitivity)
    watch.observe(symbols[:TIMED_FROM])
    best = float("inf")
    for part in range(ROUNDS):
        begin = TIMED_FROM + part * TIMED
        started = time.process_time()
        for start in range(begin, begin + TIMED, BLOCK):
            watch.observe(symbols[start : start + BLOCK])
        best = min(best, time.process_time() - started)
    return 1e6 * best / TIMED


def pairs() -> list[tuple[float, float]]:
    """Microseconds per event of auto, our default, and of ADWIN, in turns; none where ADWIN is not installed."""
    if not interpreter(PAIRED).exists():
        return []
    streams = STEADY_ONES[0].streams((0,))[:, : TIMED_FROM + TIMED]
    found = []
    for _ in range(PAIRS):
        ours, said = cost(Sensitivity()), _peer(PAIRED, streams, STEADY_ONES[0])
        found.append((ours, 1e6 * said["seconds"] / said["events"]))
    return found
