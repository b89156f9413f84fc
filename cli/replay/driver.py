"""Drives the lead's endpoints: each open slot to a recorded worker, and a round without answers left to its end."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from cli.api import Api
from cli.audit.run import audit
from cli.outcome import Run, document
from cli.output import Work
from cli.project.commands import apply_spec
from cli.reading import read_events
from cli.replay.dataset import Crowd
from cli.replay.plan import PROJECT, Picker, items_of
from cli.rest import until_rest
from cli.scoring import Ledger
from cli.stack.embedded import Stack
from shared.bus.publisher import Publisher
from shared.bus.records import outgoing
from shared.clock import utc_now
from shared.errors import RetryLater
from shared.events import ProjectSpec
from shared.topics import ANNOTATIONS, ITEMS, LABELS

T = TypeVar("T")

SOURCE = "labelstream/replay"
BATCH = 1000
OFFERED = 200
IDLE_S = 0.05
STUCK_S = 120.0
REST_WITHIN_S = 120.0
ENDED = ("labelled", "sampled_out", "unlabelable", "unresolved")


@dataclass(frozen=True, slots=True)
class Settings:
    """How to replay."""

    spec: ProjectSpec


async def replay(stack: Stack, token: str, crowd: Crowd, settings: Settings, work: Work) -> dict[str, Any]:
    """Run a recorded crowd through a stack that is up.

    Args:
        stack: with all services ready.
        token: of the administrator.
        crowd: the recording.
        settings: the project.
        work: told how many items have come to their end.

    Returns:
        The object that `replay --json` prints.

    Raises:
        RetryLater: nothing moved for two minutes.
    """
    now = utc_now()
    await apply_spec(stack.kafka, settings.spec, now=now)
    async with Api(stack.urls["assignment"], token) as api, Publisher(stack.kafka) as publisher:
        await hire(api, crowd, [PROJECT])
        started = time.monotonic()
        records = [outgoing(ITEMS, item, source=SOURCE) for item in items_of(crowd, now=now)]
        sending = asyncio.create_task(send(publisher, records))
        desk = Desk(api, crowd, work, PROJECT)
        try:
            await desk.work_off()
        finally:
            await sending
        await until_rest(stack.urls, desk.settled, within_s=REST_WITHIN_S)
        seconds = time.monotonic() - started
    work.what = "auditing"
    report = await audit(stack.kafka, stack.database_urls, at_rest=True)
    run = Run(report.document(), await _read(stack), crowd.truth, report.violations, seconds)
    recorded = sum(map(len, crowd.answers.values()))
    return document(run) | {"recorded": recorded, "violation_list": [one.detail for one in report.found]}


async def hire(api: Api, crowd: Crowd, projects: Sequence[str]) -> None:
    """Register the recorded workers; they cannot log in, the lead acts for them."""
    for names in _chunks(crowd.workers):
        people = [{"id": name, "token": False, "projects": list(projects)} for name in names]
        await api.post("/v1/annotators", {"annotators": people})


async def send(publisher: Publisher, records: Sequence[Any]) -> None:
    """Publish in chunks, in order."""
    for chunk in _chunks(records):
        await publisher.publish(chunk)


async def _read(stack: Stack) -> Ledger:
    """Labels and opinions as the topics have them."""
    ledger = Ledger()
    async with aclosing(read_events(stack.kafka, LABELS)) as labels:
        async for received in labels:
            ledger.add_label(received.event)
    async with aclosing(read_events(stack.kafka, ANNOTATIONS)) as annotations:
        async for answered in annotations:
            ledger.add_annotation(answered.event)
    return ledger


class Pace(Protocol):
    """How fast people answer."""

    async def room(self, given: int) -> int:
        """Answers that may be given, after so many."""

    async def believed(self) -> bool:
        """Whether labels stay as they are once every item has ended."""


class Desk:
    """The lead's desk: gives open slots to recorded workers until every item has come to its end.

    Args:
        api: with the administrator's token.
        crowd: the recording.
        work: told how many items have ended.
        project: whose items.
        page: slots that are served before the next are asked for.
        choosing: assignment draws who of those that are left answers, as the project's policy says; else they come in
            recorded order.
        pace: how many answers may be given, and whether labels stay as they are once every item has ended.

    Attributes:
        at_rest: nothing that may be answered was open when it last looked.
    """

    def __init__(
        self, api: Api, crowd: Crowd, work: Work, project: str, *, page: int = BATCH, choosing: bool = False,
        pace: Pace | None = None,
    ) -> None:  # fmt: skip
        self._api = api
        self._pace = pace
        self._served: Counter[str] = Counter()
        self._choosing = choosing
        self._picker = Picker(crowd)
        self._expected = len(crowd.answers)
        self._work = work
        self._path = f"/v1/projects/{project}"
        self._page = page
        self._begun: set[str] = set()
        self._fresh: int | None = None
        self.at_rest = False

    async def work_off(self, enough: Callable[[], bool] = lambda: False, *, fresh: int | None = None) -> bool:
        """Whether all items have ended; else it was enough.

        Args:
            enough: looked at before each page.
            fresh: how many items may be begun; absent: all.

        Raises:
            RetryLater: nothing moved for two minutes.
        """
        moved = time.monotonic()
        self._fresh = fresh
        while not enough():
            page = await self._api.post(f"{self._path}/slots", {"limit": self._page})
            slots = [slot for slot in page["slots"] if self._begin(slot["item_id"])]
            served = await self._turn(slots)
            if served:
                self.at_rest = False
                await self._serve(served)
                moved = time.monotonic()
                continue
            self.at_rest = not slots
            done = self._work.done
            if await self.settled():
                return True
            moved = time.monotonic() if self._work.done != done else moved
            if time.monotonic() - moved > STUCK_S:
                raise RetryLater(f"nothing moved for {STUCK_S:.0f} s: {await self._progress()}")
            await asyncio.sleep(IDLE_S)
        return False

    @property
    def begun(self) -> int:
        """Items that somebody was asked about."""
        return len(self._begun)

    def _begin(self, item: str) -> bool:
        """Whether an item may be answered: it is begun already, or more may be begun."""
        if item not in self._begun:
            if self._fresh == 0:
                return False
            self._fresh = None if self._fresh is None else self._fresh - 1
            self._begun.add(item)
        return True

    async def settled(self) -> bool:
        """Whether every item has come and ended, and its label stays as it is."""
        states = (await self._progress())["states"]
        self._work.done = sum(states.get(state, 0) for state in ENDED)
        return self._work.done == self._expected and (self._pace is None or await self._pace.believed())

    async def _progress(self) -> dict[str, Any]:
        return await self._api.get(f"{self._path}/progress")

    async def _turn(self, slots: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
        """The slots that are served now: as many as may be answered, first of the items with the fewest answers."""
        if self._pace is None or not slots:
            return slots
        left, turn = await self._pace.room(self._served.total()), []
        for slot in sorted(slots, key=lambda one: self._served[one["item_id"]]):
            if left <= 0:
                break
            turn.append(slot | {"free": min(slot["free"], left)})
            left -= turn[-1]["free"]
        return turn

    async def _serve(self, slots: Sequence[dict[str, Any]]) -> None:
        """One page of open slots: recorded answers where some are left, an end where none are."""
        assignments: list[dict[str, Any]] = []
        answers: dict[tuple[str, str], str] = {}
        used_up: list[str] = []
        for slot in slots:
            item: str = slot["item_id"]
            taken = self._picker.offer(item, OFFERED) if self._choosing else self._picker.take(item, slot["free"])
            if not taken:
                used_up.append(item)
                continue
            answers |= {(item, one.worker): one.label for one in taken}
            who = [one.worker for one in taken]
            if self._choosing:
                drawn = {"item_id": item, "annotator_id": who[0], "others": who[1:]}
                assignments += [drawn] * min(slot["free"], len(who))
            else:
                assignments += [{"item_id": item, "annotator_id": one} for one in who]
        for chunk in _chunks(assignments):
            await self._answer(chunk, answers)
        for names in _chunks(used_up):
            await self._api.post(f"{self._path}/exhaust", {"item_ids": names})

    async def _answer(self, assignments: Sequence[dict[str, Any]], answers: dict[tuple[str, str], str]) -> None:
        leased = await self._api.post(f"{self._path}/assign", {"assignments": assignments})
        submissions = [
            {
                "lease_id": one["lease_id"],
                "annotator_id": one["annotator_id"],
                "value": {"kind": "choice", "choice": answers[one["item_id"], one["annotator_id"]]},
            }
            for one in leased["results"]
            if one["lease_id"] is not None
        ]
        if self._choosing:
            for one in leased["results"]:
                if one["lease_id"] is not None:
                    self._picker.give(one["item_id"], one["annotator_id"])
        self._served.update(one["item_id"] for one in leased["results"] if one["lease_id"] is not None)
        if submissions:
            await self._api.post("/v1/submit", {"submissions": submissions})


def _chunks(values: Sequence[T]) -> Iterable[Sequence[T]]:
    return (values[start : start + BATCH] for start in range(0, len(values), BATCH))
