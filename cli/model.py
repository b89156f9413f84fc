"""`labelstream model register | promote | rollback | list`."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from cli.output import JsonFlag, Output, fail, table
from cli.project.commands import histories
from cli.project.yamltree import Mistake, dotted, parse
from cli.reading import reference
from cli.settings import SOURCE, checked, kafka_settings
from services.prelabel.settings import PrelabelSettings
from services.prelabel.store.files import ModelRefused, sha256_of, store_model
from services.prelabel.store.inference import content_kind
from services.prelabel.store.objects import ObjectUnavailable
from services.prelabel.store.sessions import load_model
from shared.bus.publisher import Publisher
from shared.bus.records import outgoing
from shared.clock import utc_now
from shared.errors import ConfigurationError
from shared.events import Manifest, ModelPointer, ModelVersion, ProjectSpec
from shared.runtime.settings import KafkaSettings
from shared.topics import MODELS

SHORT_HASH = 12

app = typer.Typer(no_args_is_help=True)

Project = Annotated[str, typer.Option("--project", "-p", help="The project's name.", show_default=False)]


@dataclass(frozen=True, slots=True)
class ModelHistory:
    """The models of one project as the topic holds them."""

    project_id: str
    versions: Mapping[str, ModelVersion] = field(default_factory=dict)
    pointer: ModelPointer | None = None


def fold(events: Iterable[ModelVersion | ModelPointer]) -> dict[str, ModelHistory]:
    """The latest events of `models.v1`, by project."""
    versions: dict[str, dict[str, ModelVersion]] = {}
    pointers: dict[str, ModelPointer] = {}
    for event in events:
        if isinstance(event, ModelPointer):
            pointers[event.project_id] = event
        else:
            versions.setdefault(event.project_id, {})[event.version] = event
    return {
        name: ModelHistory(name, versions.get(name, {}), pointers.get(name))
        for name in sorted(versions.keys() | pointers.keys())
    }


def read_manifest(file: Path) -> Manifest:
    """A manifest file (YAML), read strictly.

    Raises:
        ConfigurationError: what is wrong, with its line.
    """
    try:
        tree = parse(file.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}; give the path of a manifest (YAML)") from error
    if tree.mistakes:
        raise ConfigurationError("\n".join(mistake.describe(str(file)) for mistake in tree.mistakes))
    try:
        return Manifest.model_validate(tree.data, extra="forbid")
    except ValidationError as error:
        lines = []
        for one in error.errors(include_url=False, include_input=False):
            path = _without_kinds(one["loc"], tree.data)
            lines.append(Mistake(tree.place(path), dotted(path), one["msg"]).describe(str(file)))
        raise ConfigurationError("\n".join(lines)) from None


def _without_kinds(path: tuple[int | str, ...], data: Any) -> tuple[int | str, ...]:
    """A validator's path without the kinds that it puts in where one of several was meant."""
    found: list[int | str] = []
    for part in path:
        if isinstance(data, dict) and part not in data and part == data.get("kind"):
            continue
        found.append(part)
        inside = (isinstance(data, dict) and part in data) or (isinstance(data, list) and isinstance(part, int))
        data = data[part] if inside else None
    return tuple(found)


async def _publish(kafka: KafkaSettings, event: ModelVersion | ModelPointer) -> None:
    async with Publisher(kafka) as publisher:
        await publisher.publish([outgoing(MODELS, event, source=SOURCE)])


def make_version(
    spec: ProjectSpec,
    content: bytes,
    manifest: Manifest,
    directory: Path,
    *,
    version: str | None,
    now: datetime,
    store: str = "",
    on_trial: bool = False,
) -> ModelVersion:
    """Check a model as prelabel will, and put its file into the model directory, or the object store.

    Raises:
        ConfigurationError: prelabel would refuse it: why.
    """
    reads = content_kind(manifest.input)
    if reads != spec.data:
        raise ConfigurationError(f"the model is refused: it reads {reads}, the items of {spec.project} are {spec.data}")
    sha256 = sha256_of(content)
    made = ModelVersion(
        project_id=spec.project,
        version=version or sha256[:SHORT_HASH],
        uri="file:///unknown",
        sha256=sha256,
        size_bytes=len(content),
        manifest=manifest,
        status="shadow" if on_trial else "candidate",
        registered_at=now,
    )
    try:
        load_model(content, made, generation=0, schema=spec.label)
        uri = store_model(content, directory=directory, store=store)
    except ModelRefused as error:
        raise ConfigurationError(f"the model is refused: {error}") from error
    except ObjectUnavailable as error:
        raise ConfigurationError(f"the model is not kept: {error}") from error
    return made.model_copy(update={"uri": uri})


async def register_model(
    kafka: KafkaSettings,
    project_id: str,
    content: bytes,
    manifest: Manifest,
    *,
    directory: Path,
    version: str | None = None,
    now: datetime | None = None,
    store: str = "",
    on_trial: bool = False,
) -> ModelVersion:
    """Check, keep and publish a model version. The same file and manifest again changes nothing.

    Args:
        kafka: how to reach Kafka.
        project_id: a project that was applied.
        content: the ONNX file.
        manifest: how to feed and read it.
        directory: prelabel's model directory.
        version: its name; absent: the first 12 characters of its sha256.
        now: when it was registered.
        store: of objects, instead of the directory.
        on_trial: prelabel runs it beside the live one, and the trainer's gate decides about it.

    Raises:
        ConfigurationError: the model would be refused.
        CommandFailed: the project is unknown, or the version's name is taken by another file.
    """
    project = (await histories(kafka)).get(project_id)
    if project is None or project.current is None:
        fail(f"project {project_id} is unknown; apply its file first: labelstream project apply FILE")
    made = await asyncio.to_thread(
        make_version,
        project.current.spec,
        content,
        manifest,
        directory,
        version=version,
        now=now or utc_now(),
        store=store,
        on_trial=on_trial,
    )
    before = (await models(kafka, project_id)).versions.get(made.version)
    if before is not None:
        if (before.sha256, before.manifest) == (made.sha256, made.manifest):
            return before
        fail(f"{project_id}: version {made.version} is registered with another file or manifest; name a new version")
    await _publish(kafka, made)
    return made


async def models(kafka: KafkaSettings, project_id: str) -> ModelHistory:
    """The models of one project."""
    return fold(await reference(kafka, MODELS)).get(project_id, ModelHistory(project_id))


async def promote_model(
    kafka: KafkaSettings, project_id: str, version: str, *, now: datetime | None = None
) -> ModelPointer:
    """Make a registered version the live one; the generation grows by one.

    Raises:
        CommandFailed: there is no such version, it is retired, or another promotion came in between.
    """
    history = await models(kafka, project_id)
    found = history.versions.get(version)
    if found is None:
        known = ", ".join(history.versions) or "none"
        fail(f"{project_id} has no model version {version}; registered: {known}")
    if found.status == "retired":
        fail(f"{project_id}: version {version} is retired; register it under a new name to use it again")
    before = history.pointer
    if before is not None and before.version == version:
        return before
    return await _point(kafka, project_id, version, before, now or utc_now())


async def rollback_model(kafka: KafkaSettings, project_id: str, *, now: datetime | None = None) -> ModelPointer:
    """Make the version live again that was live before.

    Raises:
        CommandFailed: there was none before, it is retired, or another promotion came in between.
    """
    history = await models(kafka, project_id)
    before = history.pointer
    if before is None or before.previous is None:
        fail(f"{project_id} has no earlier live model; promote a version by name")
    former = history.versions.get(before.previous)
    if former is not None and former.status == "retired":
        fail(f"{project_id}: {before.previous}, which was live before, is retired; promote another version by name")
    return await _point(kafka, project_id, before.previous, before, now or utc_now(), rolled_back=True)


async def _point(
    kafka: KafkaSettings,
    project_id: str,
    version: str,
    before: ModelPointer | None,
    now: datetime,
    *,
    rolled_back: bool = False,
) -> ModelPointer:
    pointer = ModelPointer(
        project_id=project_id,
        version=version,
        generation=before.generation + 1 if before else 1,
        previous=before.version if before else None,
        rolled_back=rolled_back,
        promoted_at=now,
    )
    await _publish(kafka, pointer)
    if (await models(kafka, project_id)).pointer != pointer:
        fail(f"{project_id}: another version was promoted at the same moment; look at it and promote yours again")
    return pointer


@app.command("register")
def register(
    *,
    project: Project,
    file: Annotated[Path, typer.Option("--file", "-f", help="The model (ONNX, one file).", show_default=False)],
    manifest: Annotated[Path, typer.Option("--manifest", "-m", help="Its manifest (YAML).", show_default=False)],
    version: Annotated[
        str | None, typer.Option("--version", help="Its name.", show_default="first 12 of its sha256")
    ] = None,
    trial: Annotated[
        bool, typer.Option("--trial", help="Run it beside the live one; the trainer's gate promotes or retires it.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Check a model as prelabel will, copy it into the model directory or store, and publish it. It is not live yet."""
    out = Output(as_json=as_json)
    described = read_manifest(manifest)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}; give the path of an ONNX file") from error
    kafka, settings = kafka_settings(), checked(PrelabelSettings)
    registering = register_model(
        kafka,
        project,
        content,
        described,
        directory=settings.model_dir,
        version=version,
        store=settings.model_store,
        on_trial=trial,
    )
    with out.working(f"registering {file.name}"):
        made = asyncio.run(registering)
    document = {"project": project, "version": made.version, "sha256": made.sha256, "uri": made.uri}
    hint = f"labelstream model promote --project {project} {made.version}"
    out.result(document, lambda to: to.print(f"{project}: {made.version} is registered; make it live: {hint}"))


@app.command("promote")
def promote(
    project: Project,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="A registered version.", show_default=False)],
    as_json: JsonFlag = False,
) -> None:
    """Make a version live: prelabel swaps to it between batches."""
    out = Output(as_json=as_json)
    with out.working(f"promoting {version}"):
        pointer = asyncio.run(promote_model(kafka_settings(), project, version))
    _show_pointer(out, pointer)


@app.command("rollback")
def rollback(project: Project, as_json: JsonFlag = False) -> None:
    """Make the version live that was live before."""
    out = Output(as_json=as_json)
    with out.working(f"rolling back {project}"):
        pointer = asyncio.run(rollback_model(kafka_settings(), project))
    _show_pointer(out, pointer)


def _show_pointer(out: Output, pointer: ModelPointer) -> None:
    document = pointer.model_dump(mode="json", include={"project_id", "version", "generation", "previous"})
    document["project"] = document.pop("project_id")
    text = f"{pointer.project_id}: {pointer.version} is live (generation {pointer.generation})"
    out.result(document, lambda to: to.print(text, markup=False))


@app.command("list")
def list_models(
    project: Annotated[str | None, typer.Option("--project", "-p", help="Only this project's.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List the registered versions, and which are live."""
    out = Output(as_json=as_json)
    with out.working("reading models"):
        known = fold(asyncio.run(reference(kafka_settings(), MODELS)))
    rows = [row for name, history in known.items() if project in (None, name) for row in _rows(history)]
    headings = ("project", "version", "live", "status", "input", "classes", "registered")
    out.result({"models": rows}, lambda to: to.print(table(headings, [[row[h] for h in headings] for row in rows])))


def _rows(history: ModelHistory) -> list[dict[str, Any]]:
    pointer = history.pointer
    return [
        {
            "project": history.project_id,
            "version": one.version,
            "live": pointer is not None and pointer.version == one.version,
            "generation": pointer.generation if pointer is not None and pointer.version == one.version else None,
            "status": one.status,
            "input": one.manifest.input.kind,
            "classes": len(one.manifest.classes),
            "sha256": one.sha256,
            "registered": one.registered_at.isoformat(),
        }
        for one in sorted(history.versions.values(), key=lambda version: version.registered_at)
    ]
