"""`make bench-drift`: our detectors beside River's ADWIN one-vs-rest on the same simulated streams, in one run.

Five classes, a reference of 10,000 events of each stream's own; false alarms over 100,000 events more; delays after a
shift of exact total variation distance in a random direction, 20,000 events after the reference. Alarms within 1,000
events are one. Figures with 95 % intervals by the bootstrap over streams. Reports, asserts nothing.
"""

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from cli.output import table
from services.monitor.domain.drift import Mode, Sensitivity, Watch
from tests.support.drift import SHARES, drawn, named, seasonal, shifted

BUILD = Path("build/bench-drift")
PEER = Path("build/river/bin/python")
REFERENCE, STEADY, BEFORE, AFTER, MERGED, BLOCK = 10_000, 100_000, 20_000, 20_000, 1_000, 64
DISTANCES = (0.05, 0.1, 0.2)
OURS: dict[str, Sensitivity] = {
    "sharp": Sensitivity("sharp"),
    "auto, the default": Sensitivity("auto"),
    "tolerant .04": Sensitivity("tolerant", tolerance=0.04),
}
Streams = NDArray[np.int64]


def steady(count: int, sticky: float) -> Streams:
    rng = np.random.default_rng(1)
    return np.array([drawn(rng, REFERENCE + STEADY, sticky=sticky) for _ in range(count)])


def moved(count: int, tvd: float) -> Streams:
    rng = np.random.default_rng(2)
    n = REFERENCE + BEFORE
    return np.array([np.concatenate([drawn(rng, n), drawn(rng, AFTER, shifted(rng, tvd))]) for _ in range(count)])


def swinging(count: int, tvd: float = 0.0) -> Streams:
    """A reference of two periods in place of one; of a length that holds the shift where there is one."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(count):
        after = shifted(rng, tvd) if tvd else None
        n = 2 * REFERENCE + (BEFORE + AFTER if tvd else STEADY)
        found.append(seasonal(rng, n, 0.08, 10_000, after=after, change=2 * REFERENCE + BEFORE))
    return np.array(found)


def ours(streams: Streams, sensitivity: Sensitivity, *, stop: int | None = None) -> list[list[int]]:
    """Offsets of alarms after the reference, per stream."""
    found = []
    for y in streams:
        symbols, watch, one = named(y), Watch(sensitivity), list[int]()
        for start in range(0, len(symbols), BLOCK):
            for finding in watch.observe(symbols[start : start + BLOCK]):
                at = finding.offset - sensitivity.reference
                if finding.state == "open" and at >= 0 and (not one or at - one[-1] > MERGED):
                    one.append(at)
            if stop is not None and one and one[-1] >= stop:
                break
        found.append(one)
    return found


def theirs(streams: Streams, skip: int, *, stop: int | None = None) -> tuple[list[list[int]], float]:
    """The same of ADWIN, and microseconds per event."""
    given, said = BUILD / "streams.npz", BUILD / "adwin.json"
    np.savez(given, y=streams.astype(np.int8), classes=len(SHARES), skip=skip, stop=-1 if stop is None else stop)
    subprocess.run([PEER, "tests/bench/drift/adwin.py", given, said], check=True)  # noqa: S603
    report = json.loads(said.read_text())
    return report["alarms"], report["us_per_event"]


def interval(values: list[float], of: Callable[[Any], Any]) -> list[float]:
    """The figure and its 95 % interval."""
    rng = np.random.default_rng(4)
    drawn_ = [float(of(rng.choice(values, len(values)))) for _ in range(1000)]
    return [float(of(values)), *(float(edge) for edge in np.quantile(drawn_, (0.025, 0.975)))]


def false_alarms(alarms: list[list[int]]) -> list[float]:
    return interval([len(one) * 100_000 / STEADY for one in alarms], np.mean)


def delays(alarms: list[list[int]], change: int) -> list[float]:
    """The median delay in events; a change that was missed counts as infinite."""
    waits = [next((at - change + 1 for at in one if at >= change), AFTER * 10) for one in alarms]
    return interval([float(wait) for wait in waits], np.median)


def our_cost() -> float:
    """Microseconds of processor time per event in blocks of 64, once the reference is full; the best of five."""
    symbols = named(drawn(np.random.default_rng(5), 60_000))
    watch = Watch(Sensitivity())
    watch.observe(symbols[:10_000])
    best = float("inf")
    for part in range(5):
        begin = 10_000 + part * 9_984
        started = time.process_time()
        for start in range(begin, begin + 9_984, BLOCK):
            watch.observe(symbols[start : start + BLOCK])
        best = min(best, (time.process_time() - started) / 9_984)
    return 1e6 * best


def measure(name: str, mode: Mode, find: Callable[..., list[list[int]]], count: int, to: Console) -> dict[str, Any]:
    found: dict[str, Any] = {"streams": count, "mode": mode}
    for kind, sticky in (("iid", 0.0), ("bursty", 0.3)):
        found[f"false_alarms_{kind}"] = false_alarms(find(steady(count, sticky), None))
        to.print(f"  {name}: {kind} {found[f'false_alarms_{kind}'][0]:.3f}")
    for tvd in DISTANCES:
        found[f"delay_{tvd}"] = delays(find(moved(count, tvd), BEFORE), BEFORE)
        to.print(f"  {name}: delay at {tvd} {found[f'delay_{tvd}'][0]:.0f}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--peer-streams", type=int, default=40, help="ADWIN takes 20 minutes for 200")
    parser.add_argument("--seasonal-streams", type=int, default=20)
    chosen = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    to = Console(width=200, soft_wrap=True, highlight=False)
    report: dict[str, Any] = {"us_per_event": our_cost()}
    for name, sensitivity in OURS.items():
        report[name] = measure(
            name, sensitivity.mode, lambda y, stop, s=sensitivity: ours(y, s, stop=stop), chosen.streams, to
        )  # fmt: skip
    for name, sensitivity in OURS.items():
        wide = Sensitivity(sensitivity.mode, reference=2 * REFERENCE, tolerance=sensitivity.tolerance)
        alarms = ours(swinging(chosen.seasonal_streams), wide)
        report[name]["seasonal_streams_with_alarms"] = sum(1 for one in alarms if one)
        for tvd in DISTANCES[1:]:
            found = ours(swinging(chosen.seasonal_streams, tvd), wide, stop=BEFORE)
            report[name][f"seasonal_delay_{tvd}"] = delays(found, BEFORE)
    if chosen.peer_streams:
        costs: list[float] = []

        def adwin(y: Streams, stop: int | None) -> list[list[int]]:
            alarms, cost = theirs(y, REFERENCE, stop=stop)
            costs.append(cost)
            return alarms

        name = "ADWIN one-vs-rest"
        report[name] = measure(name, "sharp", adwin, chosen.peer_streams, to)
        alarms, _ = theirs(swinging(min(chosen.seasonal_streams, chosen.peer_streams)), 2 * REFERENCE)
        report[name]["seasonal_streams_with_alarms"] = sum(1 for one in alarms if one)
        report["adwin_us_per_event"] = min(costs)
    show(report, chosen.seasonal_streams, to)
    (BUILD / "report.json").write_text(json.dumps(report, indent=1))
    to.print(f"\nall figures in {BUILD / 'report.json'}")


def show(report: dict[str, Any], seasonal_streams: int, to: Console) -> None:
    def cell(value: list[float] | None, digits: int) -> str:
        return "" if value is None else "{:.{d}f} ({:.{d}f} to {:.{d}f})".format(*value, d=digits)

    rows = []
    for name, one in report.items():
        if isinstance(one, dict):
            rows.append(
                (
                    name, one["streams"], cell(one["false_alarms_iid"], 3), cell(one["false_alarms_bursty"], 3),
                    *(cell(one[f"delay_{tvd}"], 0) for tvd in DISTANCES), one["seasonal_streams_with_alarms"],
                    *(cell(one.get(f"seasonal_delay_{tvd}"), 0) for tvd in DISTANCES[1:]),
                )
            )  # fmt: skip
    headings = (
        "detector", "streams", "false alarms per 100,000", "the same, bursty", *(f"delay at {d}" for d in DISTANCES),
        f"alarmed of {seasonal_streams} seasonal", *(f"seasonal, delay at {d}" for d in DISTANCES[1:]),
    )  # fmt: skip
    to.print(table(headings, rows))
    peer = report.get("adwin_us_per_event")
    beside = f"; ADWIN {peer:.1f}, {peer / report['us_per_event']:.0f} times that" if peer else ""
    to.print(f"{report['us_per_event']:.2f} microseconds per event in blocks of {BLOCK}{beside}")


if __name__ == "__main__":
    main()
