"""Endpoints about people: administrators add them and give tokens; leads may quarantine in their projects."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from services.assignment.api.desk import Desk
from services.assignment.api.identity import (
    ADMINS,
    BOOTSTRAP,
    LEADERS,
    Principal,
    Role,
    bearer,
    check_project,
    hash_token,
    new_token,
    requires,
)
from services.assignment.api.problems import Problem, forbidden
from services.assignment.api.schemas import (
    AddedAnnotator,
    AnnotatorList,
    AnnotatorsRequest,
    AnnotatorsResponse,
    AnnotatorView,
    NewAnnotator,
    Profile,
    QuarantineRequest,
    TokenResponse,
)
from services.assignment.jobs import record
from services.assignment.store.audit import LogLine
from services.assignment.store.measurements import end_restraints
from services.assignment.store.people import (
    EVERYWHERE,
    NewPerson,
    Person,
    add_people,
    clear_quarantines,
    get_people,
    list_people,
    set_profile,
    set_quarantines,
    set_token,
)
from services.assignment.store.people import Profile as Stored
from shared.bus.unit import Unit
from shared.events import Quality, Quarantine
from shared.events.base import Name
from shared.topics import QUALITY

PAGE = 1000


def admin_routes(desk: Desk) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/v1/annotators", tags=["people"], dependencies=[Depends(bearer)])
    Admin = Annotated[Principal, Depends(requires(desk.identities, ADMINS))]  # noqa: N806  # a type
    Leader = Annotated[Principal, Depends(requires(desk.identities, LEADERS))]  # noqa: N806  # a type

    @router.post("", summary="Add people; their tokens are shown once")
    async def add(admin: Admin, body: AnnotatorsRequest) -> AnnotatorsResponse:
        return AnnotatorsResponse(results=await _add(desk, admin, body.annotators))

    @router.get("", summary="List people")
    async def people(
        leader: Leader,
        after: Annotated[str, Query(max_length=200)] = "",
        limit: Annotated[int, Query(ge=1, le=PAGE)] = PAGE,
    ) -> AnnotatorList:
        async with desk.service.database.transaction() as connection:
            found = await list_people(connection, after, limit, leader.projects)
        seen = [_view(person) for person in found]
        return AnnotatorList(annotators=seen, next=found[-1].id if len(found) == limit else None)

    @router.post("/{annotator_id:path}/token", summary="Give a new token; the old one stops working")
    async def token(admin: Admin, annotator_id: Name) -> TokenResponse:
        fresh = new_token()
        async with desk.service.unit() as unit:
            await _governed(unit, admin, annotator_id)
            if not await set_token(unit.connection, annotator_id, hash_token(fresh)):
                raise _unknown(annotator_id)
            await record(unit, [LogLine(admin.id, "token", "done", annotator_id)])
        desk.identities.forget()
        return TokenResponse(id=annotator_id, token=fresh)

    @router.put("/{annotator_id:path}/profile", summary="Say what a person can do, and how much of it")
    async def profile(admin: Admin, annotator_id: Name, body: Profile) -> AnnotatorView:
        stored = Stored(body.languages, body.groups, body.max_open, body.daily_answers)
        async with desk.service.unit() as unit:
            await _governed(unit, admin, annotator_id)
            if not await set_profile(unit.connection, annotator_id, stored):
                raise _unknown(annotator_id)
            await record(unit, [LogLine(admin.id, "profile", "done", annotator_id)])
            person = (await get_people(unit.connection, [annotator_id]))[annotator_id]
        desk.identities.forget()
        return _view(person)

    @router.post("/{annotator_id:path}/quarantine", summary="Stop asking a person")
    async def quarantine(leader: Leader, annotator_id: Name, body: QuarantineRequest) -> AnnotatorView:
        return await _mark(desk, leader, annotator_id, body, active=True)

    @router.post("/{annotator_id:path}/reinstate", summary="Ask a person again")
    async def reinstate(leader: Leader, annotator_id: Name, body: QuarantineRequest) -> AnnotatorView:
        return await _mark(desk, leader, annotator_id, body, active=False)

    return router


async def _add(desk: Desk, admin: Principal, asked: list[NewAnnotator]) -> list[AddedAnnotator]:
    if not all(_governs(admin, one.projects) for one in asked):
        raise forbidden("You add people to your projects; name them.")
    tokens = {one.id: new_token() for one in asked if one.token}
    rows = [
        NewPerson(
            id=one.id,
            name=one.name or one.id,
            role=one.role.value,
            projects=one.projects,
            languages=one.languages,
            groups=one.groups,
            token_hash=hash_token(tokens[one.id]) if one.token else None,
            max_open=one.max_open,
            daily_answers=one.daily_answers,
        )
        for one in {one.id: one for one in reversed(asked) if one.id != BOOTSTRAP}.values()
    ]
    async with desk.service.unit() as unit:
        new = await add_people(unit.connection, rows)
        await record(unit, [LogLine(admin.id, "add", "done", name) for name in sorted(new)])
    added = []
    for one in asked:
        if one.id in new:
            new.remove(one.id)
            added.append(AddedAnnotator(id=one.id, token=tokens.get(one.id)))
        else:
            known = Problem(409, "annotator_exists", "This id is taken.", "Choose another id, or give a new token.")
            added.append(AddedAnnotator(id=one.id, problem=known.body()))
    return added


async def _mark(
    desk: Desk, leader: Principal, annotator_id: str, body: QuarantineRequest, *, active: bool
) -> AnnotatorView:
    if body.project is not None:
        check_project(leader, body.project)
    elif leader.role is not Role.ADMIN or leader.projects is not None:
        raise forbidden("You quarantine and reinstate in a project; name it.")
    async with desk.service.unit() as unit:
        known = await get_people(unit.connection, [annotator_id])
        if annotator_id not in known or not _is_visible(leader, known[annotator_id]):
            raise _unknown(annotator_id)
        await _write(unit, annotator_id, body, active=active)
        projects = [project.project_id for project in desk.references.projects.all()]
        _tell(unit, annotator_id, body, projects if body.project is None else [body.project], active=active)
        action = "quarantine" if active else "reinstate"
        line = LogLine(leader.id, action, body.project or EVERYWHERE, annotator_id, body.project)
        await record(unit, [line])
        person = (await get_people(unit.connection, [annotator_id]))[annotator_id]
    desk.identities.forget()
    return _view(person)


async def _write(unit: Unit, annotator_id: str, body: QuarantineRequest, *, active: bool) -> None:
    if active:
        mark = (body.project or EVERYWHERE, annotator_id, True, body.reason, unit.now)
        await set_quarantines(unit.connection, [mark])
    else:
        await end_restraints(unit.connection, annotator_id, body.project, unit.now)
        await clear_quarantines(unit.connection, annotator_id, body.project, unit.now)
        mark = (body.project or EVERYWHERE, annotator_id, False, body.reason, unit.now)
        await set_quarantines(unit.connection, [mark])


def _tell(unit: Unit, annotator_id: str, body: QuarantineRequest, projects: Sequence[str], *, active: bool) -> None:
    """What a lead decides about a person is a fact for the others: qc reviews labels, or forgives old gold."""
    for project in projects:
        event = Quality(
            project_id=project,
            subject=f"annotator#{annotator_id}",
            sequence=f"lead:{unit.now.isoformat()}",
            measurement=Quarantine(annotator_id=annotator_id, active=active, reason=body.reason),
            measured_at=unit.now,
        )
        unit.emit(QUALITY, event)


def _governs(admin: Principal, projects: Sequence[str] | None) -> bool:
    """Whether somebody of these projects (None: all) is somebody of the administrator's alone."""
    return admin.projects is None or (projects is not None and admin.projects.issuperset(projects))


async def _governed(unit: Unit, admin: Principal, annotator_id: str) -> None:
    """Refuse to touch who works beyond the administrator's projects.

    Raises:
        Problem: 403; 404 for who is not seen at all.
    """
    known = (await get_people(unit.connection, [annotator_id])).get(annotator_id)
    if known is None or not _is_visible(admin, known):
        raise _unknown(annotator_id)
    if not _governs(admin, known.projects):
        raise forbidden("They work in projects that are not yours, too.")


def _is_visible(leader: Principal, person: Person) -> bool:
    """A lead sees the people of their projects."""
    return leader.projects is None or person.projects is None or not leader.projects.isdisjoint(person.projects)


def _unknown(annotator_id: str) -> Problem:
    return Problem(404, "annotator_unknown", f"There is nobody with the id {annotator_id!r}.", "List the people first.")


def _view(person: Person) -> AnnotatorView:
    return AnnotatorView(
        id=person.id,
        name=person.name,
        role=Role(person.role),
        projects=list(person.projects) if person.projects is not None else None,
        languages=list(person.languages) if person.languages is not None else None,
        groups=list(person.groups) if person.groups is not None else None,
        max_open=person.max_open,
        daily_answers=person.daily_answers,
        enabled=person.enabled,
        has_token=person.has_token,
        quarantined=list(person.quarantined),
        created_at=person.created_at,
        last_seen_at=person.last_seen_at,
    )
