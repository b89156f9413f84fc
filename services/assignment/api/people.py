"""What leads see of the people of a project: measured skill, confusions, speed, drift."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field, TypeAdapter

from services.assignment.api.desk import Desk
from services.assignment.api.identity import Principal
from services.assignment.api.schemas import Part
from services.assignment.store.measurements import (
    Measured,
    list_measured_people,
    list_of_kind,
    list_of_people,
    list_restraints,
)
from services.assignment.store.people import get_people
from shared.events import ErrorPatterns, Measurement, RuleFired, Skill, SkillDrift
from shared.events.base import Slug

PAGE = 200
MEASUREMENT: TypeAdapter[Measurement] = TypeAdapter(Measurement)


class PersonReport(Part):
    """One person in one project. The numbers are qc's."""

    id: str
    may_work: bool = Field(description="False: in quarantine, switched off, or not of this project.")
    skill: Skill | None = None
    drift: SkillDrift | None = None
    rules: list[RuleFired] = Field(default=[], description="The newest firing of each rule of the project.")


class PeopleReport(Part):
    people: list[PersonReport]
    next: str | None


After = Annotated[str, Query(max_length=200)]
Limit = Annotated[int, Query(ge=1, le=PAGE)]


def add_people_routes(router: APIRouter, desk: Desk, allowed: Callable[..., Awaitable[Principal]]) -> None:
    """Add to the lead's router; `allowed` lets the project's leads in."""

    @router.get(
        "/people", dependencies=[Depends(allowed)], summary="Skill, confusions, speed and drift of the project's people"
    )
    async def people(project_id: Slug, after: After = "", limit: Limit = PAGE) -> PeopleReport:
        async with desk.service.database.transaction() as connection:
            ids = await list_measured_people(connection, project_id, after, limit)
            measured = await list_of_people(connection, project_id, ids)
            known = await get_people(connection, ids)
            fired = await list_restraints(connection, project_id, ids)
        able = {who: person.may_work_in(project_id) for who, person in known.items()}
        return PeopleReport(
            people=[
                _report(who, [one for one in measured if one.annotator_id == who], fired[who], able) for who in ids
            ],
            next=ids[-1] if len(ids) == limit else None,
        )

    @router.get(
        "/patterns", dependencies=[Depends(allowed)], summary="Confused classes and items, ranked, with examples"
    )
    async def patterns(project_id: Slug) -> ErrorPatterns:
        async with desk.service.database.transaction() as connection:
            found = await list_of_kind(connection, project_id, "error_patterns")
        return ErrorPatterns.model_validate_json(found[-1].body) if found else ErrorPatterns()


def _report(who: str, measured: list[Measured], fired: list[str], able: dict[str, bool]) -> PersonReport:
    found = {one.kind: MEASUREMENT.validate_json(one.body) for one in measured}
    return PersonReport.model_validate(
        {"id": who, "may_work": able.get(who, False), "rules": [RuleFired.model_validate_json(one) for one in fired]}
        | {name: found[kind] for name, kind in (("skill", "skill"), ("drift", "skill_drift")) if kind in found}
    )
