"""Media that items point at, by links that are signed: the people who label never reach its server, nor it them."""

import asyncio
from contextlib import AsyncExitStack
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Security
from fastapi.security import APIKeyQuery
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from services.assignment.api.desk import Desk
from services.assignment.api.problems import Problem
from services.assignment.domain.leases import Lease, Verdict, judge
from services.assignment.domain.links import LinkVerdict, judge_link
from services.assignment.settings import AssignmentSettings
from services.assignment.store.items import get_contents
from services.assignment.store.leases import get_lease
from services.assignment.store.media import (
    MediaStore,
    MissingError,
    Opened,
    TooLargeError,
    UnavailableError,
    UnsatisfiableError,
    type_of,
)
from shared.clock import utc_now
from shared.events import MediaContent, ProjectSpec
from shared.runtime.origins import NotAllowedError, Reach

AGAIN = "Take the task again with POST /v1/next, or renew its lease (POST /v1/leases/{id}/renew): both give a new link."


class Serving:
    """GET /v1/media/{lease_id}."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._slots = asyncio.Semaphore(desk.settings.media_concurrency)

    async def serve(self, lease: str, expires: str, signature: str, wanted: str | None) -> Response:
        """The media, or the part of it that is wanted.

        Raises:
            Problem: 403 for a link that is forged or expired, or whose lease is over; 404, 413, 415, 416, 502, 503.
        """
        lease_id = _uuid(lease)
        verdict = judge_link(self._desk.links.key, lease_id, expires, signature, utc_now())
        if verdict is LinkVerdict.FORGED:
            raise Problem(403, "link_invalid", "This link is not one of ours, or was changed.", AGAIN)
        if verdict is LinkVerdict.EXPIRED:
            raise Problem(403, "link_expired", "This link has expired.", AGAIN)
        held, content, spec = await self._find(lease_id)
        self._desk.identities.limits.take(held.annotator_id)
        if self._slots.locked():
            raise Problem(503, "busy", "Too much media is being sent just now.", "Try the same link again.")
        return await self._open(content, spec, wanted)

    async def _find(self, lease_id: UUID) -> tuple[Lease, MediaContent, ProjectSpec]:
        async with self._desk.service.database.transaction() as connection:
            lease = await get_lease(connection, lease_id)
            if lease is None or judge(lease, lease.annotator_id, None) is not Verdict.ACCEPT:
                raise Problem(403, "link_expired", "The task of this link is over, or no longer yours.", AGAIN)
            key = (lease.project_id, lease.item_id)
            stored = None if lease.gold else (await get_contents(connection, [key])).get(key)
        golden = self._desk.references.gold_items.get(*key) if lease.gold else None
        project = self._desk.project(lease.project_id)
        if golden is not None:
            content: Any = golden.content
        else:
            content = MediaContent.model_validate_json(stored) if stored is not None and '"uri"' in stored else None
        if project is None or not isinstance(content, MediaContent) or content.uri is None:
            raise _missing()
        return lease, content, project.spec

    async def _open(self, content: MediaContent, spec: ProjectSpec, wanted: str | None) -> Response:
        uri = content.uri or ""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._slots)
            try:
                opened = await stack.enter_async_context(self._desk.media.opened(uri, spec.uri_prefixes, wanted))
            except NotAllowedError as error:
                raise Problem(403, "media_refused", f"The item's media is not served: {error}.", _LEAD) from None
            except MissingError:
                raise _missing() from None
            except TooLargeError:
                limit = self._desk.settings.media_max_bytes
                raise Problem(413, "media_too_large", f"It is larger than {limit} bytes.", _LEAD) from None
            except UnsatisfiableError as error:
                raise Problem(
                    416,
                    "range_unsatisfiable",
                    f"The range lies outside of its {error.args[0]} bytes.",
                    "Ask for a range inside of it.",
                    headers={"content-range": f"bytes */{error.args[0]}"},
                ) from None
            except UnavailableError as error:
                raise Problem(502, "media_unavailable", f"It cannot be had: {error}.", "Try again later.") from None
            media_type = type_of(uri, content.kind, (content.media_type, opened.media_type))
            if media_type is None:
                what = f"What the item points at is no {content.kind} of a known type."
                raise Problem(415, "media_type_refused", what, _LEAD)
            return Streamed(opened, media_type, stack.pop_all(), self._desk.settings.media_send_s)


SIGNED = APIKeyQuery(name="signature", scheme_name="link", description="Of a link that a task holds.", auto_error=False)
NOBODYS = UUID(int=0)
_LEAD = "Skip the task as broken, and tell the project's lead."


def _uuid(text: str) -> UUID:
    """The lease of a link; what is no id is one that nobody has."""
    try:
        return UUID(text)
    except ValueError:
        return NOBODYS


def _missing() -> Problem:
    return Problem(404, "media_missing", "There is nothing where the item points.", _LEAD)


class Streamed(StreamingResponse):
    """A response that closes what it reads from at its end, whether it was sent or not."""

    def __init__(self, opened: Opened, media_type: str, stack: AsyncExitStack, longest_s: float) -> None:
        headers = {"accept-ranges": "bytes", "content-disposition": "inline"}
        if opened.length is not None:
            headers["content-length"] = str(opened.length)
        if opened.part is not None:
            headers["content-range"] = opened.part
        super().__init__(opened.body, opened.status, headers, media_type)
        self._stack = stack
        self._longest_s = longest_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._stack, asyncio.timeout(self._longest_s):
            await super().__call__(scope, receive, send)


def media_store(settings: AssignmentSettings) -> MediaStore:
    """As the settings say."""
    reach = Reach(settings.media_networks, settings.media_cafile, settings.media_timeout_s)
    return MediaStore(reach, settings.media_max_bytes)


def media_routes(desk: Desk) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/v1", tags=["work"])
    serving = Serving(desk)
    about = "The picture, sound or video that a task points at. `Range` gives a part of it. No token is needed."

    @router.get("/media/{lease_id}", summary="Media of a task, by its link", description=about, response_class=Response)
    async def media(
        lease_id: str,
        signature: Annotated[str | None, Security(SIGNED)],
        expires: Annotated[str, Query(max_length=20)] = "",
        wanted: Annotated[str | None, Header(alias="Range", max_length=200)] = None,
    ) -> Response:
        return await serving.serve(lease_id, expires, signature or "", wanted)

    return router
