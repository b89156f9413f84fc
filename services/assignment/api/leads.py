"""Endpoints of leads and administrators about one project."""

from typing import Annotated

from fastapi import APIRouter, Depends

from services.assignment.api.desk import Desk
from services.assignment.api.identity import LEADERS, Principal, bearer, check_project, requires
from services.assignment.api.leading import Leading
from services.assignment.api.people import add_people_routes
from services.assignment.api.problems import project_unknown
from services.assignment.api.schemas import (
    AssignRequest,
    AssignResponse,
    ExhaustRequest,
    ExhaustResponse,
    ItemView,
    Progress,
    SlotsRequest,
    SlotsResponse,
)
from shared.events.base import ItemId, Slug


def lead_routes(desk: Desk) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/v1/projects/{project_id}", tags=["lead"], dependencies=[Depends(bearer)])
    leading = Leading(desk)
    leader = requires(desk.identities, LEADERS)

    async def of_project(project_id: Slug, principal: Annotated[Principal, Depends(leader)]) -> Principal:
        check_project(principal, project_id)
        if await desk.find_project(project_id) is None:
            raise project_unknown(project_id)
        return principal

    Leader = Annotated[Principal, Depends(of_project)]  # noqa: N806  # a type

    add_people_routes(router, desk, of_project)

    @router.post("/slots", summary="Open slots in queue order, with the people who may not take them")
    async def slots(_: Leader, project_id: Slug, body: SlotsRequest) -> SlotsResponse:
        return await leading.slots(project_id, body)

    @router.post("/assign", summary="Lease tasks on behalf of people")
    async def assign(lead: Leader, project_id: Slug, body: AssignRequest) -> AssignResponse:
        return AssignResponse(results=await leading.assign(lead, project_id, body.assignments))

    @router.post("/exhaust", summary="End open rounds now with the opinions they have")
    async def exhaust(lead: Leader, project_id: Slug, body: ExhaustRequest) -> ExhaustResponse:
        return ExhaustResponse(results=await leading.exhaust(lead, project_id, body.item_ids))

    @router.get("/progress", summary="Items by state")
    async def progress(_: Leader, project_id: Slug) -> Progress:
        return await leading.progress(project_id)

    @router.get("/items/{item_id:path}", summary="State and history of one item")
    async def item(_: Leader, project_id: Slug, item_id: ItemId) -> ItemView:
        return await leading.item(project_id, item_id)

    return router
