"""`labelstream quality`: how often models and live labels are right, with intervals, as monitor last measured it."""

import asyncio
from typing import Annotated, Any

import typer

from cli.output import JsonFlag, Output, table
from cli.reading import read_events
from cli.settings import kafka_settings
from shared.events import Accuracy, Calibration, ModelCalibration, Quality
from shared.runtime.settings import KafkaSettings
from shared.topics import QUALITY

Shown = Accuracy | ModelCalibration | Calibration


def command(
    *,
    project: Annotated[str | None, typer.Option("--project", "-p", help="Only this project.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the accuracy of models and of live labels by path, and calibration, each with its 95 % interval.

    An estimate without labels stands beside what was measured, and never instead of it.
    """
    out = Output(as_json=as_json)
    with out.working("reading measurements"):
        newest = asyncio.run(_newest(kafka_settings(), project))
    found = [
        {"project": event.project_id, "measured_at": event.measured_at.isoformat(), **event.measurement.model_dump()}
        for event in newest
    ]
    rows = [_row(event.project_id, event.measurement) for event in newest]
    heads = ("project", "what", "by", "measured (95 %)", "labels", "estimate")
    out.result({"measurements": found}, lambda to: to.print(table(heads, rows)))


async def _newest(kafka: KafkaSettings, project: str | None) -> list[Quality]:
    newest: dict[tuple[str, str, str], Quality] = {}
    async for received in read_events(kafka, QUALITY):
        event = received.event
        if isinstance(event.measurement, Shown) and project in {None, event.project_id}:
            key = (event.project_id, event.measurement.kind, event.subject)
            if key not in newest or newest[key].measured_at <= event.measured_at:
                newest[key] = event
    return [newest[key] for key in sorted(newest)]


def _row(project: str, one: Any) -> tuple[str, ...]:
    if isinstance(one, Accuracy):
        estimate = "" if one.estimate is None else f"{one.estimate:.1%}"
        interval = f"{one.accuracy:.1%} ({one.low:.1%} to {one.high:.1%})"
        return project, f"accuracy of {one.of} {one.name}", one.basis, interval, str(one.labels), estimate
    if isinstance(one, ModelCalibration):
        interval = f"{one.error:.3f} ({one.low:.3f} to {one.high:.3f})"
        return project, f"calibration error of model {one.model_version}", "sample", interval, str(one.labels), ""
    return project, "calibration error of consensus", one.against, f"{one.error:.3f}", str(one.labels), ""
