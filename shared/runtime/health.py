"""/health: are we making progress? /ready: may work be sent here? /metrics: the numbers."""

from typing import TYPE_CHECKING

from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from shared.runtime.service import Service


class Health:
    """What the process knows about itself.

    Attributes:
        starting: the step of the start-up that is under way, or None once the service runs.
        failure: why that step fails for now.
        fatal: why the service has stopped for good.
    """

    def __init__(self, service: "Service") -> None:
        self._service = service
        self.starting: str | None = "not started"
        self.failure: str | None = None
        self.fatal: str | None = None
        self.database_failure: str | None = None

    def unhealthy(self) -> dict[str, str]:
        """Why a restart would help; empty while there is progress."""
        reasons: dict[str, str] = {}
        if self.fatal is not None:
            reasons["service"] = self.fatal
        for consumer in self._service.consumers:
            progress = consumer.progress
            if progress.fatal is not None:
                reasons[progress.topic] = progress.fatal
            elif progress.stalled(self._service.settings.stall_after_s):
                reasons[progress.topic] = f"no progress with lag ({progress.failure or 'no error seen'})"
        return reasons

    def unready(self) -> dict[str, str]:
        """Why no work should be sent here; empty when ready."""
        reasons = self.unhealthy()
        if self.starting is not None:
            reasons["starting"] = f"{self.starting}: {self.failure or 'under way'}"
        if self._service.access.refusal is not None:
            reasons["kafka"] = self._service.access.refusal
        if self.database_failure is not None:
            reasons["database"] = self.database_failure
        for consumer in self._service.consumers if self.starting is None else ():
            progress = consumer.progress
            why = progress.failure or (None if progress.joined else "waiting for the group to assign partitions")
            if why is not None:
                reasons.setdefault(progress.topic, why)
        for name, check in self._service.checks.items():
            why = check()
            if why is not None:
                reasons[name] = why
        return reasons


def health_routes(health: Health) -> list[Route]:
    """The three endpoints that every service has."""

    async def live(_: Request) -> Response:
        reasons = health.unhealthy()
        return JSONResponse({"healthy": not reasons, "reasons": reasons}, status_code=503 if reasons else 200)

    async def ready(_: Request) -> Response:
        reasons = health.unready()
        return JSONResponse({"ready": not reasons, "reasons": reasons}, status_code=503 if reasons else 200)

    async def metrics(request: Request) -> Response:
        service = health._service  # noqa: SLF001  # the same module's own
        service.metrics.ready.set(0 if health.unready() else 1)
        encode, content_type = choose_encoder(request.headers.get("accept", ""))  # OpenMetrics has exemplars
        return Response(encode(service.registry), headers={"content-type": content_type})

    return [Route("/health", live), Route("/ready", ready), Route("/metrics", metrics)]
