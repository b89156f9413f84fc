"""The status page from fixed data, for a browser. `python -m tests.support.status FILE.png` takes its picture."""

import asyncio
import math
import sys
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import uvicorn
from PIL import Image
from starlette.requests import Request

from services.monitor.api.application import Reading, make_api
from services.monitor.api.view import Lag, Rates, View, Watching
from services.monitor.domain.accuracy import Rate
from services.monitor.domain.drift.standing import DetectorState, Standing
from services.monitor.domain.figures import Audited, Figures, People
from services.monitor.domain.kinds import Kinds, Objects
from services.monitor.domain.overview import ClassShare, Mix, Overview, PathFigures
from services.monitor.metrics import FlowCollector
from services.monitor.store.reading import Person
from shared.events import (
    Accuracy,
    Agreement,
    Calibration,
    Certificate,
    ConfusedPair,
    DriftAlarm,
    ModelCalibration,
    Skill,
    Speed,
)
from shared.events import Path as LabelPath
from tests.support import events as make
from tests.support.browser import browser

TOKEN = "fixed-0123456789-abcdefghijklmnopqrstuv"
PROJECT = "reviews"
NOW = make.at(3 * 86_400)
POINTS = 90
COLOURS = 64
SHARES = ((LabelPath.AUTO, 0.74), (LabelPath.SINGLE, 0.14), (LabelPath.CONSENSUS, 0.1), (LabelPath.EXPERT, 0.02))


def alarm() -> DriftAlarm:
    """An open alarm with all that one may have."""
    hour = timedelta(hours=1)
    classes = [
        {"symbol": name, "before": before, "after": after, "delta": after - before, "low": after - before - 0.02,
         "high": after - before + 0.02}
        for name, before, after in (("negative", 0.22, 0.34), ("positive", 0.55, 0.43), ("neutral", 0.23, 0.23))
    ]  # fmt: skip
    return DriftAlarm.model_validate({
        "alarm_id": "5f0f6e8e-0000-5000-8000-000000000001", "number": 2, "state": "updated", "severity": "warning",
        "summary": "Predicted classes have moved: negative +12.0 points, positive -12.0 points.",
        "subject": {"signal": "predicted_class"},
        "detector": {"name": "shiryaev_roberts", "version": "1", "params": {}},
        "reference": {"id": "5f0f6e8e-0000-5000-8000-000000000002", "model_version": "m7", "guideline_version": 3,
                      "n": 40_000, "distribution": {}},
        "current": {"first": 118_240, "last": 121_900, "n": 3_660, "distribution": {}},
        "evidence": {"log_e": 16.4, "budget": 1_000_000, "expected_false_alarms": 0.1, "detectors": 6},
        "effect": {"tvd": 0.12, "low": 0.09, "high": 0.15, "classes": classes, "change": 118_240, "change_low": 118_100,
                   "change_high": 118_420, "changed_at": NOW - hour, "changed_from": NOW - 1.1 * hour,
                   "changed_to": NOW - 0.9 * hour},
        "impact": {"affected": 3_660, "auto_accepted": 2_741, "accuracy_before": 0.981, "accuracy_after": 0.962,
                   "accuracy_low": 0.93, "accuracy_high": 0.98, "cost": 104.2, "cost_low": 12.5, "cost_high": 214.0},
        "mechanisms": [{"name": "traffic", "contribution": 0.031}, {"name": "model", "contribution": 0.004},
                       {"name": "people", "contribution": -0.002}],
        "suspects": [
            {"score": 0.81, "dimension": "source", "value": "shop-mobile", "signature": "traffic",
             "explanation": "Predictions and people's labels moved alike, in one source."},
            {"score": 0.12, "dimension": "model_version", "value": "m7", "signature": "model"},
        ],
        "exemplars": ["r-118244", "r-118251", "r-118260"],
        "action": "Look at the source; raise the audit share until accuracy is confirmed.",
        "runbook": "docs/drift.md#what-to-do",
        "opened_at": NOW - hour,
    })  # fmt: skip


def person(name: str, accuracy: float, *, quarantined: bool = False, judged: int = 240) -> Person:
    half = 1.96 * math.sqrt(accuracy * (1 - accuracy) / judged)
    skill = Skill(
        annotator_id=name,
        accuracy=accuracy,
        low=max(accuracy - half, 0.0),
        high=min(accuracy + half, 1.0),
        judged=judged,
        correct=round(accuracy * judged),
        recent=max(accuracy - 0.02, 0.0),
        speed=Speed(median_s=6.5 + 4 * accuracy, spread=0.4, answers=judged),
    )
    return Person(skill, NOW, quarantined, "gold" if quarantined else "")


def rates() -> Rates:
    """A quarter of an hour with a swing."""
    base = {"items": 212.0, "predictions": 211.0, "answers": 9.4, "labels": 204.0}
    base |= {f"labels/{path.value}": 204.0 * share for path, share in SHARES}
    past = {
        stream: [
            (
                NOW - timedelta(seconds=10 * (POINTS - n)),
                level * (1 + 0.12 * math.sin(n / 9) + 0.03 * math.sin(2.3 * n)),
            )
            for n in range(POINTS)
        ]
        for stream, level in base.items()
    }
    return Rates({stream: past[stream][-1][1] for stream in base}, past)


def figures() -> Figures:
    one: dict[str, Any] = {"percent": 0.87, "rounds": 4_120, "opinions": 9_480, "alpha": 0.74, "ac1": 0.81}
    by_class = {
        name: Agreement.model_validate(one | {"scope": "class", "name": name, "ac1": ac1, "percent": percent})
        for name, ac1, percent in (("neutral", 0.58, 0.84), ("negative", 0.83, 0.92), ("positive", 0.88, 0.94))
    }
    certificate = Certificate(
        number=12, state="granted", generation=7, model_version="m7", threshold=0.93, target_error=0.03,
        confidence=0.95, audits=612, error=0.014, audit_share=0.05, valid_until=NOW + timedelta(days=6),
    )  # fmt: skip
    pairs = (
        ConfusedPair(truth="neutral", answered="positive", answers=210, share=0.16, low=0.14, high=0.18),
        ConfusedPair(truth="negative", answered="neutral", answers=96, share=0.07, low=0.06, high=0.09),
    )
    calibration = Calibration(against="gold", error=0.021, labels=820, accuracy=0.962)
    return Figures(
        Agreement.model_validate(one),
        by_class,
        {"gold": calibration},
        certificate,
        pairs,
        People({9: 5}, 1),
        accuracy=accuracy(),
        model_calibration={
            "m7": ModelCalibration(
                model_version="m7", error=0.017, low=0.004, high=0.028, labels=9_610, window_s=604_800.0
            )
        },
    )


def accuracy() -> dict[tuple[str, str], Accuracy]:
    told: tuple[dict[str, Any], ...] = (
        {
            "of": "model",
            "name": "m7",
            "basis": "sample",
            "accuracy": 0.941,
            "low": 0.931,
            "high": 0.95,
            "labels": 9_610,
            "estimate": 0.952,
        },
        {
            "of": "path",
            "name": "auto",
            "basis": "audit",
            "accuracy": 0.983,
            "low": 0.968,
            "high": 0.991,
            "labels": 612,
            "estimate": 0.981,
        },
        {
            "of": "path",
            "name": "single",
            "basis": "gold",
            "accuracy": 0.918,
            "low": 0.894,
            "high": 0.937,
            "labels": 640,
        },
    )
    measured = [Accuracy.model_validate(one | {"window_s": 604_800.0}) for one in told]
    return {(one.of, one.name): one for one in measured}


def watching() -> Watching:
    """One alarm open, one signal on its way, people's labels still learning."""
    limits = {"predicted_class": 15.7, "confidence": 16.1, "label_class": 16.4, "agreement": 16.4}
    risen = {"predicted_class": 1.0, "confidence": 0.62, "label_class": 0.11, "agreement": 0.28}
    past = {
        signal: [
            (NOW - timedelta(seconds=10 * (POINTS - n)),
             min(max(top * (n - 20) / 40, 0.04 + 0.03 * math.sin(n / 5)), top) * (1 - 0.05 * math.sin(n / 3) ** 2))
            for n in range(POINTS)
        ]
        for signal, top in risen.items()
    }  # fmt: skip
    states = dict.fromkeys(limits, DetectorState.WATCHING) | {
        "predicted_class": DetectorState.ALARMED, "label_class": DetectorState.LEARNING,
    }  # fmt: skip
    surest = [
        Standing(signal, "", states[signal], risen[signal] * limits[signal], limits[signal],
                 412 if states[signal] is DetectorState.LEARNING else 40_000, 1_000 if "label" in signal else 10_000,
                 121_900)
        for signal in sorted(limits, key=lambda one: -risen[one])
    ]  # fmt: skip
    return Watching(1_000_000, {"learning": 1, "watching": 4, "alarmed": 1}, surest, past)


def objects() -> dict[str, Mix]:
    """Of spans that name what a review is about."""
    parts = (("food", 0.41, 0.44), ("service", 0.33, 0.3), ("place", 0.17, 0.17), ("price", 0.09, 0.09))
    shares = tuple(ClassShare(*one, one[1] - 0.012, one[1] + 0.012) for one in parts)
    return {"predictions": Mix(shares, 26_900, 702_000), "labels": Mix(shares, 25_400, 668_000)}


def counted() -> dict[str, Objects]:
    """As many of them, and how unequally they are spread over the items."""
    each = (("predictions", 11_800, 26_900, 93_400), ("labels", 11_200, 25_400, 87_900))
    return {of: Objects(items, Counter(food=n), Counter({"": squares})) for of, items, n, squares in each}


def fixed(**changes: Any) -> View:
    """The same figures each time; `changes` replaces fields of the view."""
    labels = 184_300
    states = {"labelled": labels, "queued": 1_240, "blocked": 12, "awaiting_prediction": 31, "sampled_out": 2_210}
    cost = {LabelPath.AUTO: 0.0, LabelPath.SINGLE: 0.08, LabelPath.CONSENSUS: 0.21, LabelPath.EXPERT: 0.9}
    opinions = {LabelPath.AUTO: 0.0, LabelPath.SINGLE: 1.0, LabelPath.CONSENSUS: 2.6, LabelPath.EXPERT: 3.4}
    predictions = Mix(
        (ClassShare("positive", 0.43, 0.55), ClassShare("negative", 0.34, 0.22), ClassShare("neutral", 0.23, 0.23)),
        11_800,
        310_400,
    )
    given = Mix(
        (ClassShare("positive", 0.45, 0.53), ClassShare("negative", 0.31, 0.23), ClassShare("neutral", 0.24, 0.24)),
        11_200,
        296_000,
    )
    about = Overview(
        project_id=PROJECT,
        taken_at=NOW,
        states=states,
        paths=tuple(
            PathFigures(path.value, round(labels * share), opinions[path], cost[path]) for path, share in SHARES
        ),
        mixes={"predictions": predictions, "labels": given},
        audits={"m7": Audited(164, 0.976, 0.939, 0.991)},
        figures=figures(),
        budget_left=61,
        kinds=Kinds(
            counted(),
            extent={"m7": Rate(0.142, 0.131, 0.154, 3_720)},
            words={"asr-3": Rate(0.083, 0.074, 0.093, 14_210)},
        ),
        objects=objects(),
    )
    people = [person("ada", 0.97), person("bo", 0.93), person("chen", 0.9), person("dara", 0.88), person("eli", 0.61)]
    people[-1] = person("eli", 0.61, quarantined=True, judged=90)
    shown: dict[str, Any] = {
        "projects": [PROJECT, "toxicity"], "at": NOW, "overview": about, "rates": rates(),
        "lags": [Lag("predictions.v1", 120, 0.4)], "alarms": [alarm()], "people": people, "after": "", "more": False,
        "stopped": {}, "watching": watching(),
    }  # fmt: skip
    return View(**(shown | changes))


class Fixed(Reading):
    """Answers every request for the page with one view, which may be exchanged."""

    def __init__(self, view: View) -> None:
        collector = FlowCollector(max_classes=10)
        super().__init__(collector, unit=None, lags=list, stopped=dict, clock=lambda: NOW)  # type: ignore[arg-type]
        self.view = view

    async def _view(self, _: Request) -> View:
        return self.view


@asynccontextmanager
async def serving(app: Any) -> AsyncGenerator[str]:
    """The base URL of an application on a port of its own."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  # uvicorn gives no event
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


async def take_picture(to: Path) -> None:
    async with serving(make_api(Fixed(fixed()), token=TOKEN)) as url, browser() as running:
        context = await running.new_context(
            http_credentials={"username": "any", "password": TOKEN}, viewport={"width": 1080, "height": 900}
        )
        page = await context.new_page()
        await page.goto(f"{url}/status")
        taken = await page.screenshot(full_page=True)
    # A palette: a few colours, a third of the bytes.
    Image.open(BytesIO(taken)).convert("RGB").quantize(COLOURS).save(to, optimize=True)


if __name__ == "__main__":
    asyncio.run(take_picture(Path(sys.argv[1])))
