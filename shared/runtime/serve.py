"""Running a service under uvicorn: SIGTERM drains, a refusal to start is exit code 1."""

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable
from typing import TypeVar

import uvicorn
import uvloop
from pydantic import ValidationError

from shared.errors import ConfigurationError
from shared.runtime.http import BoundedProtocol
from shared.runtime.logging import configure_logging
from shared.runtime.memory import keep_freed
from shared.runtime.service import Service
from shared.runtime.settings import ServiceSettings

S = TypeVar("S", bound=ServiceSettings)

YOUNG_OBJECTS, YOUNG_ROUNDS, MIDDLE_ROUNDS = 50_000, 20, 100


def tune_collector() -> None:
    """A batch makes tens of thousands of objects without cycles: look for cycles rarely, never among the modules."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_ROUNDS, MIDDLE_ROUNDS)


async def _run(service: Service) -> int:
    settings = service.settings
    server = uvicorn.Server(
        uvicorn.Config(
            service.asgi(),
            host=settings.host,
            port=settings.port,
            log_level="warning",
            access_log=False,
            lifespan="on",
            http=BoundedProtocol,
            ws="none",
            timeout_graceful_shutdown=int(settings.graceful_timeout_s),
            server_header=False,
            proxy_headers=False,  # nobody's address decides anything here
        )
    )

    async def stop_when_fatal() -> None:
        await service.fatal.wait()
        server.should_exit = True

    watcher = asyncio.create_task(stop_when_fatal())
    try:
        await server.serve()
    finally:
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watcher
    return 1 if service.fatal.is_set() else 0


def serve(service: Service) -> None:
    """Run until SIGTERM or SIGINT; exits the process with 0 after a drain, 1 where the service refuses to start."""
    configure_logging(service.name, service.settings.log_level)
    # uvicorn raises the signal again once it has drained; by then it has been obeyed.
    signal.signal(signal.SIGTERM, lambda *_: None)
    os.nice(service.settings.nice)
    tune_collector()
    keep_freed()
    try:
        code = uvloop.run(_run(service))
    except KeyboardInterrupt:
        code = 0
    sys.exit(code)


def main(build: Callable[[S], Service], settings: type[S]) -> None:
    """Build a service from the environment and serve it; wrong settings are one line each, never their values."""
    try:
        service = build(settings())
    except ValidationError as error:
        for one in error.errors(include_url=False, include_input=False, include_context=False):
            place = ".".join(str(part) for part in one["loc"])
            sys.stderr.write(f"{settings.__name__}: {place or 'settings'}: {one['msg']}\n")
        sys.exit(1)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
    serve(service)
