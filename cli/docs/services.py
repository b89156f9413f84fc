"""docs/asyncapi/<service>.json and docs/openapi.json: what each service says of itself."""

import importlib
import json
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic_settings import BaseSettings
from starlette.applications import Starlette
from starlette.routing import Mount

from shared.runtime.service import Service
from shared.runtime.settings import KafkaSettings, ServiceSettings
from shared.topics import ASSIGNMENT, PACKAGES, PROCESSES

ASYNCAPI = Path("docs/asyncapi")
OPENAPI = Path("docs/openapi.json")


def build(name: str) -> Service:
    """A service as wired, never started; its documents depend on no setting."""
    module = importlib.import_module(f"{PACKAGES[name]}.settings")
    (cls,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, ServiceSettings) and value.__module__ == module.__name__
    )
    kafka = KafkaSettings(security_protocol="PLAINTEXT", allow_insecure=True)
    extra: dict[str, Any] = {"database_allow_insecure": True} if "database_url" in cls.model_fields else {}
    settings: BaseSettings = cls(kafka=kafka, **extra)
    service: Service = importlib.import_module(f"{PACKAGES[name]}.app").build(settings)
    return service


def asyncapi(name: str) -> dict[str, Any]:
    """The AsyncAPI document of a service."""
    return build(name).asyncapi()


def openapi() -> dict[str, Any]:
    """The OpenAPI document of the annotators' API; its paths hold no mount prefix.

    Raises:
        LookupError: assignment mounts no FastAPI application.
    """
    application = build(ASSIGNMENT).asgi()
    assert isinstance(application, Starlette)  # noqa: S101  # narrows for the type checker
    for route in application.routes:
        if isinstance(route, Mount) and isinstance(route.app, FastAPI):
            return route.app.openapi()
    raise LookupError("assignment mounts no FastAPI application")


def directions(document: dict[str, Any]) -> tuple[set[str], set[str]]:
    """The topics that an AsyncAPI document reads and writes."""
    reads: set[str] = set()
    writes: set[str] = set()
    for operation in document["operations"].values():
        channel = document["channels"][operation["channel"]["$ref"].rsplit("/", 1)[-1].replace("~1", "/")]
        (reads if operation["action"] == "receive" else writes).add(channel["address"])
    return reads, writes


def as_json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def pages() -> dict[Path, str]:
    """Every document, by its path in the repository."""
    found = {ASYNCAPI / f"{name}.json": as_json(asyncapi(name)) for name in PROCESSES}
    return found | {OPENAPI: as_json(openapi())}
