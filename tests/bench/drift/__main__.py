"""`make bench-drift`: our detectors beside River's ADWIN one-vs-rest on the same simulated streams, in one run.

Five classes, a reference of 10,000 events of each stream's own (two periods of 10,000 where there are seasons, which
swing by .08 from peak to peak); false alarms over 100,000 events more, with exact Poisson intervals; delays after a
shift of exact total variation distance in a random direction, 20,000 events after the reference, median with bootstrap
interval. Alarms within 1,000 events are one. Peers see the first streams of the same; those that are not installed are
left out (docs/drift.md). Reports, asserts nothing; `build/bench-drift/report.json` has all figures.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from multiprocessing import Pool
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from cli.output import table
from tests.bench.drift.figures import Figure, delay, found, rate
from tests.bench.drift.streams import BEFORE, BURSTY_SHIFTS, SCENARIOS, SEASONAL_SHIFTS, SHIFTS, STEADY_ONES, Scenario
from tests.bench.drift.work import BLOCK, OURS, PEERS, Done, Task, cost, do, interpreter, pairs

BUILD = Path("build/bench-drift")
CHUNK, EVERY_S = 5, 15.0
PEER_SEASONAL = 20
Alarms = Mapping[tuple[str, str], list[list[int]]]


def tasks(
    streams: int, peer_streams: int, other_streams: int, seasonal_streams: int, only: Collection[str] = ()
) -> list[Task]:
    """All of the work, or that of some detectors; peers only see what is asked of both, and fewer seasonal streams."""
    present = [name for name in PEERS if interpreter(name).exists()]
    wanted = dict.fromkeys(OURS, (streams, seasonal_streams))
    wanted |= {
        name: (most, min(most, PEER_SEASONAL))
        for name in present
        for most in (peer_streams if PEERS[name] == "river" else other_streams,)
    }
    return [
        Task(detector, scenario, tuple(range(first, min(first + CHUNK, number))))
        for detector, (most, fewer) in wanted.items()
        if not only or any(detector.startswith(name) for name in only)
        for scenario in (SCENARIOS if detector in OURS else (*STEADY_ONES, *SHIFTS))
        for number in (min(most, fewer) if scenario.swing else most,)
        for first in range(0, number, CHUNK)
    ]


def run(wanted: list[Task], processes: int, to: Console) -> list[Done]:
    """Every task, with a line about progress now and then."""
    done: list[Done] = []
    started = said = time.monotonic()
    with Pool(processes) as pool:
        for one in pool.imap_unordered(do, wanted):
            done.append(one)
            now = time.monotonic()
            if now - said >= EVERY_S or len(done) == len(wanted):
                said = now
                to.print(f"  {len(done)} of {len(wanted)} parts, {now - started:.0f} s; {one.task.detector}")
                keep({"parts": len(done), "detectors": measured(gathered(done), done)})
    return done


def keep(report: Mapping[str, Any]) -> None:
    """Write it; also while it is not complete, so that a run cut short is not lost."""
    (BUILD / "report.json").write_text(json.dumps(report, indent=1))


def gathered(done: list[Done]) -> Alarms:
    """Alarms of each stream, by detector and scenario."""
    found_: dict[tuple[str, str], dict[int, list[int]]] = defaultdict(dict)
    for one in done:
        found_[one.task.detector, one.task.scenario.name] |= one.alarms
    return {key: [alarms[number] for number in sorted(alarms)] for key, alarms in found_.items()}


def measured(alarms: Alarms, done: list[Done]) -> dict[str, dict[str, Any]]:
    """All figures, by detector."""
    report: dict[str, dict[str, Any]] = {}
    for (detector, name), streams in alarms.items():
        scenario = next(one for one in SCENARIOS if one.name == name)
        about: dict[str, Any] = {"streams": len(streams)}
        if scenario.tvd:
            about |= {"delay": delay(streams, BEFORE), "found": found(streams, BEFORE)}
        else:
            about |= {"false_alarms": rate(streams), "alarmed": sum(1 for one in streams if one)}
        report.setdefault(detector, {})[name] = about
    for detector, figures in report.items():
        parts = [one for one in done if one.task.detector == detector and not one.task.scenario.tvd]
        figures["us_per_event"] = min((1e6 * one.seconds / one.events for one in parts), default=float("nan"))
    return report


def show(report: Mapping[str, Mapping[str, Any]], to: Console) -> None:
    """The tables."""

    def cell(one: Mapping[str, Any], scenario: Scenario) -> str:
        about = one.get(scenario.name)
        if about is None:
            return ""
        figure: Figure = about["delay" if scenario.tvd else "false_alarms"]
        share = f", {about['found']:.0%}" if scenario.tvd and about["found"] < 1.0 else ""
        alarmed = f"; {about['alarmed']} of {about['streams']}" if scenario.swing and not scenario.tvd else ""
        return figure.shown(0 if scenario.tvd else 3) + share + alarmed

    for title, columns in (
        ("false alarms per 100,000 events; seasonal also: streams with any", STEADY_ONES),
        ("median delay in events, and the share found where not all", SHIFTS),
        ("the same, bursty", BURSTY_SHIFTS),
        ("the same, seasonal", SEASONAL_SHIFTS),
    ):
        rows = [(name, one["iid"]["streams"], *(cell(one, each) for each in columns)) for name, one in report.items()]
        to.print(f"\n{title}")
        to.print(table(("detector", "streams", *(each.name for each in columns)), rows))
    for name in PEERS:
        if name in report:
            to.print(f"  {name}: {report[name]['us_per_event']:.1f} microseconds per event")


def costs(to: Console) -> dict[str, Any]:
    """What an event costs, ours beside ADWIN in turns; shown, and returned for the report."""
    ours = {
        f"{name}, {kind}": cost(sensitivity, sticky=sticky)
        for name, sensitivity in OURS.items()
        for kind, sticky in (("iid", 0.0), ("bursty", 0.3))
    }
    to.print(f"microseconds of processor time per event in blocks of {BLOCK}, after the reference")
    to.print(table(("detector", "us"), [(name, f"{us:.3f}") for name, us in ours.items()]))
    both = pairs()
    if both:
        us, theirs, times = (median(row) for row in zip(*((a, b, b / a) for a, b in both), strict=True))
        to.print(f"auto beside ADWIN, the median of {len(both)} turns: {us:.3f} and {theirs:.1f}, 1 to {times:.1f}")
    return {"ours": ours, "pairs": both}


def main() -> None:
    """Measure, show, keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--streams", type=int, default=200, help="0: the peers alone")
    parser.add_argument("--peer-streams", type=int, default=50, help="ADWIN takes 30 times as long as we do")
    parser.add_argument("--other-streams", type=int, default=5, help="Evidently and NannyML, where installed")
    parser.add_argument("--seasonal-streams", type=int, default=100)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=(), help="detectors whose names begin so, and no costs")
    chosen = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    to = Console(width=200, soft_wrap=True, highlight=False)
    spent = {} if chosen.only else costs(to)
    numbers = (chosen.streams, chosen.peer_streams, chosen.other_streams, chosen.seasonal_streams)
    done = run(tasks(*numbers, chosen.only), chosen.processes, to)
    report = measured(gathered(done), done)
    show(report, to)
    keep({"parts": len(done), "costs": spent, "detectors": report})
    to.print(f"\nall figures in {BUILD / 'report.json'}")


if __name__ == "__main__":
    main()
