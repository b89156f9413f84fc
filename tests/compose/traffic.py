"""A producer and people outside the containers, and what they know for certain afterwards."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import yaml

from cli.api import Api
from cli.reading import read_events
from shared.bus.deadletter import original
from shared.bus.reader import read_all
from shared.bus.records import header
from shared.events import AutoAccept, Outcome, Overlap, Policy, RelabelPolicy
from shared.topics import ANNOTATIONS, LABELS, TOPICS
from tests.compose.deployment import Deployment
from tests.compose.engine import Failed, say
from tests.e2e.world.ledger import SEQUENCE, Ledger
from tests.e2e.world.people import Annotator, Desk
from tests.e2e.world.plan import PROJECT, Plan, model_of
from tests.e2e.world.producer import Producer

REST_S = 240.0
POLICY = Policy(
    auto_accept=AutoAccept(threshold=0.9, audit_share=0.1),
    overlap=Overlap(min=1, max=3),
    target_posterior=0.9,
    experts=True,
    blind_share=0.2,
    lease_s=5.0,
    blocked_after_s=60.0,
    unresolved_after_s=3600.0,
    relabel=RelabelPolicy(doubts_per_day=0),
)
"""Nothing ends for want of people while the deployment is down: every item must come out with its label."""


@dataclass(frozen=True, slots=True)
class Proven:
    """The counts of a run in which nothing was lost."""

    items: int
    repeats: int
    poison: int
    answers: int
    labels: int
    by_path: dict[str, int]
    records: int


class Traffic:
    """The outside of one deployment."""

    def __init__(self, deployment: Deployment, plan: Plan) -> None:
        self.deployment = deployment
        self.plan = plan
        self.ledger = Ledger()
        self._tokens: dict[str, str] = {}

    def prepare(self) -> None:
        """What an operator does first: a project, a model, people; the commands run in the operator's container."""
        given, operator = self.deployment.given, self.deployment.operator
        spec = self.plan.spec.model_dump(mode="json", exclude_none=True)
        content, manifest = model_of(1)
        (given / "project.yaml").write_text(yaml.safe_dump(spec))
        (given / "manifest.yaml").write_text(yaml.safe_dump(manifest.model_dump(mode="json")))
        (given / "model.onnx").write_bytes(content)
        operator("project", "apply", "/given/project.yaml")
        files = ("--file", "/given/model.onnx", "--manifest", "/given/manifest.yaml")
        operator("model", "register", "--project", PROJECT, *files, "--version", "m1")
        operator("model", "promote", "--project", PROJECT, "m1")
        first = self.plan.people[0]
        self._tokens[first.name] = operator("annotator", "add", first.name, "--project", PROJECT)["token"]

    async def hire(self) -> None:
        """The other people, by the API from this host."""
        body = [
            {"id": one.name, "role": "expert" if one.expert else "annotator", "projects": [PROJECT]}
            for one in self.plan.people
            if one.name not in self._tokens
        ]
        async with Api(self.deployment.url, self.deployment.admin_token) as api:
            added = await api.post("/v1/annotators", {"annotators": body})
        self._tokens |= {one["id"]: one["token"] for one in added["results"]}

    @asynccontextmanager
    async def producing(self) -> AsyncGenerator[None]:
        """Items, repeats and poison come in while the block runs; at its end every record is acknowledged."""
        producer = Producer(self.deployment.kafka, self.plan, self.ledger)
        async with asyncio.TaskGroup() as group:
            work = group.create_task(producer.run())
            yield
            producer.stop()
            await work

    @asynccontextmanager
    async def answering(self) -> AsyncGenerator[None]:
        """People take and answer tasks while the block runs; at its end every answer of theirs is settled."""
        closing = asyncio.Event()
        draws = [random.Random(f"{self.plan.seed} {one.name} {len(self.ledger.sent)}") for one in self.plan.people]
        desks = [
            Desk(one, self._tokens[one.name], lambda: [self.deployment.url], self.ledger, draw)
            for one, draw in zip(self.plan.people, draws, strict=True)
        ]
        async with asyncio.TaskGroup() as group:
            work = [group.create_task(Annotator(desk, self.plan).work(closing)) for desk in desks]
            yield
            closing.set()
            for person in work:
                await person

    async def labels(self) -> dict[tuple[str, int], UUID]:
        """(item, version) -> event id of its label, as your consumers read them; each stands there once."""
        found: dict[tuple[str, int], UUID] = {}
        async for one in read_events(self.deployment.kafka, LABELS):
            label = one.event
            if found.setdefault((label.item_id, label.version), label.event_id) != label.event_id:
                raise Failed(f"{label.item_id} has two labels of version {label.version}")
        return found

    async def until_rest(self) -> dict[str, Any]:
        """The audit's report, once it finds that everything sent has come to its end.

        Raises:
            Failed: it never does; holds the last report.
        """
        deadline = time.monotonic() + REST_S
        while True:
            report = await asyncio.to_thread(self.deployment.operator, "audit", "--at-rest", check=False)
            if report and report["open"] == 0:
                return report
            if time.monotonic() > deadline:
                plain = await asyncio.to_thread(self.deployment.operator, "audit")
                raise Failed(f"not at rest after {REST_S:.0f} s: {plain}")
            await asyncio.sleep(2)

    async def prove(self, report: dict[str, Any], before: dict[tuple[str, int], UUID]) -> Proven:
        """That the deployment holds what the outside was promised; `before` are the labels from before it was down.

        Raises:
            Failed: it does not; names all that is wrong.
        """
        labels, ledger = await self.labels(), self.ledger
        items, poison = ledger.items(), ledger.poison()
        wrong = [*ledger.breaches, *(f"no answer for lease {lease}" for lease in ledger.unsettled)]
        ended = {name: report[name] for name in ("labelled", "sampled_out", "unlabelable", "unresolved")}
        if sum(ended.values()) != len(items):
            wrong.append(f"{len(items)} items were acknowledged, {ended} have come to an end")
        told = len({item for item, _ in labels})
        doubted = ended["unresolved"] + ended["unlabelable"]  # one that had a label may end so in a further round
        if not ended["labelled"] <= told <= ended["labelled"] + doubted:
            wrong.append(f"of {len(items)} items {told} have labels in the topic; how they ended: {ended}")
        if changed := [key for key, event_id in before.items() if labels.get(key) != event_id]:
            wrong.append(f"{len(changed)} labels are not what they were before compose down: {changed[:3]}")
        wrong += await self._answers() + await self._letters([sent.sequence for sent, _ in poison])
        if report["violations"] or wrong:
            raise Failed("; ".join([*wrong, f"the audit finds {report['by_check']}: {report['found'][:3]}"]))
        repeats = sum(sent.kind == "repeat" for sent in ledger.acknowledged())
        counts = (len(items), repeats, len(poison), len(ledger.receipts), len(labels))
        return Proven(*counts, by_path=report["by_path"], records=report["records"])

    async def _answers(self) -> list[str]:
        """Accepted answers and annotations are the same."""
        receipts = {one.annotation_id for one in self.ledger.receipts.values()}
        held = {
            one.event.annotation_id
            async for one in read_events(self.deployment.kafka, ANNOTATIONS)
            if one.event.outcome is not Outcome.EXHAUSTED
        }
        lost, extra = receipts - held, held - receipts
        return [f"{len(lost)} accepted answers are lost, {len(extra)} are nobody's"] if lost or extra else []

    async def _letters(self, poison: Sequence[int]) -> list[str]:
        """Every bad record has a dead letter, and no other has one."""
        letters: set[int] = set()
        for topic in TOPICS:
            if topic.dlq_owner is not None:
                for letter in await read_all(self.deployment.kafka, topic.dlq):
                    letters.add(int(header(original(letter).headers, SEQUENCE) or -1))
        missing, extra = set(poison) - letters, letters - set(poison)
        return (
            [f"{len(missing)} bad records have no dead letter, {len(extra)} good ones have"] if missing or extra else []
        )


async def run(traffic: Traffic, stop: Any, restart: Any, *, seconds: float) -> Proven:
    """Load; the services drain under load; everything goes down and comes up again; load; rest; proof.

    Args:
        traffic: prepared.
        stop: drains the services; called in a thread while items come in.
        restart: takes everything down and up again; called in a thread while nothing comes in.
        seconds: of each load.
    """
    async with traffic.answering(), traffic.producing():
        await asyncio.sleep(seconds)
    say(f"{len(traffic.ledger.items())} items sent, {len(traffic.ledger.receipts)} answers accepted")
    async with traffic.producing():
        await asyncio.sleep(2)
        await asyncio.to_thread(stop)
        await asyncio.sleep(3)
    before = await traffic.labels()
    say(f"{len(traffic.ledger.items())} items sent, {len(before)} labels out; now everything goes down")
    await asyncio.to_thread(restart)
    async with traffic.answering():
        async with traffic.producing():
            await asyncio.sleep(seconds)
        say(f"{len(traffic.ledger.items())} items sent; waiting for rest")
        report = await traffic.until_rest()
    report = await traffic.until_rest()  # the people's last answers too
    return await traffic.prove(report, before)
