"""`labelstream labels split | rename`: changes of classes.

A class becomes several, and what it had goes to people again; or it is called something else, and nobody is asked.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console

from cli.audit.databases import DatabaseUrls, snapshot
from cli.output import JsonFlag, Output, fail
from cli.project.commands import apply_spec, histories
from cli.reading import reference
from cli.settings import checked, kafka_settings
from shared.clock import utc_now
from shared.errors import ConfigurationError
from shared.events import ModelPointer, ModelVersion, ProjectSpec
from shared.labels import Choice, Choices, ChoiceSchema, ChoicesSchema, names_of
from shared.runtime.settings import KafkaSettings
from shared.topics import GOLD_ANSWERS, MODELS

app = typer.Typer(no_args_is_help=True)

MADE = (
    "SELECT coalesce(sum(labelled), 0)::bigint AS labelled, coalesce(sum(answered), 0)::bigint AS answered"
    " FROM class_counts WHERE project_id = $1 AND class = ANY($2::text[])"
)
BY_MODEL = (
    "SELECT count(*) FROM (SELECT CASE WHEN guess LIKE '%\"accepted\":true%' THEN guess::jsonb -> 'value'"
    " ELSE guess::jsonb -> 'label' END AS given FROM items WHERE project_id = $1 AND standing = 'labelled'"
    " AND (guess LIKE '%\"accepted\":true%' OR guess LIKE '%\"label\":{%')) AS of_models"
    " WHERE given ->> 'choice' = ANY($2::text[]) OR given -> 'choices' ?| $2::text[]"
)
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
    return _with(spec, {"classes": classes})


def rename_spec(spec: ProjectSpec, old: str, new: str) -> ProjectSpec:
    """The project with its class `old` called `new`, and the rename kept beside the earlier ones.

    Raises:
        ConfigurationError: the labels have no such class, or the name is taken.
    """
    label = spec.label
    if not isinstance(label, ChoiceSchema | ChoicesSchema):
        raise ConfigurationError(f"{spec.project}: only classes of choice and choices can be renamed")
    if old not in label.classes:
        raise ConfigurationError(f"{old}: not a class of {spec.project}; it has {', '.join(label.classes)}")
    if new in label.classes:
        raise ConfigurationError(f"{new}: is a class already; a rename makes no two classes one")
    classes = tuple(new if name == old else name for name in label.classes)
    return _with(spec, {"classes": classes, "renamed": label.renamed | {old: new}})


def _with(spec: ProjectSpec, changes: dict[str, Any]) -> ProjectSpec:
    """The project with another label schema."""
    try:
        changed = type(spec.label).model_validate(spec.label.model_dump() | changes)
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"{spec.project}: label: {said}") from None
    return spec.model_copy(update={"label": changed})


@dataclass(frozen=True, slots=True)
class Touched:
    """What a change of a class touches."""

    labels: int
    labels_by_model: int
    answers: int
    open_rounds: int
    gold_answers: int


async def _touched(spec: ProjectSpec, old: str) -> Touched:
    """Counted in the databases of qc and assignment and the topic of gold; under every name that the class ever had."""
    urls, names = checked(DatabaseUrls).urls(), names_of(spec.label)
    called = [old, *names.former(old)]
    async with snapshot("qc", urls["qc"]) as connection:
        made = await connection.fetchrow(MADE, spec.project, called)
    async with snapshot("assignment", urls["assignment"]) as connection:
        rounds = await connection.fetchval(OPEN, spec.project)
        by_model = await connection.fetchval(BY_MODEL, spec.project, called)
    gold = [one for one in await reference(kafka_settings(), GOLD_ANSWERS) if one.project_id == spec.project]
    known = sum(_names(names.value(one.value), old) for one in gold)
    return Touched(made["labelled"], by_model, made["answered"], rounds, known)


def _names(value: object, old: str) -> bool:
    return (isinstance(value, Choice) and value.choice == old) or (isinstance(value, Choices) and old in value.choices)


def _of_split(spec: ProjectSpec, found: Touched) -> dict[str, Any]:
    budget = spec.policy.relabel.review_per_day
    most = max(found.labels, found.labels_by_model)  # each of the two reviews has the budget
    return {
        "labels_to_give_again": found.labels,
        "labels_by_model_to_give_again": found.labels_by_model,
        "days_within_the_budget": math.ceil(most / budget) if budget else None,
        "answers_that_count_no_more": found.answers,
        "open_rounds_to_begin_again": found.open_rounds,
        "gold_answers_to_import_again": found.gold_answers,
    }


async def _of_rename(spec: ProjectSpec, old: str, found: Touched) -> dict[str, Any]:
    return {
        "labels_to_rename": found.labels,
        "labels_by_model_to_rename": found.labels_by_model,
        "answers_that_go_on_counting": found.answers,
        "open_rounds_that_go_on": found.open_rounds,
        "gold_answers_that_go_on_counting": found.gold_answers,
        "live_model_that_says_the_old_name": await _live_model(spec, old),
        "opinions_to_pay": 0,
    }


async def _live_model(spec: ProjectSpec, old: str) -> str | None:
    """The live model, where it learned the class under this name."""
    events = [one for one in await reference(kafka_settings(), MODELS) if one.project_id == spec.project]
    live = next((one.version for one in events if isinstance(one, ModelPointer)), None)
    symbols = names_of(spec.label).symbol
    for one in events:
        if isinstance(one, ModelVersion) and one.version == live:
            parts = {part for name in one.manifest.classes for part in _parts(symbols(name), spec)}
            return live if old in parts else None
    return None


def _parts(symbol: str, spec: ProjectSpec) -> Sequence[str]:
    return symbol.split("|") if isinstance(spec.label, ChoicesSchema) else (symbol,)


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
        current = _current(kafka, project)
        spec = split_spec(current, old, into)
        _check(kafka, spec)
        touched = _of_split(current, asyncio.run(_touched(current, old)))
        version = None if preview else asyncio.run(apply_spec(kafka, spec, now=utc_now())).version.version
    found = {"project": project, "class": old, "into": into, "version": version, **touched}
    out.result(found, lambda to: _show(to, found, touched))


@app.command("rename")
def rename(
    *,
    old: Annotated[str, typer.Argument(metavar="OLD", help="The class.", show_default=False)],
    new: Annotated[str, typer.Argument(metavar="NEW", help="What it is called from now on.", show_default=False)],
    project: Annotated[str, typer.Option("--project", "-p", help="The project's name.", show_default=False)],
    preview: Annotated[bool, typer.Option("--preview", help="Show what it would touch, and change nothing.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Rename a class: its labels are given again under the new name, and nobody is asked."""
    out = Output(as_json=as_json)
    kafka = kafka_settings()
    with out.working(f"renaming {old} of {project}"):
        current = _current(kafka, project)
        spec = rename_spec(current, old, new)
        _check(kafka, spec)
        touched = asyncio.run(_renamed(current, old))
        version = None if preview else asyncio.run(apply_spec(kafka, spec, now=utc_now())).version.version
    found = {"project": project, "class": old, "into": new, "version": version, **touched}
    out.result(found, lambda to: _show(to, found, touched))


async def _renamed(spec: ProjectSpec, old: str) -> dict[str, Any]:
    return await _of_rename(spec, old, await _touched(spec, old))


def _check(kafka: KafkaSettings, spec: ProjectSpec) -> None:
    """Find out what is wrong with a change before anything is counted.

    Raises:
        ConfigurationError: it takes back a rename, or gives a class a name that another one had.
    """
    asyncio.run(apply_spec(kafka, spec, now=utc_now(), dry_run=True))


def _current(kafka: KafkaSettings, project: str) -> ProjectSpec:
    known = asyncio.run(histories(kafka))
    current = known[project].current if project in known else None
    if current is None:
        fail(f"there is no project {project!r}; known: {', '.join(sorted(known)) or 'none'}")
    return current.spec


def _show(to: Console, found: dict[str, Any], touched: dict[str, Any]) -> None:
    for name, number in touched.items():
        to.print(f"  {name.replace('_', ' ')}: {'none' if number is None else number}", markup=False)
    if found["version"] is None:
        to.print("nothing was changed: a preview")
    else:
        to.print(f"{found['project']}: version {found['version']} is now current; change the project file, too")
