"""`labelstream run SERVICE`: one service in this process, configured by its environment variables."""

import importlib
from typing import Annotated

import typer

from cli.output import fail
from cli.settings import checked
from shared.runtime.serve import serve
from shared.topics import PACKAGES, PROCESSES

ServiceName = Annotated[str, typer.Argument(metavar="SERVICE", help=", ".join(PROCESSES), show_default=False)]


def command(service: ServiceName) -> None:
    """Run one service against the configured broker and database; SIGTERM and Ctrl-C drain it."""
    if service not in PROCESSES:
        fail(f"there is no service {service!r}; known: {', '.join(PROCESSES)}")
    app = importlib.import_module(f"{PACKAGES[service]}.app")
    settings = importlib.import_module(f"{PACKAGES[service]}.settings")
    serve(app.build(checked(getattr(settings, f"{service.capitalize()}Settings"))))
