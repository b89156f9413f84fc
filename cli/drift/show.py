"""What `labelstream drift` shows a person."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.console import Console

from shared.errors import ConfigurationError

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 72
MOST_SLICES = 20
MOST_CLASSES = 6


def sparkline(values: Sequence[float], top: float, width: int = WIDTH) -> str:
    """The maxima of up to `width` equal parts as bars; a full one is `top` or more."""
    if not values or top <= 0.0:
        return ""
    parts = min(width, len(values))
    edges = [place * len(values) // parts for place in range(parts + 1)]
    peaks = [max(values[a:b]) for a, b in pairwise(edges)]
    return "".join(BARS[min(int(peak / top * len(BARS)), len(BARS) - 1)] for peak in peaks)


def show(to: Console, document: Mapping[str, Any], top: float) -> None:
    """The alarms as a table, and the evidence as one line per slice."""
    alarms = document["alarms"]
    slices = "" if document["slices"] == 1 else f" in {document['slices']:,} slices"
    to.print(
        f"{document['events']:,} events{slices}; {len(alarms)} alarm{'' if len(alarms) == 1 else 's'}; at most"
        f" {document['expected_false_alarms_per_100k']:g} false alarms expected per 100,000 events"
    )
    to.print("\nevidence, logarithmic; a full bar is an alarm")
    for name, one in list(document["evidence"].items())[:MOST_SLICES]:
        to.print(f"{name + '  ' if name else ''}{sparkline(one['log_evidence'], top)}", markup=False)
    if not alarms:
        to.print("\nno drift found")
        return
    for alarm in alarms:
        where = f" in {alarm['slice']}" if alarm["slice"] else ""
        to.print(f"\nalarm at {alarm['offset']:,}{where}, time {alarm['time']}; {_state(alarm)}", markup=False)
        to.print(
            f"  changed at {alarm['change']:,} ({alarm['change_low']:,} to {alarm['change_high']:,}), distance"
            f" {alarm['tvd']:.3f} ({alarm['tvd_low']:.3f} to {alarm['tvd_high']:.3f}), intervals of 95 %",
            markup=False,
        )
        for one in alarm["classes"][:MOST_CLASSES]:
            to.print(
                f"  {one['class']}: {one['before']:.3f} to {one['after']:.3f}, {one['delta']:+.3f}"
                f" ({one['low']:+.3f} to {one['high']:+.3f})",
                markup=False,
            )


def _state(alarm: Mapping[str, Any]) -> str:
    if alarm["resolved"] is None:
        return "still open"
    return f"{'back' if alarm['returned'] else 'holds still'} at {alarm['resolved']:,}"


def draw(document: Mapping[str, Any], path: Path) -> None:
    """Write the evidence as a picture; its ending names the format.

    Raises:
        ConfigurationError: it cannot be written, or matplotlib is not there.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  # only who wants a picture needs it
    except ImportError as error:
        raise ConfigurationError("--plot needs matplotlib: pip install 'labelstream[plots]'") from error
    figure = Figure(figsize=(11.0, 4.0), layout="constrained")
    axes = figure.subplots()
    for name, one in list(document["evidence"].items())[:MOST_SLICES]:
        places = [one["width"] * (at + 1) for at in range(len(one["log_evidence"]))]
        axes.plot(places, one["log_evidence"], lw=0.8, label=name or "all events")
    for alarm in document["alarms"] if document["slices"] == 1 else ():
        axes.axvline(alarm["offset"], color="tab:red", lw=1)
        axes.axvspan(alarm["change_low"], alarm["change_high"], color="tab:orange", alpha=0.3)
    axes.set(xlabel="events", ylabel="log evidence", title="Evidence of drift; red: alarm, orange: when it changed")
    axes.legend(loc="upper left")
    axes.grid(alpha=0.3)
    try:
        figure.savefig(path, dpi=140)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: cannot be written: {error}") from error
