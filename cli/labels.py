"""`labelstream labels split`: a class becomes several; what it had goes to people again."""

import asyncio
import math
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.audit.databases import DatabaseUrls, snapshot
from cli.output import JsonFlag, Output, fail
from cli.project.commands import apply_spec, histories
from cli.reading import reference
from cli.settings import checked, kafka_settings
from shared.clock import utc_now
from shared.errors import ConfigurationError
from shared.events import ProjectSpec
from shared.labels import Choice, Choices, ChoiceSchema, ChoicesSchema
from shared.topics import GOLD_ANSWERS

app = typer.Typer(no_args_is_help=True)

MADE = "SELECT labelled, answered FROM class_counts WHERE project_id = $1 AND class = $2"
OPEN = "SELECT count(*) FROM rounds WHERE project_id = $1 AND NOT ended"


@app.callback()
def _group() -> None:
    """Changes of a project's classes."""


def split_spec(spec: ProjectSpec, old: str, into: Sequence[str]) -> ProjectSpec:
    """The project with `into` in the place of the class `old`.

    Raises:
        ConfigurationError: the labels have no such classes, or a new one is there already.
    """
    label = spec.label
    if not isinstance(label, ChoiceSchema | ChoicesSchema):
        raise ConfigurationError(f"{spec.project}: only classes of choice and choices can be split")
    if old not in label.classes:
        raise ConfigurationError(f"{old}: not a class of {spec.project}; it has {', '.join(label.classes)}")
    known = sorted({name for name in into if name in label.classes or list(into).count(name) > 1})
    if known:
        raise ConfigurationError(f"{known[0]}: is a class already; the new classes take the place of {old}")
    if len(into) < 2:  # noqa: PLR2004
        raise ConfigurationError("give two classes or more that take its place")
    place = label.classes.index(old)
    classes = (*label.classes[:place], *into, *label.classes[place + 1 :])
    changed = type(label).model_validate(label.model_dump() | {"classes": classes})
    return spec.model_copy(update={"label": changed})


async def _preview(spec: ProjectSpec, old: str) -> dict[str, Any]:
    """What the change touches, from the databases of qc and assignment and the topic of gold."""
    urls = checked(DatabaseUrls).urls()
    async with snapshot("qc", urls["qc"]) as connection:
        row = await connection.fetchrow(MADE, spec.project, old)
    async with snapshot("assignment", urls["assignment"]) as connection:
        rounds = await connection.fetchval(OPEN, spec.project)
    labels, answers = (row["labelled"], row["answered"]) if row is not None else (0, 0)
    budget = spec.policy.relabel.review_per_day
    gold = await reference(kafka_settings(), GOLD_ANSWERS)
    return {
        "labels_to_give_again": labels,
        "days_within_the_budget": math.ceil(labels / budget) if budget else None,
        "answers_that_count_no_more": answers,
        "open_rounds_to_begin_again": rounds,
        "gold_answers_to_import_again": sum(one.project_id == spec.project and _names(one.value, old) for one in gold),
    }


def _names(value: object, old: str) -> bool:
    return (isinstance(value, Choice) and value.choice == old) or (isinstance(value, Choices) and old in value.choices)


@app.command("split")
def split(
    *,
    old: Annotated[str, typer.Argument(metavar="CLASS", help="The class to be split.", show_default=False)],
    into: Annotated[list[str], typer.Argument(metavar="NEW...", help="What takes its place.", show_default=False)],
    project: Annotated[str, typer.Option("--project", "-p", help="The project's name.", show_default=False)],
    preview: Annotated[bool, typer.Option("--preview", help="Show what it would touch, and change nothing.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Split a class: labels of it go to people again, within the project's budget of reviews a day."""
    out = Output(as_json=as_json)
    kafka = kafka_settings()
    with out.working(f"splitting {old} of {project}"):
        known = asyncio.run(histories(kafka))
        current = known[project].current if project in known else None
        if current is None:
            fail(f"there is no project {project!r}; known: {', '.join(sorted(known)) or 'none'}")
        spec = split_spec(current.spec, old, into)
        touched = asyncio.run(_preview(current.spec, old))
        version = None if preview else asyncio.run(apply_spec(kafka, spec, now=utc_now())).version.version
    found = {"project": project, "class": old, "into": into, "version": version, **touched}
    out.result(found, lambda to: _show(to, found))


def _show(to: Console, found: dict[str, Any]) -> None:
    for name in (
        "labels_to_give_again", "days_within_the_budget", "answers_that_count_no_more", "open_rounds_to_begin_again",
        "gold_answers_to_import_again",
    ):  # fmt: skip
        to.print(f"  {name.replace('_', ' ')}: {found[name]}", markup=False)
    if found["version"] is None:
        to.print("nothing was changed: a preview")
    else:
        to.print(f"{found['project']}: version {found['version']} is now current; change the project file, too")
