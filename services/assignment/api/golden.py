"""An expert's decision becomes gold, when an expert or a lead says so."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import Field, TypeAdapter

from services.assignment.api.desk import Desk
from services.assignment.api.identity import LEADERS, Principal, Role, bearer, check_project, requires
from services.assignment.api.problems import Problem, ProblemBody, project_unknown
from services.assignment.api.schemas import MAX_BATCH, Part
from services.assignment.domain.aggregate import Aggregate
from services.assignment.domain.states import Ending
from services.assignment.jobs import record
from services.assignment.store.aggregates import with_rounds
from services.assignment.store.audit import LogLine
from services.assignment.store.items import get_contents, lock_items
from shared.bus.unit import Unit
from shared.events import Audience, Content, GoldItem, GoldMark, Quality
from shared.events.base import ItemId, Slug
from shared.topics import GOLD_ITEMS, QUALITY

CONTENT: TypeAdapter[Content] = TypeAdapter(Content)


class GoldRequest(Part):
    item_ids: Annotated[list[ItemId], Field(min_length=1, max_length=MAX_BATCH)]


class GoldMarked(Part):
    item_id: str
    problem: ProblemBody | None = None


class GoldResponse(Part):
    results: list[GoldMarked] = Field(description="In the order of the request.")


def gold_routes(desk: Desk) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/v1/projects/{project_id}", tags=["lead"], dependencies=[Depends(bearer)])
    Judge = Annotated[Principal, Depends(requires(desk.identities, LEADERS | {Role.EXPERT}))]  # noqa: N806  # a type

    @router.post("/gold", summary="Make experts' decisions gold")
    async def mark(judge: Judge, project_id: Slug, body: GoldRequest) -> GoldResponse:
        check_project(judge, project_id)
        if await desk.find_project(project_id) is None:
            raise project_unknown(project_id)
        async with desk.service.unit() as unit:
            return GoldResponse(results=await _mark(unit, project_id, body.item_ids, judge))

    return router


async def _mark(unit: Unit, project_id: str, ids: Sequence[str], judge: Principal) -> list[GoldMarked]:
    keys = [(project_id, item_id) for item_id in dict.fromkeys(ids)]
    known = await with_rounds(unit.connection, await lock_items(unit.connection, keys), ended=True)
    contents = await get_contents(unit.connection, keys)
    results = {}
    for key in keys:
        wrong = _why_not(known.get(key))
        if wrong is None:
            _publish(unit, key, known[key], CONTENT.validate_json(contents[key]))
        results[key[1]] = GoldMarked(item_id=key[1], problem=None if wrong is None else wrong.body())
    outcomes = {name: "done" if one.problem is None else one.problem.code for name, one in results.items()}
    await record(unit, [LogLine(judge.id, "gold", what, name, project_id) for name, what in outcomes.items()])
    return [results[item_id] for item_id in ids]


def _why_not(known: Aggregate | None) -> Problem | None:
    if known is None:
        return Problem(404, "item_unknown", "The project has no such item.", "Check the item's id.")
    if known.bare or known.erased:
        return Problem(409, "content_forgotten", "Its content was forgotten.", "Import it with `labelstream gold`.")
    asked = known.asked
    if known.ending is not Ending.LABELLED or asked is None or asked.expert_answered == 0:
        return Problem(409, "no_expert_decision", "No expert has decided its latest round.", "Send it to an expert.")
    if asked.audience is not Audience.EXPERT:
        return Problem(409, "no_expert_decision", "No expert has decided its latest round.", "Send it to an expert.")
    return None


def _publish(unit: Unit, key: tuple[str, str], known: Aggregate, content: Content) -> None:
    """The item for whoever hands gold out; the mark for qc, which alone knows the answer and publishes it."""
    project_id, item_id = key
    unit.emit(GOLD_ITEMS, GoldItem(project_id=project_id, item_id=item_id, content=content, created_at=unit.now))
    mark = Quality(
        project_id=project_id,
        subject="gold",
        sequence=f"mark:{item_id}:{known.label_version}",
        measurement=GoldMark(item_id=item_id, version=known.label_version),
        measured_at=unit.now,
    )
    unit.emit(QUALITY, mark)
