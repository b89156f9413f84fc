"""`labelstream migrate`: every service's schema brought to its newest version; doing it again changes nothing."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import typer
from rich.console import Console

from cli.output import JsonFlag, Output, fail
from shared.db.database import INFRASTRUCTURE, check_url
from shared.db.migrate import migrate
from shared.errors import ConfigurationError, RetryLater
from shared.topics import PRELABEL, SERVICES

WITH_DATABASE = tuple(name for name in SERVICES if name != PRELABEL)
SERVICES_DIR = Path(__file__).resolve().parents[1] / "services"
CONNECT_S = 10.0


async def migrate_all(urls: Mapping[str, str]) -> dict[str, list[str]]:
    """Bring the schema of each service up to date.

    Args:
        urls: service to the URL of a role that may create in its schema.

    Returns:
        Service to the files applied now.

    Raises:
        ConfigurationError: an applied file was edited since.
        RetryLater: a database does not answer.
    """
    applied: dict[str, list[str]] = {}
    for name, url in urls.items():
        try:
            connection = await asyncpg.connect(url, timeout=CONNECT_S)
        except (*INFRASTRUCTURE, asyncpg.InvalidAuthorizationSpecificationError) as error:
            raise RetryLater(f"the database of {name} does not answer: {error}") from error
        try:
            applied[name] = await migrate(connection, name, SERVICES_DIR / name / "migrations")
        finally:
            await connection.close()
    return applied


def urls_from_environment(names: tuple[str, ...]) -> dict[str, str]:
    """The database of each service, by its own settings.

    Raises:
        ConfigurationError: one is missing or not protected; says which variable.
    """
    urls = {}
    for name in names:
        prefix = f"LABELSTREAM_{name.upper()}_"
        url = os.environ.get(f"{prefix}DATABASE_URL", "")
        insecure = os.environ.get(f"{prefix}DATABASE_ALLOW_INSECURE", "").lower() in ("1", "true", "yes")
        try:
            check_url(url, allow_insecure=insecure)
        except ConfigurationError as error:
            raise ConfigurationError(f"{prefix}DATABASE_URL: {error}") from None
        urls[name] = url
    return urls


def command(
    services: Annotated[
        list[str] | None, typer.Argument(metavar="[SERVICE]...", help="Only these; all that have a database if none.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Bring the database of every service to its newest schema."""
    out = Output(as_json=as_json)
    names = tuple(services or WITH_DATABASE)
    unknown = sorted(set(names) - set(WITH_DATABASE))
    if unknown:
        fail(f"{', '.join(unknown)}: no service with a database; known: {', '.join(WITH_DATABASE)}")
    urls = urls_from_environment(names)
    with out.working("migrating"):
        applied = asyncio.run(migrate_all(urls))
    document: dict[str, Any] = {"applied": applied, "count": sum(map(len, applied.values()))}

    def render(to: Console) -> None:
        for name, files in applied.items():
            to.print(f"{name}: {', '.join(files) or 'nothing to do'}", markup=False)

    out.result(document, render)
