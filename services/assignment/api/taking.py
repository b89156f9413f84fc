"""Handing out tasks: claim, mix in gold, lease, render."""

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from services.assignment.api.desk import Desk
from services.assignment.api.identity import Principal
from services.assignment.api.problems import Problem, forbidden, project_unknown
from services.assignment.api.schemas import NextRequest
from services.assignment.domain.aggregate import Round
from services.assignment.domain.draws import draw, is_blind, is_gold
from services.assignment.domain.lifecycle import unblock
from services.assignment.handlers.deciding import publish
from services.assignment.store.items import get_contents
from services.assignment.store.leases import Grant, count_held, grant, list_gold_seen
from services.assignment.store.people import Person
from services.assignment.store.rounds import BEGUN_ALL, BEGUN_FIRST, UNTOUCHED, claim, count_steps
from shared.bus.references import CurrentProject
from shared.bus.unit import Unit
from shared.events import Audience, GoldItem, ProjectSpec

FUTILE_S = 2.0
"""How long a search over all begun rounds that found nothing is not repeated for the same person."""
FUTILE_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class Handed:
    """A task about to be leased. `asked` is None for gold."""

    id: UUID
    asked: Round | None
    gold: GoldItem | None
    content: str
    spec: ProjectSpec
    project_version: int
    blind: bool


class Taking:
    """POST /v1/next."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._futile: dict[tuple[str, str, Audience], float] = {}

    async def take(self, principal: Principal, request: NextRequest) -> bytes:
        """Lease up to `count` tasks; the response's JSON.

        Raises:
            Problem: 403 for somebody in quarantine, 404 for an unknown project, 409 beyond the limit of leases.
        """
        person = principal.person
        if person is None:
            raise forbidden("Only a person can be given tasks.")
        audience = self._audience(principal, request)
        projects = self._projects(person, request.project)
        async with self._desk.service.unit() as unit:
            held = await count_held(unit.connection, person.id)
            wanted = min(request.count, self._desk.settings.max_held_leases - held)
            if wanted <= 0:
                raise Problem(409, "too_many_leases", f"You hold {held} leases.", "Answer, skip or let some run out.")
            tasks: list[dict[str, Any]] = []
            for project in projects:
                if len(tasks) < wanted:
                    tasks += await self._from_project(unit, person, project, audience, wanted - len(tasks))
        briefs = {name: self._brief(name) for name in {task["project"] for task in tasks}}
        return json.dumps({"tasks": tasks, "projects": briefs}, ensure_ascii=False).encode("utf-8", "replace")

    def _audience(self, principal: Principal, request: NextRequest) -> Audience:
        own = principal.audience
        if request.audience is Audience.EXPERT and own is not Audience.EXPERT:
            raise forbidden("The experts' queue is for experts.")
        return request.audience or own

    def _projects(self, person: Person, wanted: str | None) -> list[CurrentProject]:
        """Where to look, in an order that favours no project."""
        if wanted is None:
            found = [p for p in self._desk.references.projects.all() if person.may_work_in(p.project_id)]
            secrets.SystemRandom().shuffle(found)
            return found
        project = self._desk.project(wanted)
        if project is None or (person.projects is not None and wanted not in person.projects):
            raise project_unknown(wanted)
        if not person.may_work_in(wanted):
            raise Problem(403, "quarantined", "You are not asked in this project for now.", "Talk to its lead.")
        return [project]

    async def _from_project(
        self, unit: Unit, person: Person, project: CurrentProject, audience: Audience, count: int
    ) -> list[dict[str, Any]]:
        claimed = await self._claim(unit, person.id, project.project_id, audience, count)
        if not claimed:
            return []
        handed = await self._hand(unit, person, project, claimed)
        lease_s = project.spec.policy.lease_s
        grants = [_grant(one, person.id, audience, lease_s) for one in handed]
        given = await grant(unit.connection, grants)
        woken = {one.asked.id: one.asked for one in handed if one.id in given and one.asked and one.asked.blocked_at}
        if woken:
            await self._wake(unit, list(woken.values()))
        self._desk.metrics.leases.labels(project.project_id, "granted").inc(len(given))
        return [_render(one, project.project_id, given[one.id]) for one in handed if one.id in given]

    async def _claim(
        self, unit: Unit, annotator_id: str, project_id: str, audience: Audience, count: int
    ) -> list[Round]:
        """Begun rounds near the front, then untouched ones; the rest of the begun ones where there is nothing else."""
        found: dict[int | None, Round] = {}
        for statement in (BEGUN_FIRST, UNTOUCHED):
            if len(found) < count:
                rounds = await claim(
                    unit.connection, statement, project_id, audience, annotator_id, limit=count - len(found)
                )
                found |= {one.id: one for one in rounds}
        place, now = (annotator_id, project_id, audience), time.monotonic()
        if not found and self._futile.get(place, 0.0) <= now:
            rounds = await claim(unit.connection, BEGUN_ALL, project_id, audience, annotator_id, limit=count)
            found |= {one.id: one for one in rounds}
            if not found:
                if len(self._futile) >= FUTILE_LIMIT:
                    self._futile.clear()
                self._futile[place] = now + FUTILE_S
        return list(found.values())

    async def _hand(
        self, unit: Unit, person: Person, project: CurrentProject, claimed: Sequence[Round]
    ) -> list[Handed]:
        """Turn claimed rounds into tasks; a drawn share of them into gold, and that round stays in the queue."""
        policy = project.spec.policy
        ids = [uuid4() for _ in claimed]
        gold = await self._gold(unit, person.id, project, [one for one in ids if is_gold(policy.gold.share, one)])
        contents = await get_contents(unit.connection, ((r.project_id, r.item_id) for r in claimed))
        handed = []
        for lease_id, asked in zip(ids, claimed, strict=True):
            golden = gold.get(lease_id)
            content = contents.get((asked.project_id, asked.item_id))
            if golden is not None:
                text = golden.content.model_dump_json(exclude_none=True)
                blind = is_blind(policy.blind_share, project.project_id, golden.item_id, person.id)
                handed.append(Handed(lease_id, None, golden, text, project.spec, project.version, blind))
            elif content is not None:
                handed.append(self._of_round(lease_id, asked, content, project, person.id))
        return handed

    def _of_round(self, lease_id: UUID, asked: Round, content: str, project: CurrentProject, who: str) -> Handed:
        spec = self._desk.references.projects.spec(asked.project_id, asked.project_version)
        share = (spec or project.spec).policy.blind_share
        blind = asked.would_auto or is_blind(share, asked.project_id, asked.item_id, who)
        version = asked.project_version if spec is not None else project.version
        return Handed(lease_id, asked, None, content, spec or project.spec, version, blind)

    async def _gold(
        self, unit: Unit, annotator_id: str, project: CurrentProject, leases: Sequence[UUID]
    ) -> dict[UUID, GoldItem]:
        """A gold item that the person has not had for each of these leases, as far as there are any."""
        known = self._desk.references.gold_items.of(project.project_id)
        if not leases or not known:
            return {}
        seen = await list_gold_seen(unit.connection, annotator_id, project.project_id)
        left = [one for one in known if one.item_id not in seen]
        left.sort(key=lambda one: draw("gold order", annotator_id, one.project_id, one.item_id))
        return dict(zip(leases, left, strict=False))

    async def _wake(self, unit: Unit, blocked: Sequence[Round]) -> None:
        """Rounds that were blocked are queued again: somebody has just taken them."""
        for asked in blocked:
            _, route = unblock(asked, unit.now)
            publish((route,), unit, self._desk.metrics)
        await count_steps(unit.connection, [asked.id or 0 for asked in blocked])

    def _brief(self, project_id: str) -> dict[str, Any]:
        project = self._desk.project(project_id)
        version = self._desk.references.guidelines.current(project_id)
        guideline = self._desk.references.guidelines.version(project_id, version) if version else None
        return {
            "title": project.spec.title if project is not None else "",
            "instructions": project.spec.instructions if project is not None else "",
            "guideline_version": version,
            "guideline": guideline.markdown if guideline is not None else "",
        }


def _grant(one: Handed, annotator_id: str, audience: Audience, lease_s: float) -> Grant:
    if one.gold is not None:
        key, number, round_id = (one.gold.project_id, one.gold.item_id), 1, None
    elif one.asked is not None:
        key, number, round_id = (one.asked.project_id, one.asked.item_id), one.asked.number, one.asked.id
    else:
        raise ValueError("a task is a round or gold")
    return Grant(one.id, round_id, key, number, annotator_id, audience, one.blind, lease_s)


def _render(one: Handed, project_id: str, given: tuple[int, Any]) -> dict[str, Any]:
    """A task as JSON. The same keys for gold and for the stream: nothing tells them apart."""
    guess = one.asked.guess if one.asked is not None and not one.blind else None
    proposal = None
    if guess is not None and guess.value is not None:
        proposal = {"value": guess.value.model_dump(mode="json"), "confidence": guess.confidence}
    return {
        "lease_id": str(one.id),
        "fencing_token": given[0],
        "expires_at": given[1].isoformat(),
        "project": project_id,
        "project_version": one.project_version,
        "content": json.loads(one.content),
        "label": one.spec.label.model_dump(mode="json"),
        "proposal": proposal,
    }
