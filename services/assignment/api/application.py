"""The FastAPI application: routes, and how refusals look."""

from typing import Any

from services.assignment.api.admins import admin_routes
from services.assignment.api.auditing import audit_routes
from services.assignment.api.desk import Desk
from services.assignment.api.direct import Api, Direct
from services.assignment.api.edge import Edge
from services.assignment.api.golden import gold_routes
from services.assignment.api.identity import Identities
from services.assignment.api.leads import lead_routes
from services.assignment.api.links import Links
from services.assignment.api.media import media_routes, media_store
from services.assignment.api.problems import ProblemBody
from services.assignment.api.refusing import KINDS, Refusals
from services.assignment.api.workers import worker_routes
from services.assignment.jobs import Housekeeping
from services.assignment.metrics import AssignmentMetrics
from services.assignment.settings import AssignmentSettings
from shared.runtime.service import Service

ABOUT = """Annotators take tasks (`/v1/next`), renew, answer or skip them. Leads see the queue and act on behalf of
people. Administrators add people. Every call carries `Authorization: Bearer ls_...`; every refusal is problem+json with
a `code`, a `message` and an `action`."""

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemBody, "description": about}
    for status, about in (
        (401, "No valid token."),
        (403, "Not for this role or person."),
        (404, "No such thing, or not yours."),
        (409, "Too late, or taken."),
        (413, "Too large."),
        (422, "The request is wrong; says what and where."),
        (429, "Too many calls; says when to call again."),
        (503, "Not now; try again."),
    )
}
"""Responses that every operation may give."""


def make_api(
    service: Service,
    settings: AssignmentSettings,
    metrics: AssignmentMetrics,
    watch: Housekeeping,
    identities: Identities,
) -> Api:
    """The application, to be mounted at `/`."""
    desk = Desk(service, settings, metrics, identities, Links.of(settings), media_store(settings))
    service.on_stop(desk.media.close)
    api = Api(
        title="Labelstream assignment",
        version="1",
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        responses=PROBLEMS,
    )
    refusals = Refusals(metrics, watch)
    api.add_middleware(Edge, limit=settings.body_limit_bytes, metrics=metrics)
    workers, direct = worker_routes(desk)
    api.include_router(workers)
    api.include_router(lead_routes(desk))
    api.include_router(gold_routes(desk))
    api.include_router(admin_routes(desk))
    api.include_router(audit_routes(desk))
    api.include_router(media_routes(desk))
    api.direct = Direct(direct, limit=settings.body_limit_bytes, refusals=refusals, metrics=metrics)
    for kind in KINDS:
        api.add_exception_handler(kind, refusals.handle)
    return api
