"""Simulated annotators over HTTP: the seed and what they see decide what they answer; and they misbehave."""

import asyncio
import hashlib
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx

from tests.e2e.world.faults import READY_WITHIN_S
from tests.e2e.world.ledger import Ledger
from tests.e2e.world.plan import CLASSES, Person, Plan, truth_of

AT_ONCE = 4
IDLE_S = 0.2
THINK_S = 0.02
UNANSWERED_S = 5.0
RETRY_S = 0.2
GIVE_UP_S = 2 * READY_WITHIN_S
"""Faults of one target come one after the other, and a call may have to wait out two recoveries."""
LATE_S = 0.7
REFUSED_LATE = frozenset({"lease_expired"})
Task = Mapping[str, Any]


def draw(*cause: object) -> float:
    """A uniform number in [0, 1) that the cause decides."""
    digest = hashlib.sha256("\x1f".join(map(str, cause)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def answer_of(person: Person, feature: float, seed: int) -> str:
    """What a person says of an item: the same item always gets the same answer."""
    truth = truth_of(feature)
    if draw(seed, person.name, feature, "right") < person.accuracy:
        return truth
    others = [name for name in CLASSES if name != truth]
    return others[int(draw(seed, person.name, feature, "which") * len(others))]


@dataclass(slots=True)
class Submit:
    """One answer as it goes out, and as it goes out again."""

    lease_id: UUID
    path: str
    body: dict[str, Any]
    key: str | None


@dataclass(slots=True)
class Desk:
    """One person's connection to any replica of the assignment service; calls are repeated until they are answered."""

    person: Person
    token: str
    urls: Callable[[], Sequence[str]]
    ledger: Ledger
    draw: random.Random
    client: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.AsyncClient(
            headers={"authorization": f"Bearer {self.token}"}, timeout=UNANSWERED_S, trust_env=False
        )

    async def once(self, path: str, body: Mapping[str, Any], key: str | None = None) -> httpx.Response | None:
        """One attempt; None where no answer came, or one that says "not now"."""
        headers = {"idempotency-key": key} if key is not None else {}
        try:
            found = await self.client.post(self.draw.choice(self.urls()) + path, json=body, headers=headers)
        except httpx.HTTPError as error:
            self.ledger.refusals[type(error).__name__] += 1
            return None
        if found.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            self.ledger.refusals[str(found.status_code)] += 1
            if found.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                self.ledger.breach(f"{path} answered {found.status_code}: {found.text[:200]}")
            return None
        return found

    async def until_answered(self, submit: Submit) -> httpx.Response | None:
        """The same request with the same key, again and again: whether the first one counted is not known."""
        self.ledger.unsettled[submit.lease_id] = self.person.name
        deadline = time.monotonic() + GIVE_UP_S
        while (found := await self.once(submit.path, submit.body, submit.key)) is None:
            self.ledger.behaviour["retried"] += 1
            if time.monotonic() > deadline:
                self.ledger.breach(f"{self.person.name} got no answer to {submit.path} in {GIVE_UP_S:.0f} s")
                return None
            await asyncio.sleep(RETRY_S)
        self.ledger.unsettled.pop(submit.lease_id, None)
        return found


class Annotator:
    """One person at work."""

    def __init__(self, desk: Desk, plan: Plan) -> None:
        self._desk = desk
        self._ledger = desk.ledger
        self._plan = plan
        self._person = desk.person
        self._waiting: set[asyncio.Task[None]] = set()

    async def work(self, closing: asyncio.Event) -> None:
        """Take and answer tasks until `closing`; returns when every answer of theirs is settled."""
        async with self._desk.client:
            while not closing.is_set():
                for task in await self._take():
                    await asyncio.sleep(THINK_S)
                    await self._do(task)
            for late in list(self._waiting):
                await late

    async def _take(self) -> Sequence[Task]:
        found = await self._desk.once("/v1/next", {"count": AT_ONCE})
        if found is not None and found.is_success:
            tasks: Sequence[Task] = found.json()["tasks"]
            if tasks:
                return tasks
        elif found is not None:
            self._ledger.refusals[found.json().get("code", str(found.status_code))] += 1
        await asyncio.sleep(IDLE_S)
        return ()

    async def _do(self, task: Task) -> None:
        """What a person does with a task."""
        person, chance = self._person, self._desk.draw.random()
        for name in ("vanish", "late", "skip", "renew", "forge", "twice"):
            chance -= getattr(person, name)
            if chance < 0:
                self._ledger.behaviour[name] += 1
                await getattr(self, f"_{name}")(task)
                return
        await self._submit(self._answer(task))

    def _answer(self, task: Task, choice: str | None = None) -> Submit:
        lease = task["lease_id"]
        chosen = choice or answer_of(self._person, task["content"]["features"][0], self._plan.seed)
        body = {"value": {"kind": "choice", "choice": chosen}, "duration_ms": 1200}
        if self._desk.draw.random() < 0.5:  # both ways to answer are used
            return Submit(UUID(lease), f"/v1/leases/{lease}/submit", body, f"{self._person.name}/{lease}")
        batch = {"submissions": [{"lease_id": lease, **body}]}
        return Submit(UUID(lease), "/v1/submit", batch, f"{self._person.name}/{lease}")

    async def _submit(self, submit: Submit) -> tuple[dict[str, Any] | None, str]:
        """Submit and note what came: the receipt, or the code of the problem."""
        found = await self._desk.until_answered(submit)
        return (None, "unanswered") if found is None else self._note(found)

    def _note(self, found: httpx.Response) -> tuple[dict[str, Any] | None, str]:
        body = found.json()
        if "results" in body:
            (result,) = body["results"]
            receipt, problem = result["receipt"], result["problem"]
        else:
            receipt, problem = (body, None) if found.is_success else (None, body)
        if receipt is None:
            self._ledger.refusals[problem["code"]] += 1
            return None, problem["code"]
        self._ledger.accepted(self._person.name, receipt)
        return receipt, ""

    async def _vanish(self, _: Task) -> None:
        """The lease runs out, and somebody else gets the task."""

    async def _twice(self, task: Task) -> None:
        """The same answer again, with the same key or without one: the same receipt."""
        submit = self._answer(task)
        first, _ = await self._submit(submit)
        submit.key = submit.key if self._desk.draw.random() < 0.5 else None
        again, code = await self._submit(submit)
        if first is not None and again != first:
            self._ledger.breach(f"lease {submit.lease_id}: repeated, {first} became {again or code}")

    async def _forge(self, task: Task) -> None:
        """Another answer to what is answered: refused, the first one stands."""
        submit = self._answer(task)
        first, _ = await self._submit(submit)
        if first is None:
            return
        said = answer_of(self._person, task["content"]["features"][0], self._plan.seed)
        forged = self._answer(task, next(name for name in CLASSES if name != said))
        forged.key = f"{forged.key}/forged"
        second, code = await self._submit(forged)
        if second is not None or code != "lease_finished":
            self._ledger.breach(f"lease {submit.lease_id}: a second answer got {second or code}")

    async def _skip(self, task: Task) -> None:
        lease = task["lease_id"]
        body = {"reason": "unclear", "comment": "I cannot tell"}
        await self._submit(Submit(UUID(lease), f"/v1/leases/{lease}/skip", body, f"{self._person.name}/{lease}"))

    async def _renew(self, task: Task) -> None:
        """Renew, wait beyond the first end, and answer."""
        lease = task["lease_id"]
        await asyncio.sleep(self._plan.policy.lease_s / 4)
        await self._desk.once(f"/v1/leases/{lease}/renew", {})
        await self._submit(self._answer(task))

    async def _late(self, task: Task) -> None:
        """Answer after the lease has run out, beside other work: refused."""
        late = asyncio.create_task(self._too_late(task))
        self._waiting.add(late)
        late.add_done_callback(self._waiting.discard)

    async def _too_late(self, task: Task) -> None:
        await asyncio.sleep(self._plan.policy.lease_s + LATE_S)
        receipt, code = await self._submit(self._answer(task))
        if receipt is not None or code not in REFUSED_LATE:
            self._ledger.breach(f"lease {task['lease_id']}: answered {LATE_S} s after its end, got {receipt or code}")
