"""Endpoints of annotators and experts; `/v1/submit` also of leads, on behalf of people."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header
from starlette.requests import Request
from starlette.responses import Response

from services.assignment.api.desk import Desk
from services.assignment.api.identity import LEADERS, WORKERS, Principal, Role, bearer, requires
from services.assignment.api.lean import JSON, answer, direct, key_of, lease_of, read
from services.assignment.api.problems import Problem, lease_expired, lease_finished, lease_unknown
from services.assignment.api.schemas import (
    ABOUT_KEY,
    IdempotencyKey,
    Me,
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
from services.assignment.domain.leases import Verdict, judge
from services.assignment.store.leases import count_held, get_lease, renew

Key = Annotated[IdempotencyKey, Header(alias="Idempotency-Key", description=ABOUT_KEY)]


def worker_routes(desk: Desk) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/v1", tags=["work"], dependencies=[Depends(bearer)])
    taking, submitting = Taking(desk), Submitting(desk)
    is_worker = requires(desk.identities, WORKERS)
    Worker = Annotated[Principal, Depends(is_worker)]  # noqa: N806
    Anybody = Annotated[Principal, Depends(requires(desk.identities, frozenset(Role)))]  # noqa: N806

    async def take(worker: Worker, body: NextRequest) -> Response:
        return Response(await taking.take(worker, body), media_type=JSON)

    async def submit(worker: Worker, lease_id: UUID, body: SubmitRequest, key: Key = None) -> Receipt:
        one = Submission.model_construct(
            lease_id=lease_id, value=body.value, comment=body.comment, duration_ms=body.duration_ms
        )
        return await _single(submitting, worker, one, key)

    async def take_directly(request: Request) -> Response:
        return await take(await is_worker(request), await read(request, NextRequest))

    async def submit_directly(request: Request) -> Response:
        worker = await is_worker(request)
        lease_id, key = lease_of(request), key_of(request)
        return answer(await submit(worker, lease_id, await read(request, SubmitRequest), key))

    router.add_api_route(
        "/next", take, methods=["POST"], response_model=NextResponse, summary="Take tasks",
        route_class_override=direct(take_directly),
    )  # fmt: skip
    router.add_api_route(
        "/leases/{lease_id}/submit", submit, methods=["POST"], response_model=Receipt, summary="Answer a task",
        route_class_override=direct(submit_directly),
    )  # fmt: skip

    @router.post("/leases/{lease_id}/skip", summary="Say why a task cannot be answered")
    async def skip(worker: Worker, lease_id: UUID, body: SkipRequest, key: Key = None) -> Receipt:
        one = Submission(lease_id=lease_id, skip_reason=body.reason, comment=body.comment, duration_ms=body.duration_ms)
        return await _single(submitting, worker, one, key)

    @router.post("/leases/{lease_id}/renew", summary="Keep a task for longer")
    async def renew_lease(worker: Worker, lease_id: UUID) -> RenewResponse:
        return await _renew(desk, worker, lease_id)

    @router.post("/submit", summary="Answer or skip many tasks")
    async def submit_many(caller: Anybody, body: SubmitBatch, key: Key = None) -> SubmitBatchResponse:
        behalf = caller.role in LEADERS
        _check_behalf(body, behalf=behalf)
        results = await submitting.submit(caller, body.submissions, key=key, behalf=behalf)
        told = [as_result(one.lease_id, result) for one, result in zip(body.submissions, results, strict=True)]
        return SubmitBatchResponse(results=told)

    @router.get("/me", summary="Who am I")
    async def me(caller: Anybody) -> Me:
        return await _me(desk, caller)

    return router


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
        expires_at = await renew(connection, lease_id, lease_s) if verdict is Verdict.ACCEPT else None
    if expires_at is None:
        raise lease_expired()
    return RenewResponse(lease_id=lease_id, expires_at=expires_at)


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
