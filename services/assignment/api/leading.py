"""What leads do: see the queue, act on behalf of people, end rounds, follow progress."""

import base64
import binascii
import struct
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID, uuid4

from pydantic import TypeAdapter

from services.assignment.api.choosing import Choosing
from services.assignment.api.desk import Desk
from services.assignment.api.identity import Principal
from services.assignment.api.problems import Problem
from services.assignment.api.schemas import (
    Assignment,
    AssignResult,
    ExhaustResult,
    HistoryLease,
    HistoryRound,
    ItemView,
    OpenSlot,
    Progress,
    SlotsRequest,
    SlotsResponse,
    Suggestion,
)
from services.assignment.domain.aggregate import Aggregate, Round
from services.assignment.domain.draws import is_blind
from services.assignment.domain.golden import blind_share
from services.assignment.domain.leases import Lease
from services.assignment.domain.lifecycle import granted, unblock
from services.assignment.domain.states import fill_open
from services.assignment.handlers.deciding import exhaust, pinned_of, publish
from services.assignment.jobs import record
from services.assignment.store.audit import LogLine
from services.assignment.store.items import get_contents, get_item, sum_tallies
from services.assignment.store.lanes import list_lanes
from services.assignment.store.leases import Grant, grant, list_of_item
from services.assignment.store.people import Person, get_people
from services.assignment.store.rounds import (
    Slot,
    count_states,
    count_steps,
    list_rounds,
    list_slots,
    lock_open,
    write_rounds,
)
from shared.events import Audience, Content

CONTENT: TypeAdapter[Content] = TypeAdapter(Content)
CURSOR = struct.Struct(">?dq")
DUPLICATES = "duplicates"


class Leading:
    """The lead's endpoints. The caller has been checked for the project."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._choosing = Choosing(desk)

    async def slots(self, project_id: str, request: SlotsRequest) -> SlotsResponse:
        """Open slots in queue order."""
        after = _cursor(request.after) if request.after is not None else None
        async with self._desk.service.database.transaction() as connection:
            own = request.audience.value
            lanes = (await list_lanes(connection)).get(project_id, [])
            queues = [own, *(lane for lane in lanes if lane.startswith(f"{own}:"))]
            found = await list_slots(connection, project_id, queues, request.limit, after)
        page = [
            OpenSlot(
                item_id=one.item_id,
                round=one.number,
                audience=Audience(one.audience),
                free=one.free,
                taken_by=list(one.taken_by),
            )
            for one in found
        ]
        return SlotsResponse(slots=page, next=_mark(found[-1]) if len(found) == request.limit else None)

    async def assign(
        self, principal: Principal, project_id: str, assignments: Sequence[Assignment]
    ) -> list[AssignResult]:
        """Lease on behalf: each element is granted, or refused with a reason."""
        project = self._desk.project(project_id)
        assignments = await self._choosing.settle(project_id, assignments)
        lease_s = project.spec.policy.lease_s if project is not None else 0.0
        async with self._desk.service.unit() as unit:
            people = await get_people(unit.connection, list({one.annotator_id for one in assignments}))
            rounds = await lock_open(unit.connection, project_id, [one.item_id for one in assignments])
            woken = [asked for asked in rounds.values() if asked.blocked_at is not None]
            planned: list[Grant | Problem] = []
            for one in assignments:
                plan = self._plan(people.get(one.annotator_id), rounds.get(one.item_id), project_id, lease_s)
                if isinstance(plan, Grant):
                    rounds[one.item_id] = granted(rounds[one.item_id], plan.role)
                planned.append(plan)
            given = await grant(unit.connection, [plan for plan in planned if isinstance(plan, Grant)])
            woken = [asked for asked in woken if rounds[asked.item_id].granted > asked.granted]
            publish([unblock(asked, unit.now)[1] for asked in woken], unit, self._desk.metrics)
            if woken:
                await count_steps(unit.connection, [asked.id or 0 for asked in woken])
            results = [_assigned(one, plan, given) for one, plan in zip(assignments, planned, strict=True)]
            await record(unit, [_assign_line(principal, project_id, one) for one in results])
        self._desk.metrics.leases.labels(project_id, "granted").inc(len(given))
        return results

    def _plan(self, person: Person | None, asked: Round | None, project_id: str, lease_s: float) -> Grant | Problem:
        works = person is not None and person.may_work_in(project_id) and person.role in set(Audience)
        if person is None or not works:
            return Problem(409, "annotator_unavailable", "Nobody of this id may work here.", "Add or reinstate them.")
        if asked is None:
            return Problem(409, "not_open", "The item has no open round.", "Take an item from the slots.")
        if asked.audience is Audience.EXPERT and person.role != Audience.EXPERT:
            return Problem(409, "wrong_audience", "The round waits for an expert.", "Assign it to an expert.")
        if asked.free == 0:
            return Problem(409, "no_free_slot", "Every opinion wanted is given or under way.", "Take another item.")
        if person.id in asked.excluded:
            return _taken()
        spec = self._desk.references.projects.spec(project_id, asked.project_version)
        project = self._desk.project(project_id)
        gold = self._desk.gold_share(project) if project is not None else 0.0
        share = blind_share(spec.policy_of(asked.slice), gold) if spec is not None else gold
        blind = asked.would_auto or is_blind(share, project_id, asked.item_id, person.id)
        key = (project_id, asked.item_id)
        return Grant(uuid4(), asked.id, key, asked.number, person.id, asked.audience, blind, lease_s)

    async def exhaust(self, principal: Principal, project_id: str, item_ids: Sequence[str]) -> list[ExhaustResult]:
        """End open rounds now with what there is: qc is told that nobody is left."""
        async with self._desk.service.unit() as unit:
            rounds = await lock_open(unit.connection, project_id, item_ids)
            ended: dict[str, Round] = {}
            for item_id, asked in rounds.items():
                pinned = pinned_of(asked, self._desk.references, unit.now)
                if not asked.exhausted and pinned is not None:
                    ended[item_id] = exhaust(asked, pinned, unit, self._desk.metrics)
            if ended:
                await write_rounds(unit.connection, list(ended.values()))
            results = [_exhausted(item_id, rounds.get(item_id), item_id in ended) for item_id in item_ids]
            lines = [LogLine(principal.id, "exhaust", one.status, one.item_id, project_id) for one in results]
            await record(unit, lines)
        return results

    async def progress(self, project_id: str) -> Progress:
        """Items by state."""
        async with self._desk.service.database.transaction() as connection:
            totals = {name: n for (_, name), n in (await sum_tallies(connection, project_id)).items()}
            counted = {name: n for (_, name), n in (await count_states(connection, project_id)).items()}
        found = fill_open(totals, counted)
        return Progress(
            project=project_id, items=sum(found.values()), states=found, duplicates=totals.get(DUPLICATES, 0)
        )

    async def item(self, project_id: str, item_id: str) -> ItemView:
        """State and history of one item.

        Raises:
            Problem: 404.
        """
        key = (project_id, item_id)
        async with self._desk.service.database.transaction() as connection:
            known = await get_item(connection, *key)
            if known is None:
                raise Problem(404, "item_unknown", "The project has no such item.", "Check the item's id.")
            rounds = await list_rounds(connection, *key)
            leases = await list_of_item(connection, *key)
            contents = await get_contents(connection, [key])
        latest = next((one for one in rounds if one.number == known.round), None)
        guess = known.guess and known.guess.named(self._desk.references.projects.names(known.project_id))
        return _view(known._replace(asked=latest, guess=guess), rounds, leases, contents.get(key))


def _taken() -> Problem:
    return Problem(
        409, "already_taken", "The person has or had this item, or is excluded from it.", "Choose somebody else."
    )


def _assigned(one: Assignment, plan: Grant | Problem, given: Mapping[UUID, tuple[int, datetime]]) -> AssignResult:
    result = AssignResult(item_id=one.item_id, annotator_id=one.annotator_id)
    if isinstance(plan, Problem):
        return result.model_copy(update={"problem": plan.body()})
    if plan.id not in given:
        return result.model_copy(update={"problem": _taken().body()})
    token, expires_at = given[plan.id]
    return result.model_copy(update={"lease_id": plan.id, "fencing_token": token, "expires_at": expires_at})


def _assign_line(principal: Principal, project_id: str, one: AssignResult) -> LogLine:
    outcome = "done" if one.problem is None else one.problem.code
    return LogLine(principal.id, "assign", outcome, one.annotator_id, project_id, one.lease_id)


def _exhausted(item_id: str, asked: Round | None, now: bool) -> ExhaustResult:
    if asked is None:
        return ExhaustResult(item_id=item_id, round=None, status="not_open")
    return ExhaustResult(item_id=item_id, round=asked.number, status="exhausted" if now else "already_exhausted")


def _mark(slot: Slot) -> str:
    return base64.urlsafe_b64encode(CURSOR.pack(slot.started, slot.priority, slot.round_id)).decode()


def _cursor(text: str) -> tuple[bool, float, int]:
    try:
        started, priority, last = CURSOR.unpack(base64.urlsafe_b64decode(text))
    except (binascii.Error, struct.error, ValueError) as error:
        raise Problem(422, "invalid_cursor", "body.after is no cursor of ours.", "Send `next` of a page.") from error
    return started, priority, last


def _view(known: Aggregate, rounds: Sequence[Round], leases: Sequence[Lease], content: str | None) -> ItemView:
    guess = known.guess
    return ItemView(
        project=known.project_id,
        item_id=known.item_id,
        state=known.state.value,
        round=known.round,
        label_version=known.label_version,
        created_at=known.created_at,
        content=CONTENT.validate_json(content) if content is not None else None,
        proposal=Suggestion(value=guess.value, confidence=guess.confidence or 0.0) if guess and guess.value else None,
        rounds=[_round_view(one) for one in rounds],
        leases=[
            HistoryLease(
                lease_id=one.id,
                annotator_id=one.annotator_id,
                role=one.role,
                round=one.round,
                state=one.state.value,
                late=one.late,
                granted_at=one.granted_at,
                ended_at=one.ended_at,
            )
            for one in leases
        ],
    )


def _round_view(one: Round) -> HistoryRound:
    return HistoryRound(
        round=one.number,
        audience=one.audience,
        state="ended" if one.ended else one.state.value,
        reason=one.reason,
        opinions_wanted=one.wanted,
        answered=one.answered,
        skipped=one.skipped,
        active=one.active,
        priority=one.priority,
        would_auto=one.would_auto,
        inclusion_probability=one.inclusion,
        project_version=one.project_version,
        guideline_version=one.guideline_version,
    )
