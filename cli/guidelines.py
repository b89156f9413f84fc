"""`labelstream guidelines publish | list`: the written guideline of a project, and which classes a change touches."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from cli.frontmatter import GuidelineText, read_guideline
from cli.output import JsonFlag, Output, fail, table
from cli.project.commands import histories
from cli.reading import reference
from cli.settings import SOURCE, kafka_settings
from shared.bus.publisher import Publisher
from shared.bus.records import outgoing
from shared.clock import utc_now
from shared.errors import ConfigurationError
from shared.events import GuidelinePointer, GuidelineVersion, ProjectSpec
from shared.runtime.settings import KafkaSettings
from shared.topics import GUIDELINES

app = typer.Typer(no_args_is_help=True)

Event = GuidelineVersion | GuidelinePointer


@app.callback()
def _group() -> None:
    """The written guidelines of projects."""


def current_of(events: Sequence[Event], project: str) -> GuidelineVersion | None:
    """The guideline in force, or None."""
    pointed = max((e.version for e in events if isinstance(e, GuidelinePointer) and e.project_id == project), default=0)
    own = (e for e in events if isinstance(e, GuidelineVersion) and e.project_id == project)
    return next((event for event in own if event.version == pointed), None)


def next_version(
    events: Sequence[Event], spec: ProjectSpec, text: GuidelineText, touches: Sequence[str], *, now: datetime
) -> GuidelineVersion | None:
    """The version to publish, one above all that exist; None where the text is already in force.

    Raises:
        ConfigurationError: the text is empty or too long, a touched class is not one of the project's, or the version
            that the file names is another.
    """
    if not text.markdown.strip():
        raise ConfigurationError("the guideline is empty")
    touches = sorted({*touches, *text.head.touches})
    classes = set(getattr(spec.label, "classes", ()))
    unknown = sorted({*touches, *(one.label for one in text.head.examples)} - classes) if classes else []
    if unknown:
        raise ConfigurationError(f"{unknown[0]}: not a class of {spec.project}")
    current = current_of(events, spec.project)
    if current is not None and (current.markdown, current.examples) == (text.markdown, text.head.examples):
        return None
    highest = max((e.version for e in events if e.project_id == spec.project), default=0)
    if text.head.version not in (None, highest + 1):
        raise ConfigurationError(f"version: the file says {text.head.version}; the next one is {highest + 1}")
    try:
        return GuidelineVersion(
            project_id=spec.project,
            version=highest + 1,
            markdown=text.markdown,
            touched_classes=tuple(touches),
            examples=text.head.examples,
            published_at=now,
        )
    except ValidationError as error:
        raise ConfigurationError(f"the guideline: {error.errors(include_url=False)[0]['msg']}") from None


async def publish_guideline(kafka: KafkaSettings, version: GuidelineVersion) -> None:
    """Publish a version, then the pointer to it.

    Raises:
        RetryLater: it may not have arrived; publishing again is right.
    """
    pointer = GuidelinePointer(
        project_id=version.project_id, version=version.version, published_at=version.published_at
    )
    async with Publisher(kafka) as publisher:
        for event in (version, pointer):
            await publisher.publish([outgoing(GUIDELINES, event, source=SOURCE)])


@app.command("publish")
def publish(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The guideline (Markdown).", show_default=False)],
    project: Annotated[str, typer.Option("--project", "-p", help="The project's name.", show_default=False)],
    touches: Annotated[
        list[str] | None, typer.Option("--touches", help="A class whose meaning the change touches; repeatable.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Publish a guideline as the project's current version; new rounds show it."""
    out = Output(as_json=as_json)
    text = read_guideline(file)
    kafka = kafka_settings()
    with out.working(f"publishing the guideline of {project}"):
        known = asyncio.run(histories(kafka))
        applied = known[project].current if project in known else None
        if applied is None:
            fail(f"there is no project {project!r}; known: {', '.join(sorted(known)) or 'none'}")
        events = asyncio.run(reference(kafka, GUIDELINES))
        version = next_version(events, applied.spec, text, touches or [], now=utc_now())
        if version is not None:
            asyncio.run(publish_guideline(kafka, version))
    shown = version or current_of(events, project)
    number = shown.version if shown is not None else 0
    touched = list(shown.touched_classes) if shown is not None else []
    status = "published" if version is not None else "unchanged"
    out.result(
        {"project": project, "version": number, "status": status, "touched_classes": touched},
        lambda to: to.print(f"{project}: guideline version {number} {status}", markup=False),
    )


@app.command("list")
def list_guidelines(as_json: JsonFlag = False) -> None:
    """List the guideline versions of every project."""
    out = Output(as_json=as_json)
    with out.working("reading guidelines"):
        events = asyncio.run(reference(kafka_settings(), GUIDELINES))
    versions = sorted((e for e in events if isinstance(e, GuidelineVersion)), key=lambda e: (e.project_id, e.version))
    rows = [
        {
            "project": event.project_id,
            "version": event.version,
            "current": event == current_of(events, event.project_id),
            "touches": ", ".join(event.touched_classes),
            "published": event.published_at.isoformat(timespec="seconds"),
        }
        for event in versions
    ]
    headings = ("project", "version", "current", "touches", "published")
    out.result({"guidelines": rows}, lambda to: to.print(table(headings, [list(row.values()) for row in rows])))
