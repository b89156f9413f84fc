"""One policy after another through a stack that is up: people answer, the trainer trains, people go on."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import httpx
from prometheus_client.parser import text_string_to_metric_families

from cli.api import Api
from cli.audit.databases import snapshot
from cli.economics.contents import Contents
from cli.economics.measure import model_accuracy
from cli.economics.pace import READ_S, Pace
from cli.economics.plan import Options, items_of, learns, project_of, spec_of
from cli.economics.watch import Watch
from cli.output import Work
from cli.project.commands import apply_spec
from cli.replay.dataset import Crowd
from cli.replay.driver import BATCH, SOURCE, Desk, send
from cli.rest import until_rest
from cli.stack.embedded import Stack
from shared.bus.publisher import Publisher
from shared.bus.records import outgoing
from shared.clock import utc_now
from shared.events import ProjectSpec
from shared.topics import ASSIGNMENT, ITEMS, QC, TRAINER

TRAINED_WITHIN_S = 600.0
JUDGED_WITHIN_S = 30.0
REST_WITHIN_S = 180.0
LOOK_S = 0.2
STILL = 3
LEAST_PACE = 50
PACES = 40
WAITS_FOR_THE_MODEL = (
    "SELECT EXISTS (SELECT FROM rounds WHERE project_id = $1 AND free > 0 AND granted = 0"
    " AND greatest(generation, refreshed) < $2)"
)
Late = Literal["training", "verdict"]
PAGES = 4
"""A cycle's labels are asked for in so many pages, so that each page has the order of what is known by then."""


@dataclass(slots=True)
class Played:
    """A policy that came to its end; `rounds` is its learning curve."""

    policy: str
    seconds: float = 0.0
    rounds: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Scene:
    """What is played: a recorded crowd, the contents of its tasks, the run's options, the directory of model files."""

    crowd: Crowd
    contents: Contents
    options: Options
    models: Path


class Player:
    """Plays policies on one stack.

    Args:
        stack: with all services and the trainer ready.
        api: with the administrator's token.
        watch: what the topics say.
        scene: what is played.
    """

    def __init__(self, stack: Stack, api: Api, watch: Watch, scene: Scene) -> None:
        self._stack = stack
        self._api = api
        self._watch = watch
        self._crowd = scene.crowd
        self._contents = scene.contents
        self._options = scene.options
        self._models = scene.models

    async def play(self, policy: str, work: Work) -> Played:
        """Run one policy until every item has ended.

        Raises:
            RetryLater: nothing moved for two minutes.
        """
        started, told = time.monotonic(), Played(policy)
        spec = spec_of(policy, self._crowd, self._contents, self._options, training=True)
        now = utc_now()
        await apply_spec(self._stack.kafka, spec, now=now)
        items = items_of(policy, self._crowd, self._contents, now=now)
        async with Publisher(self._stack.kafka) as publisher:
            await send(publisher, [outgoing(ITEMS, item, source=SOURCE) for item in items])
        await self._still(spec.project)
        page = BATCH
        if spec.training is not None:
            page = max(1, min(BATCH, spec.training.after_labels // PAGES))
        choosing = spec.policy.overlap.prefer > 0.0
        pace = Pace(self._stack.urls[QC], spec.project) if spec.policy.relabel.doubts_per_day else None
        desk = Desk(self._api, self._crowd, work, spec.project, page=page, choosing=choosing, pace=pace)
        if spec.training is not None:
            ended = await self._learn(told, spec, desk)
            last = spec_of(policy, self._crowd, self._contents, self._options, training=False)
            await apply_spec(self._stack.kafka, last, now=utc_now())
        else:
            ended = await desk.work_off()
        while not ended:  # a certificate may come, and take from people what waits
            ended = await desk.work_off(partial(self._begun, desk, desk.begun + self._pace()), fresh=self._pace())
            await self._still(spec.project)
        await self._still(spec.project)
        while not await desk.settled():  # a label was put in doubt at the last moment
            await desk.work_off()
            await self._still(spec.project)
        told.seconds = time.monotonic() - started
        return told

    async def _learn(self, told: Played, spec: ProjectSpec, desk: Desk) -> bool:
        """Cycles of labels and trainings; whether all items ended meanwhile."""
        training = spec.training
        if training is None:
            return False
        name = spec.project
        for _ in range(self._options.cycles_of(told.policy)):
            wanted = self._watch.by_people(name) + training.after_labels
            before = await self._trainer(name)
            if await desk.work_off(partial(self._labelled, name, wanted), fresh=training.after_labels):
                return True
            late = await self._trained(name, before)
            await self._still(spec.project)
            told.rounds.append(await self._round(len(told.rounds) + 1, spec) | {"not_in_time": late})
        return False

    def _pace(self) -> int:
        """Items that are begun before people wait for what a certificate takes from them."""
        return max(LEAST_PACE, len(self._crowd.answers) // PACES)

    def _begun(self, desk: Desk, wanted: int) -> bool:
        return desk.begun >= wanted and desk.at_rest

    def _labelled(self, project: str, wanted: int) -> bool:
        return self._watch.by_people(project) >= wanted

    async def _round(self, cycle: int, spec: ProjectSpec) -> dict[str, Any]:
        """A point of the learning curve."""
        ledger, version = self._watch.ledgers[spec.project], self._watch.live_version(spec.project)
        accuracy = None
        if version is not None:
            accuracy = await asyncio.to_thread(
                model_accuracy, version, spec, self._contents, self._crowd.truth, self._models
            )
        return {
            "cycle": cycle,
            "labels": self._watch.by_people(spec.project),
            "opinions": ledger.opinion_count,
            "auto": len(ledger.labels) - self._watch.by_people(spec.project),
            "model": None if version is None else version.version,
            "model_accuracy": None if accuracy is None else round(accuracy, 6),
            "label_accuracy": ledger.accuracy(self._crowd.truth),
        }

    async def _trained(self, project: str, before: Mapping[str, float]) -> Late | None:
        """Until the trainer has trained again, and judged what came of it; or too long: then what did not come."""
        deadline = time.monotonic() + TRAINED_WITHIN_S
        while (late := awaited(before, await self._trainer(project))) and time.monotonic() < deadline:
            if late == "verdict":
                deadline = min(deadline, time.monotonic() + JUDGED_WITHIN_S)
            await asyncio.sleep(LOOK_S)
        return late

    async def _trainer(self, project: str) -> Mapping[str, float]:
        """How often the trainer trained, registered and judged models of a project."""
        async with httpx.AsyncClient(timeout=READ_S, trust_env=False) as client:
            text = (await client.get(f"{self._stack.urls[TRAINER]}/metrics")).raise_for_status().text
        found = {"trainings": 0.0, "registered": 0.0, "verdicts": 0.0}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.labels.get("project") != project or not sample.name.endswith("_total"):
                    continue
                if sample.name == "labelstream_trainer_trainings_total":
                    found["trainings"] += sample.value
                    found["registered"] += sample.value * (sample.labels["outcome"] == "registered")
                elif sample.name == "labelstream_trainer_verdicts_total":
                    found["verdicts"] += sample.value
        return found

    async def _still(self, project: str) -> None:
        """Until nothing is under way: predictions of all items, and the live model's of those that nobody has begun."""
        await until_rest(self._urls(), partial(self._asked_again, project), within_s=REST_WITHIN_S, quiet=STILL)

    async def _asked_again(self, project: str) -> bool:
        """Whether the live model was asked about every item that waits for people."""
        pointer = self._watch.live.get(project)
        if pointer is None:
            return True
        async with snapshot(ASSIGNMENT, self._stack.database_urls[ASSIGNMENT]) as connection:
            return not await connection.fetchval(WAITS_FOR_THE_MODEL, project, pointer.generation)

    def _urls(self) -> Mapping[str, str]:
        return {name: url for name, url in self._stack.urls.items() if name != TRAINER}


def awaited(before: Mapping[str, float], now: Mapping[str, float]) -> Late | None:
    """What has not come yet: a training, or the verdict on the model that it registered; from counts of the trainer."""
    if now["trainings"] <= before["trainings"]:
        return "training"
    return "verdict" if now["registered"] > before["registered"] and now["verdicts"] <= before["verdicts"] else None


def names(policies: tuple[str, ...]) -> list[str]:
    """The projects of these policies."""
    return [project_of(policy) for policy in policies]


def needs_trainer(policies: tuple[str, ...], contents: Contents) -> bool:
    """Whether any of them learns a model."""
    return contents.learnable and any(learns(policy) for policy in policies)
