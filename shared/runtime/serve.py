"""Running a service under uvicorn: SIGTERM drains, a refusal to start is exit code 1."""

import asyncio
import contextlib
import signal
import sys

import uvicorn

from shared.errors import ConfigurationError
from shared.runtime.logging import configure_logging
from shared.runtime.service import Service


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
            timeout_graceful_shutdown=int(settings.graceful_timeout_s),
            h11_max_incomplete_event_size=65_536,
            server_header=False,
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
    try:
        code = asyncio.run(_run(service))
    except (KeyboardInterrupt, ConfigurationError) as error:
        code = 0 if isinstance(error, KeyboardInterrupt) else 1
    sys.exit(code)
