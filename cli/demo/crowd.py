"""The simulated annotators at work: each a client of the HTTP API with a token of their own."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from cli.api import Api
from cli.demo.people import PEOPLE, Person, answer, draw

AT_ONCE = 4
LOOK_S = 0.004
IDLE_S = 0.25
FASTEST_MS, SLOWEST_MS = 700, 6000


class Crowd:
    """Everybody who works on the demo.

    Args:
        url: of the assignment service.
        truths: what a picture's data show; people see nothing else of it.
        seed: of their mistakes.
    """

    def __init__(self, url: str, truths: Mapping[str, str], *, seed: int) -> None:
        self._url = url
        self._truths = truths
        self._seed = seed
        self._tokens: dict[str, str] = {}

    async def hire(self, admin: Api, project: str) -> None:
        """Register everybody; each gets a token."""
        wanted = [{"id": one.name, "role": one.role, "projects": [project]} for one in PEOPLE]
        added = await admin.post("/v1/annotators", {"annotators": wanted})
        self._tokens = {one["id"]: one["token"] for one in added["results"]}

    async def work(self) -> None:
        """Answer whatever comes, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for person in PEOPLE:
                group.create_task(self._sit(person))

    async def _sit(self, person: Person) -> None:
        async with Api(self._url, self._tokens[person.name], connections=1) as desk:
            while True:
                given = await desk.post("/v1/next", {"count": AT_ONCE})
                tasks: Sequence[Mapping[str, Any]] = given["tasks"]
                if not tasks:
                    await asyncio.sleep(IDLE_S)
                    continue
                await asyncio.sleep(LOOK_S * len(tasks))
                submissions = [self._answer(person, task) for task in tasks]
                key = f"{person.name}/{tasks[0]['lease_id']}"
                await desk.post("/v1/submit", {"submissions": submissions}, key=key)

    def _answer(self, person: Person, task: Mapping[str, Any]) -> dict[str, Any]:
        seen: str = task["content"]["data"]
        chosen = answer(person, seen, self._truths[seen], seed=self._seed)
        pace = draw(self._seed, person.name, seen, "pace")
        return {
            "lease_id": task["lease_id"],
            "value": {"kind": "choice", "choice": chosen},
            "duration_ms": round(FASTEST_MS + pace * (SLOWEST_MS - FASTEST_MS)),
        }
