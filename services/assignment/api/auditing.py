"""Reading the audit log."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, Field

from services.assignment.api.desk import Desk
from services.assignment.api.identity import ADMINS, Principal, bearer, check_project, requires
from services.assignment.api.problems import forbidden
from services.assignment.api.schemas import Part
from services.assignment.store.audit import list_lines
from shared.events.base import Name, Slug

PAGE = 1000


class AuditLine(Part):
    """Who did what, to what, when, and what came of it. Never what an answer or an item says."""

    id: int
    at: datetime
    principal: str = Field(description="Who called; `erased`: somebody who was erased since; `-`: nobody known.")
    action: str = Field(description="`submit`, `skip`, `assign`, `add`, ...; of a refused call its method and route.")
    outcome: str = Field(description="`done`, what it became, or the code of the refusal.")
    subject: str = Field(description="The person, item or project that it is about.")
    project: str | None
    lease_id: UUID | None


class AuditQuery(Part):
    """Absent: whatever it is."""

    principal: Name | None = None
    action: Name | None = None
    outcome: Name | None = None
    subject: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    project: Slug | None = None
    lease_id: UUID | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    before: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = Field(
        default=None, description="`next` of the page before."
    )
    limit: Annotated[int, Field(ge=1, le=PAGE)] = 100


class AuditPage(Part):
    lines: list[AuditLine] = Field(description="The newest first.")
    next: int | None = Field(description="`before` of the next page, which is older.")


def audit_routes(desk: Desk) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/v1/audit", tags=["people"], dependencies=[Depends(bearer)])
    Admin = Annotated[Principal, Depends(requires(desk.identities, ADMINS))]  # noqa: N806  # a type

    @router.get("", summary="Who did what, the newest first")
    async def lines(admin: Admin, query: Annotated[AuditQuery, Query()]) -> AuditPage:
        if admin.projects is not None and query.project is None:
            raise forbidden("You read what is of your projects; name one.")
        if query.project is not None:
            check_project(admin, query.project)
        wanted = query.model_dump(exclude={"before", "limit"}, exclude_none=True)
        async with desk.service.database.transaction() as connection:
            found = await list_lines(connection, wanted, query.before, query.limit)
        shown = [
            AuditLine(
                id=one.id,
                at=one.at,
                principal=one.line.principal,
                action=one.line.action,
                outcome=one.line.outcome,
                subject=one.line.subject,
                project=one.line.project,
                lease_id=one.line.lease_id,
            )
            for one in found
        ]
        return AuditPage(lines=shown, next=found[-1].id if len(found) == query.limit else None)

    return router
