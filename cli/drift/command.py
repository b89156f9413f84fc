"""`labelstream drift`."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.drift.learn import advise, tried, wider
from cli.drift.run import Run
from cli.drift.show import draw, show
from cli.drift.stream import Happened, measure, read_stream
from cli.output import JsonFlag, Output, Work
from services.monitor.domain.drift import Mode, Reference, Sensitivity, load_reference, reference_state
from shared.errors import ConfigurationError

REFERENCE, LEAST_REFERENCE = 10_000, 500


def command(
    *,
    events: Annotated[Path, typer.Option("--events", help="CSV of time,class[,slice].", show_default=False)],
    mode: Annotated[
        str,
        typer.Option(
            "--mode",
            help="auto: how the reference itself moves with time is no drift; sharp: any lasting change is; tolerant:"
            " what goes beyond --tolerance.",
        ),
    ] = "auto",
    tolerance: Annotated[
        float | None,
        typer.Option(
            "--tolerance",
            min=0.0,
            max=0.5,
            help="Total variation distance from the reference that is no drift; implies tolerant.  [0.04]",
            show_default=False,
        ),
    ] = None,
    seasonality: Annotated[
        float | None,
        typer.Option(
            "--seasonality",
            min=0.0,
            max=1.0,
            help="As --tolerance, by the known swing of the class mix from peak to peak, which is twice that.",
            show_default=False,
        ),
    ] = None,
    budget: Annotated[
        int, typer.Option("--budget", min=100, help="Events between false alarms, on average at least.")
    ] = 1_000_000,
    reference: Annotated[
        int | None,
        typer.Option(
            "--reference",
            min=100,
            help="First events of each slice that make its reference.  [10000, of a short one a quarter]",
            show_default=False,
        ),
    ] = None,
    reference_file: Annotated[
        Path | None,
        typer.Option(
            "--reference-file",
            help='JSON of a reference instead: {"counts": {class: events}}, or what --save-reference wrote.',
            show_default=False,
        ),
    ] = None,
    save_reference: Annotated[
        Path | None,
        typer.Option("--save-reference", help="Write the reference in use at the end.", show_default=False),
    ] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw the evidence (PNG).", show_default=False)] = None,
    learn: Annotated[
        bool,
        typer.Option("--learn", help="Take the events for a history without incidents: say how to watch for more."),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Find where the class mix of a recorded stream changed: each lasting change is one alarm.

    The first events make the reference. Until it is full only large changes are found. After an alarm the events since
    are the next reference: the alarm is resolved once they hold still, or once the stream is back at the old mix. Each
    slice is watched by itself; an event is in exactly one, so the budget holds for the file as a whole.

    --json: one object. events, slices, mode, tolerance, budget, expected_false_alarms_per_100k (an upper bound),
    reference (events wanted, by slice), alarms: slice; offset and time of the event that raised it (offsets count the
    file's events from 0); change with change_low and change_high: offset of the first event after the change, and its
    95 % interval; change_time; log_evidence (natural logarithm of the e-value); tvd with tvd_low and tvd_high: total
    variation distance between reference and events since the change, 95 % interval; classes that moved: class, before,
    after, delta, low, high; events_since_change, reference_events; state: open or resolved, resolved (offset, null
    while open), returned (it went back); later: the same figures at resolution. evidence: by slice, points of
    log-evidence, each the maximum of `width` events of the slice.

    --learn: drift, to be copied into the project file: mode, budget, reference, and the tolerance where the history
    moves and no season explains it; strays (how far 95 % of the windows of each slice lie from the mean, less chance);
    alarms, how many these settings would have raised in the history.
    """
    out = Output(as_json=as_json)
    chosen = _mode(mode, tolerance, seasonality)
    given = None if reference_file is None else _read_reference(reference_file)
    with out.working("reading events"):
        extent = measure(events)
    limit = tolerance if tolerance is not None else seasonality / 2.0 if seasonality is not None else None
    wanted = {name: reference or _reference_size(n) for name, n in extent.events.items()}
    if learn:
        _learn(out, events, extent.events, wanted, budget)
        return
    extra = {} if limit is None else {"tolerance": limit}
    run = Run({n: Sensitivity(mode=chosen, budget=budget, reference=r, **extra) for n, r in wanted.items()}, given)
    with out.working("watching events", total=extent.events.total()) as work:
        run.take(_counted(read_stream(events), work))
        alarms = run.finish()
    document: dict[str, Any] = {
        "events": extent.events.total(), "slices": len(wanted), "mode": chosen,
        "tolerance": (limit if limit is not None else Sensitivity().tolerance) if chosen == "tolerant" else None,
        "budget": budget, "expected_false_alarms_per_100k": 100_000 / budget, "reference": wanted, "alarms": alarms,
        "evidence": {
            name: {"width": one.trace.width, "log_evidence": [round(x, 2) for x in one.trace.shown()]}
            for name, one in run.slices.items()
        },
    }  # fmt: skip
    if save_reference is not None:
        _save(run, save_reference)
    if plot is not None:
        draw(document, plot)
    out.result(document, lambda to: show(to, document, math.log(budget)))


def _learn(out: Output, path: Path, sizes: Mapping[str, int], wanted: Mapping[str, int], budget: int) -> None:
    with out.working("learning", total=sum(sizes.values())) as work:
        found = advise(sizes, wanted, budget, _counted(read_stream(path), work))
        while (alarms := tried(wanted, found["drift"], read_stream(path))) and wider(found):
            work.done = 0
        found["alarms"] = alarms

    def say(to: Console) -> None:
        to.print("drift:", *(f"  {key}: {value}" for key, value in found["drift"].items()), sep="\n")
        to.print(f"# alarms that this would have raised in the history: {found['alarms']}")

    out.result(found, say)


def _counted(stream: Iterator[Happened], work: Work) -> Iterator[Happened]:
    for event in stream:
        work.done = event.offset + 1
        yield event


def _mode(mode: str, tolerance: float | None, seasonality: float | None) -> Mode:
    if tolerance is not None and seasonality is not None:
        raise ConfigurationError("--tolerance and --seasonality say the same thing: give one of them")
    if tolerance is not None or seasonality is not None:
        if mode == "sharp":
            raise ConfigurationError("--mode sharp has no tolerance; leave one of them out")
        return "tolerant"
    known: dict[str, Mode] = {"auto": "auto", "sharp": "sharp", "tolerant": "tolerant"}
    if mode not in known:
        raise ConfigurationError(f"--mode: one of {', '.join(known)}, not {mode!r}")
    return known[mode]


def _reference_size(events: int) -> int:
    return min(REFERENCE, max(LEAST_REFERENCE, events // 4))


def _read_reference(path: Path) -> Reference:
    try:
        found = load_reference(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(f'{path}: not a reference; write {{"counts": {{"class": events}}}}') from error
    if found.n < 1:
        raise ConfigurationError(f"{path}: a reference without events")
    return found


def _save(run: Run, path: Path) -> None:
    references = [one.watch.reference for one in run.slices.values()]
    if len(references) != 1 or references[0] is None:
        raise ConfigurationError("--save-reference needs a file of one slice, with at least 1,000 events")
    try:
        path.write_text(json.dumps(reference_state(references[0])) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written: {error}") from error
