"""Endpoints of annotators and experts; `/v1/submit` also of leads, on behalf of people."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header
from starlette.responses import Response

from services.assignment.api.desk import Desk
from services.assignment.api.direct import JSON, Call, DirectRoute, dump
from services.assignment.api.identity import LEADERS, WORKERS, Principal, Role, admits, bearer, requires
from services.assignment.api.links import MEDIA
from services.assignment.api.problems import Problem, lease_expired, lease_finished, lease_unknown
from services.assignment.api.schemas import (
    ABOUT_KEY,
    IdempotencyKey,
    Me,
    MediaLink,
    NextRequest,
    NextResponse,
    Receipt,
    RenewResponse,
    SkipRequest,
    Submission,
    SubmitBatch,
    SubmitBatchResponse,
    SubmitRequest,
)
from services.assignment.api.submitting import Submitting, as_result
from services.assignment.api.taking import Taking
from services.assignment.domain.leases import Lease, Verdict, judge
from services.assignment.store.items import get_contents
from services.assignment.store.leases import count_held, get_lease, renew

Key = Annotated[IdempotencyKey, Header(alias="Idempotency-Key", description=ABOUT_KEY)]


def worker_routes(desk: Desk) -> tuple[APIRouter, dict[str, DirectRoute]]:
    """The router, and those of its routes that are served directly."""
    router = APIRouter(prefix="/v1", tags=["work"], dependencies=[Depends(bearer)])
    taking, submitting = Taking(desk), Submitting(desk)
    identities = desk.identities
    Worker = Annotated[Principal, Depends(requires(identities, WORKERS))]  # noqa: N806  # a type
    Anybody = Annotated[Principal, Depends(requires(identities, frozenset(Role)))]  # noqa: N806  # a type

    @router.post("/next", response_model=NextResponse, summary="Take tasks")
    async def take(worker: Worker, body: NextRequest) -> Response:
        return Response(await taking.take(worker, body), media_type=JSON)

    @router.post("/leases/{lease_id}/submit", summary="Answer a task")
    async def submit(worker: Worker, lease_id: UUID, body: SubmitRequest, key: Key = None) -> Receipt:
        return await _single(submitting, worker, _answer(lease_id, body), key)

    @router.post("/leases/{lease_id}/skip", summary="Say why a task cannot be answered")
    async def skip(worker: Worker, lease_id: UUID, body: SkipRequest, key: Key = None) -> Receipt:
        one = Submission(lease_id=lease_id, skip_reason=body.reason, comment=body.comment, duration_ms=body.duration_ms)
        return await _single(submitting, worker, one, key)

    @router.post("/leases/{lease_id}/renew", summary="Keep a task for longer")
    async def renew_lease(worker: Worker, lease_id: UUID) -> RenewResponse:
        return await _renew(desk, worker, lease_id)

    @router.post("/submit", summary="Answer or skip many tasks")
    async def submit_many(caller: Anybody, body: SubmitBatch, key: Key = None) -> SubmitBatchResponse:
        return await _many(submitting, caller, body, key)

    @router.get("/me", summary="Who am I")
    async def me(caller: Anybody) -> Me:
        return await _me(desk, caller)

    async def take_directly(worker: Principal, call: Call) -> bytes:
        return await taking.take(worker, call.read(NextRequest))

    async def submit_directly(worker: Principal, call: Call) -> bytes:
        lease_id, key = call.lease_id, call.key
        return dump(await _single(submitting, worker, _answer(lease_id, call.read(SubmitRequest)), key))

    async def submit_many_directly(caller: Principal, call: Call) -> bytes:
        key = call.key
        return dump(await _many(submitting, caller, call.read(SubmitBatch), key))

    workers, anybody = admits(identities, WORKERS), admits(identities, frozenset(Role))
    served = (
        DirectRoute("/v1/next", workers, take_directly),
        DirectRoute("/v1/leases/{lease_id}/submit", workers, submit_directly),
        DirectRoute("/v1/submit", anybody, submit_many_directly),
    )
    return router, {one.path: one for one in served}


def _answer(lease_id: UUID, body: SubmitRequest) -> Submission:
    return Submission.model_construct(
        lease_id=lease_id, value=body.value, comment=body.comment, duration_ms=body.duration_ms
    )


async def _many(submitting: Submitting, caller: Principal, body: SubmitBatch, key: str | None) -> SubmitBatchResponse:
    behalf = caller.role in LEADERS
    _check_behalf(body, behalf=behalf)
    results = await submitting.submit(caller, body.submissions, key=key, behalf=behalf, many=True)
    told = [as_result(one.lease_id, result) for one, result in zip(body.submissions, results, strict=True)]
    return SubmitBatchResponse(results=told)


async def _single(submitting: Submitting, worker: Principal, one: Submission, key: str | None) -> Receipt:
    (result,) = await submitting.submit(worker, [one], key=key)
    if isinstance(result, Problem):
        raise result
    return result


def _check_behalf(body: SubmitBatch, *, behalf: bool) -> None:
    """Leads say for whom; nobody else may.

    Raises:
        Problem: 422.
    """
    for place, one in enumerate(body.submissions):
        if (one.annotator_id is not None) != behalf:
            what = "is needed: you answer on behalf of people" if behalf else "is for leads only"
            raise Problem(
                422, "invalid_request", f"body.submissions.{place}.annotator_id {what}.", "Correct the request."
            )


async def _renew(desk: Desk, worker: Principal, lease_id: UUID) -> RenewResponse:
    async with desk.service.database.transaction() as connection:
        lease = await get_lease(connection, lease_id)
        verdict = judge(lease, worker.id, None)
        if lease is None or verdict is Verdict.UNKNOWN:
            raise lease_unknown()
        if verdict is Verdict.FINISHED:
            raise lease_finished()
        project = desk.project(lease.project_id)
        lease_s = project.spec.policy.lease_s if project is not None else 0.0
        longest_s = desk.settings.longest_lease_s
        expires_at = await renew(connection, lease_id, lease_s, longest_s) if verdict is Verdict.ACCEPT else None
        content = await _content(desk, connection, lease) if project is not None and expires_at is not None else None
    if expires_at is None:
        raise lease_expired()
    found = desk.links.of_task(lease_id, project.spec, content) if project is not None and content else None
    media = None if found is None else MediaLink(path=found.path, expires_at=found.expires_at)
    return RenewResponse(lease_id=lease_id, expires_at=expires_at, media=media)


async def _content(desk: Desk, connection: Any, lease: Lease) -> str | None:
    """What a task of media shows, as JSON; None for other kinds, which need no link."""
    project = desk.project(lease.project_id)
    if project is None or project.spec.data not in MEDIA:
        return None
    if lease.gold:
        golden = desk.references.gold_items.get(lease.project_id, lease.item_id)
        return None if golden is None else golden.content.model_dump_json()
    key = (lease.project_id, lease.item_id)
    return (await get_contents(connection, [key])).get(key)


async def _me(desk: Desk, caller: Principal) -> Me:
    held = 0
    if caller.person is not None:
        async with desk.service.database.transaction() as connection:
            held = await count_held(connection, caller.id)
    return Me(
        id=caller.id,
        name=caller.person.name if caller.person is not None else caller.id,
        role=caller.role,
        projects=sorted(caller.projects) if caller.projects is not None else None,
        quarantined=list(caller.person.quarantined) if caller.person is not None else [],
        held=held,
    )
