"""The status page and the read API, wired. Everything is read only."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from services.monitor.api.access import Guard
from services.monitor.api.documents import (
    alarms_of,
    classes_of,
    detectors_of,
    flow_of,
    item_of,
    people_of,
    quality_of,
    relabels_of,
)
from services.monitor.api.page import live, page
from services.monitor.api.view import (
    ALARMS_AT_MOST,
    DETECTORS_AT_MOST,
    PEOPLE_AT_MOST,
    Lag,
    View,
    overview_of,
    rates_of,
    watching_of,
)
from services.monitor.domain.overview import Overview
from services.monitor.metrics import FlowCollector
from services.monitor.store import AlarmStore, DriftStore
from services.monitor.store.reading import ReadingStore
from shared.bus.unit import Unit

ROWS, ROWS_AT_MOST = 100, 500
NOT_FOUND = 404
ASSETS = {"page.js": "text/javascript; charset=utf-8", "page.css": "text/css; charset=utf-8"}

Answer = Callable[[Request], Awaitable[Response]]


class Reading:
    """Answers of one replica.

    Args:
        collector: holds the last snapshot, which every request shares: no request sums up counters.
        unit: opens a transaction.
        lags: how far this replica is behind, by topic.
        stopped: why it is not ready.
        clock: the wall clock.
    """

    def __init__(
        self,
        collector: FlowCollector,
        unit: Callable[[], AbstractAsyncContextManager[Unit]],
        *,
        lags: Callable[[], list[Lag]],
        stopped: Callable[[], dict[str, str]],
        clock: Callable[[], datetime],
    ) -> None:
        self._collector = collector
        self._unit = unit
        self._lags = lags
        self._stopped = stopped
        self._clock = clock

    async def page(self, request: Request) -> Response:
        return HTMLResponse(page(await self._view(request)))

    async def live(self, request: Request) -> Response:
        return HTMLResponse(live(await self._view(request)))

    async def projects(self, _: Request) -> Response:
        shown = self._collector.snapshot
        return JSONResponse({"projects": sorted(shown.projects) if shown is not None else []})

    async def flow(self, request: Request) -> Response:
        one = self._project(request)
        return JSONResponse(flow_of(one, rates_of(self._collector, one.project_id), self._lags()))

    async def classes(self, request: Request) -> Response:
        return JSONResponse(classes_of(self._project(request)))

    async def quality(self, request: Request) -> Response:
        return JSONResponse(quality_of(self._project(request)))

    async def alarms(self, request: Request) -> Response:
        project = self._project(request).project_id
        open_only = request.query_params.get("open") == "true"
        async with self._unit() as unit:
            found = await AlarmStore(unit.connection).list_alarms(project, open_only=open_only, limit=limit_of(request))
        return JSONResponse(alarms_of(project, [kept.alarm for kept in found]))

    async def detectors(self, request: Request) -> Response:
        project, limit = self._project(request).project_id, limit_of(request)
        signal, _, slice_ = text_of(request, "after").partition("/")
        async with self._unit() as unit:
            found = await DriftStore(unit.connection).list_standings(project, after=(signal, slice_), limit=limit + 1)
        about = watching_of(self._collector, project, found[:limit])
        return JSONResponse(detectors_of(project, about, more=len(found) > limit))

    async def annotators(self, request: Request) -> Response:
        project, limit = self._project(request).project_id, limit_of(request)
        async with self._unit() as unit:
            store = ReadingStore(unit.connection)
            found = await store.list_people(project, after=text_of(request, "after"), limit=limit + 1)
        return JSONResponse(people_of(project, found[:limit], more=len(found) > limit))

    async def item(self, request: Request) -> Response:
        project, item_id = self._project(request).project_id, request.path_params["item"]
        if "\0" in item_id:
            raise HTTPException(NOT_FOUND)
        async with self._unit() as unit:
            store = ReadingStore(unit.connection)
            facts = await store.get_item(project, item_id)
            asked = await store.list_asked(project, before=None, limit=ROWS, item_id=item_id)
        if facts is None:
            raise HTTPException(NOT_FOUND, "nothing is known of this item")
        return JSONResponse(item_of(project, item_id, facts, asked))

    async def relabels(self, request: Request) -> Response:
        project, limit = self._project(request).project_id, limit_of(request)
        before = time_of(request, "before")
        async with self._unit() as unit:
            found = await ReadingStore(unit.connection).list_asked(project, before=before, limit=limit + 1)
        return JSONResponse(relabels_of(project, found[:limit], more=len(found) > limit))

    def _project(self, request: Request) -> Overview:
        found = overview_of(self._collector, request.path_params["project"])
        if found is None:
            raise HTTPException(NOT_FOUND, "there is no such project")
        return found

    async def _view(self, request: Request) -> View | None:
        shown = self._collector.snapshot
        names = sorted(shown.projects) if shown is not None else []
        chosen = request.query_params.get("project") or next(iter(names), "")
        one = overview_of(self._collector, chosen)
        if one is None:
            if names and chosen not in names:
                raise HTTPException(NOT_FOUND, "there is no such project")
            return None
        after = text_of(request, "after")
        async with self._unit() as unit:
            people = await ReadingStore(unit.connection).list_people(chosen, after=after, limit=PEOPLE_AT_MOST + 1)
            store = AlarmStore(unit.connection)
            alarms = [kept.alarm for kept in await store.list_alarms(chosen, open_only=True, limit=ALARMS_AT_MOST)]
            surest = await DriftStore(unit.connection).list_surest(chosen, DETECTORS_AT_MOST)
            ended = [kept.alarm for kept in await store.list_alarms(chosen, limit=ALARMS_AT_MOST)]
        return View(
            projects=names,
            at=self._clock(),
            overview=one,
            rates=rates_of(self._collector, chosen),
            lags=self._lags(),
            alarms=[*alarms, *(alarm for alarm in ended if alarm.resolved_at is not None)],
            people=people[:PEOPLE_AT_MOST],
            after=after,
            more=len(people) > PEOPLE_AT_MOST,
            stopped=self._stopped(),
            watching=watching_of(self._collector, chosen, surest),
        )


def limit_of(request: Request) -> int:
    """How many rows are wanted, `ROWS` by default.

    Raises:
        HTTPException: it is not a number from 1 to `ROWS_AT_MOST`.
    """
    text = request.query_params.get("limit", str(ROWS))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= ROWS_AT_MOST or len(text) > len("500"):
        raise HTTPException(422, f"limit: from 1 to {ROWS_AT_MOST}")
    return int(text)


def text_of(request: Request, name: str) -> str:
    """A text parameter; empty where it is absent. PostgreSQL takes no NUL."""
    return request.query_params.get(name, "").replace("\0", "")


def time_of(request: Request, name: str) -> datetime | None:
    """A time parameter with its zone.

    Raises:
        HTTPException: it is not one.
    """
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        found = datetime.min  # noqa: DTZ901  # without a zone, so it is refused below
    if found.tzinfo is None:
        raise HTTPException(422, f"{name}: a time with its zone, as in 2026-01-31T12:00:00+00:00")
    return found


def _asset(name: str, media_type: str) -> Answer:
    content = files("services.monitor.api").joinpath(name).read_bytes()

    async def answer(_: Request) -> Response:
        return Response(content, headers={"content-type": media_type})

    return answer


async def _refused(_: Request, error: Exception) -> Response:
    status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
    return JSONResponse({"message": detail}, status_code=status)


async def _home(_: Request) -> Response:
    return RedirectResponse("/status")


def make_api(reading: Reading, *, token: str | None) -> Any:
    """The application, to be mounted at `/`."""
    project = "/api/projects/{project}"
    routes = [
        Route("/", _home),
        Route("/status", reading.page),
        Route("/status/live", reading.live),
        *(Route(f"/status/{name}", _asset(name, kind)) for name, kind in ASSETS.items()),
        Route("/api/projects", reading.projects),
        Route(f"{project}/flow", reading.flow),
        Route(f"{project}/classes", reading.classes),
        Route(f"{project}/quality", reading.quality),
        Route(f"{project}/alarms", reading.alarms),
        Route(f"{project}/detectors", reading.detectors),
        Route(f"{project}/annotators", reading.annotators),
        Route(f"{project}/relabels", reading.relabels),
        Route(project + "/items/{item:path}", reading.item),
    ]
    return Guard(Starlette(routes=routes, exception_handlers={HTTPException: _refused}), token=token)
