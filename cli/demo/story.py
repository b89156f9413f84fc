"""The demo, from an empty machine to the proof that nothing was lost."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from cli.api import Api
from cli.demo.crowd import Crowd
from cli.demo.digits import Digits, Picture, load
from cli.demo.setup import PROJECT, apply_project, import_gold, publish_first_model, publish_model
from cli.demo.traffic import Traffic, make_traffic
from cli.demo.view import Scene
from cli.demo.watch import Watch
from cli.rest import read_flow, until_rest
from cli.stack.embedded import Stack
from shared.bus.publisher import Publisher
from shared.clock import utc_now

TRAINING, GOLD = 150, 40
CHUNK = 25
FIRST_SHARE = 0.5
ENOUGH = 0.6
ENDED = ("labelled", "sampled_out", "unlabelable", "unresolved")
SWAP_WITHIN_S = 40.0
REST_WITHIN_S = 90.0
MEASURED_WITHIN_S = 15.0
POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How the demo runs.

    Attributes:
        images: how many to stream; None for all.
        per_second: items sent per second.
        seed: of everything drawn.
    """

    images: int | None = None
    per_second: float = 150.0
    seed: int = 7


@dataclass(slots=True)
class Told:
    """What happened; `seconds` from the first item sent to rest."""

    digits: Digits
    traffic: Traffic
    watch: Watch
    scene: Scene
    states: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    swapped_after: int = 0


def prepare(plan: Plan) -> Digits:
    """Load and split the images; takes seconds, for a thread."""
    return load(training=TRAINING, gold=GOLD, stream=plan.images, seed=plan.seed)


class Story:
    """One run on a stack that is up.

    Args:
        stack: with all services ready.
        token: of the administrator.
        digits: the images.
        plan: how to run.
        models: prelabel's model directory.
    """

    def __init__(self, stack: Stack, token: str, digits: Digits, plan: Plan, models: Path) -> None:
        self._stack = stack
        self._token = token
        self._plan = plan
        self._models = models
        self._kafka = stack.kafka
        now = utc_now()
        traffic = make_traffic(digits.stream, now=now, seed=plan.seed, max_bytes=self._kafka.max_record_bytes)
        truth = {one.name: one.truth for one in digits.stream}
        watch = Watch(frozenset(truth))
        scene = Scene(watch, truth, len(digits.stream))
        self.told = Told(digits, traffic, watch, scene)
        self._crowd = Crowd(stack.urls["assignment"], self._pictures(digits), seed=plan.seed)

    @staticmethod
    def _pictures(digits: Digits) -> dict[str, str]:
        """What people see -> what it is."""
        return {one.content.data or "": one.truth for one in (*digits.stream, *digits.gold)}

    async def set_up(self) -> None:
        """Everything before the first item."""
        self.told.scene.step = "training the first model"
        now = utc_now()
        await apply_project(self._kafka, now=now)
        await import_gold(self._kafka, self.told.digits.gold, now=now)
        await publish_first_model(self._kafka, self.told.digits, directory=self._models, seed=self._plan.seed)
        self.told.scene.live = "v1"
        async with Api(self._stack.urls["assignment"], self._token) as admin:
            await self._crowd.hire(admin, PROJECT)

    async def play(self) -> Told:
        """Stream everything, swap the model midway, and wait for rest."""
        self.told.scene.started = time.monotonic()
        started = time.monotonic()
        async with self._background(), Publisher(self._kafka) as publisher:
            records = self.told.traffic.records
            half = int(len(records) * FIRST_SHARE)
            self.told.scene.step = "streaming, first model"
            await self._send(publisher, 0, half)
            await self._swap()
            self.told.scene.step = "streaming, second model"
            await self._send(publisher, half, len(records))
            self.told.scene.step = "coming to rest"
            await until_rest(self._stack.urls, self._settled, within_s=REST_WITHIN_S)
            self.told.seconds = time.monotonic() - started
            self.told.scene.step = "measuring the people"
            await self._measured()
        return self.told

    async def _send(self, publisher: Publisher, start: int, end: int) -> None:
        records = self.told.traffic.records
        begun = time.monotonic()
        for place in range(start, end, CHUNK):
            chunk = records[place : min(place + CHUNK, end)]
            await publisher.publish(chunk)
            self.told.scene.sent = min(place + len(chunk), self.told.scene.total)
            due = begun + (place - start + len(chunk)) / self._plan.per_second
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _swap(self) -> None:
        """Train on what people have answered so far, and promote that model under load."""
        watch = self.told.watch
        wanted = ENOUGH * FIRST_SHARE * self.told.scene.total
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SWAP_WITHIN_S):
                while len(watch.ledger.labels) < wanted:  # noqa: ASYNC110  # the topics are followed by other tasks
                    await asyncio.sleep(0.1)
        self.told.scene.step = "training the second model on people's labels"
        pictures: dict[str, Picture] = {one.name: one for one in self.told.digits.stream}
        corrected = watch.corrected()
        self.told.swapped_after = len(corrected)
        training = self.told.digits.training
        await publish_model(
            self._kafka,
            [*training, *(pictures[name] for name in corrected)],
            [*(one.truth for one in training), *corrected.values()],
            version="v2",
            directory=self._models,
            seed=self._plan.seed,
        )
        self.told.scene.live = "v2"

    async def _measured(self) -> None:
        """Skills come by qc's clock; the stream rests before the last of them."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MEASURED_WITHIN_S):
                while not self.told.watch.measured():  # noqa: ASYNC110  # as above
                    await asyncio.sleep(0.1)

    async def _settled(self) -> bool:
        """Whether assignment knows every item and none is open."""
        ended = sum(number for state, number in self.told.states.items() if state in ENDED)
        return ended == len(self.told.digits.stream)

    @asynccontextmanager
    async def _background(self) -> AsyncGenerator[None]:
        """People, watchers and figures, as long as the stream runs."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._stack.watch()),
                group.create_task(self.told.watch.run(self._kafka)),
                group.create_task(self._poll()),
                group.create_task(self._crowd.work()),
            ]
            yield
            for task in tasks:
                task.cancel()

    async def _poll(self) -> None:
        async with (
            Api(self._stack.urls["assignment"], self._token) as admin,
            httpx.AsyncClient(timeout=5, trust_env=False) as client,
        ):
            while True:
                progress = await admin.get(f"/v1/projects/{PROJECT}/progress")
                self.told.states = progress["states"]
                self.told.scene.states = self.told.states
                self.told.scene.lag = (await read_flow(client, self._stack.urls)).lag
                await asyncio.sleep(POLL_S)
