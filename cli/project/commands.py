"""`labelstream project apply | list | show | pause | resume`."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console

from cli.output import JsonFlag, Output, fail, table
from cli.project import presets
from cli.project.loader import load
from cli.project.versions import Application, ProjectHistory, closes_rounds, fold, plan, renames
from cli.reading import reference
from cli.settings import SOURCE, kafka_settings
from shared.bus.publisher import Publisher
from shared.bus.records import outgoing
from shared.clock import utc_now
from shared.events import ProjectPointer, ProjectSpec, ProjectVersion
from shared.runtime.settings import KafkaSettings
from shared.topics import PROJECTS

app = typer.Typer(no_args_is_help=True)

ProjectName = Annotated[str, typer.Argument(metavar="PROJECT", help="The project's name.", show_default=False)]


async def histories(kafka: KafkaSettings) -> dict[str, ProjectHistory]:
    """Every project that the topic holds."""
    return fold(await reference(kafka, PROJECTS))


async def publish(kafka: KafkaSettings, *events: ProjectVersion | ProjectPointer) -> None:
    """Publish in order: a version before the pointer to it."""
    async with Publisher(kafka) as publisher:
        for event in events:
            await publisher.publish([outgoing(PROJECTS, event, source=SOURCE)])


async def apply_spec(kafka: KafkaSettings, spec: ProjectSpec, *, now: datetime, dry_run: bool = False) -> Application:
    """Make `spec` the current version of its project, unless it already is.

    Raises:
        CommandFailed: another apply of the same project came in between.
    """
    known = await histories(kafka)
    application = plan(known.get(spec.project, ProjectHistory(spec.project)), spec, now=now)
    if application.pointer is None or dry_run:
        return application
    await publish(kafka, application.version, application.pointer)
    current = (await histories(kafka))[spec.project].current
    if current is None or current.spec != spec:
        fail(f"{spec.project}: another version was applied at the same moment; look at it and apply yours again")
    return application


@app.command("apply")
def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The project file (YAML).", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Validate and show the changes only.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Validate the file only; needs no broker.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Validate a project file and publish it as the project's current version."""
    out = Output(as_json=as_json)
    spec = load(file)
    if check:
        out.result({"project": spec.project, "valid": True}, lambda to: to.print(f"{spec.project}: the file is valid"))
        return
    kafka = kafka_settings()
    with out.working(f"publishing {spec.project}"):
        known = asyncio.run(histories(kafka))
        before = known.get(spec.project, ProjectHistory(spec.project)).current
        application = asyncio.run(apply_spec(kafka, spec, now=utc_now(), dry_run=dry_run))
    found = _applied(application, before.spec if before is not None else None, dry_run)
    out.result(found, lambda to: _show_applied(to, application, found))


def _applied(application: Application, before: ProjectSpec | None, dry_run: bool) -> dict[str, Any]:
    after = application.version.spec
    return {
        "project": application.version.project_id,
        "version": application.version.version,
        "status": "unchanged" if application.unchanged else "planned" if dry_run else "applied",
        "changes": [{"path": c.path, "before": c.before, "after": c.after} for c in application.changes],
        "classes_removed": list(closes_rounds(before, after)),
        "classes_renamed": dict(renames(before, after)),
    }


def _show_applied(to: Console, application: Application, found: dict[str, Any]) -> None:
    name, number = application.version.project_id, application.version.version
    if application.unchanged:
        to.print(f"{name}: unchanged, version {number} stays current")
        return
    for change in application.changes:
        to.print(f"  {change.path}: {change.before} -> {change.after}", markup=False)
    if found["classes_removed"]:
        gone = ", ".join(found["classes_removed"])
        to.print(f"  open rounds are closed and reopened: {gone} no longer exist", markup=False)
    for old, new in found["classes_renamed"].items():
        to.print(f"  {old} is called {new} from now on; its labels are given again, by nobody", markup=False)
    to.print(f"{name}: version {number} {'would be' if found['status'] == 'planned' else 'is now'} current")


@app.command("list")
def list_projects(as_json: JsonFlag = False) -> None:
    """List the projects and their current versions."""
    out = Output(as_json=as_json)
    with out.working("reading projects"):
        known = asyncio.run(histories(kafka_settings()))
    rows = [_summary(known[name]) for name in sorted(known)]
    headings = ("project", "version", "label", "data", "sources", "state", "applied")
    out.result({"projects": rows}, lambda to: to.print(table(headings, [[row[h] for h in headings] for row in rows])))


def _summary(history: ProjectHistory) -> dict[str, Any]:
    current = history.current
    return {
        "project": history.project_id,
        "version": current.version if current else None,
        "label": current.spec.label.kind if current else None,
        "data": current.spec.data if current else None,
        "sources": len(current.spec.sources) if current else 0,
        "state": "incomplete" if current is None else "paused" if history.paused else "active",
        "applied": current.applied_at.isoformat(timespec="seconds") if current else None,
    }


def _current(project: str) -> tuple[KafkaSettings, ProjectHistory, ProjectVersion]:
    kafka = kafka_settings()
    known = asyncio.run(histories(kafka))
    history = known.get(project)
    current = history.current if history is not None else None
    if history is None or current is None:
        fail(f"there is no project {project!r}; known: {', '.join(sorted(known)) or 'none'}")
    return kafka, history, current


@app.command("show")
def show(
    project: ProjectName,
    version: Annotated[int | None, typer.Option(help="Another version than the current one.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show a project's file as it is in force."""
    out = Output(as_json=as_json)
    _, history, current = _current(project)
    chosen = current if version is None else history.versions.get(version)
    if chosen is None:
        fail(f"{project} has no version {version}; it has {', '.join(str(v) for v in sorted(history.versions))}")
    spec = chosen.spec.model_dump(mode="json", exclude_none=True)
    document = _summary(history) | {"version": chosen.version, "versions": sorted(history.versions), "spec": spec}

    def render(to: Console) -> None:
        state = "current" if chosen is current else "old"
        to.print(f"# version {chosen.version} ({state}), {'paused' if history.paused else 'active'}", markup=False)
        to.print(yaml.safe_dump(spec, sort_keys=False, allow_unicode=True).rstrip(), markup=False)

    out.result(document, render)


@app.command("presets")
def show_presets(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Of one; absent: all.", show_default=False)] = None,
    as_json: JsonFlag = False,
) -> None:
    """List the presets of policies, or show one as YAML: `policy: {preset: NAME}` in a project file takes it."""
    out = Output(as_json=as_json)
    if name is None:
        known = [{"preset": one, "about": presets.about(one)} for one in presets.names()]
        rows = [[one["preset"], one["about"]] for one in known]
        out.result({"presets": known}, lambda to: to.print(table(("preset", "about"), rows)))
        return
    if name not in presets.names():
        fail(f"there is no preset {name!r}; known: {', '.join(presets.names())}")
    policy = presets.policy_of(name).model_dump(mode="json", exclude_none=True)
    document = {"preset": name, "about": presets.about(name), "policy": policy}
    out.result(document, lambda to: to.print(presets.text_of(name).rstrip(), markup=False, highlight=False))


@app.command("pause")
def pause(project: ProjectName, as_json: JsonFlag = False) -> None:
    """Stop the project's sources; what is under way goes on."""
    _set_paused(project, paused=True, as_json=as_json)


@app.command("resume")
def resume(project: ProjectName, as_json: JsonFlag = False) -> None:
    """Let the project's sources run again, from where they stopped."""
    _set_paused(project, paused=False, as_json=as_json)


def _set_paused(project: str, *, paused: bool, as_json: bool) -> None:
    out = Output(as_json=as_json)
    kafka, history, current = _current(project)
    changed = history.paused != paused
    if changed:
        pointer = ProjectPointer(project_id=project, version=current.version, paused=paused, applied_at=utc_now())
        asyncio.run(publish(kafka, pointer))
    word = "paused" if paused else "active"
    out.result(
        {"project": project, "version": current.version, "state": word, "changed": changed},
        lambda to: to.print(f"{project}: {'is now' if changed else 'was already'} {word}"),
    )
