"""`labelstream gold import | list`: items whose answer is known, mixed blindly among the others to measure people."""

import asyncio
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from cli.annotator import Token, Url, address
from cli.api import Api
from cli.output import JsonFlag, Output, fail, table
from cli.project.commands import histories
from cli.reading import reference
from cli.settings import SOURCE, kafka_settings
from shared.bus.publisher import Publisher
from shared.bus.records import Outgoing, outgoing
from shared.clock import utc_now
from shared.errors import ConfigurationError
from shared.events import GoldAnswer, GoldItem, ProjectSpec
from shared.labels import check_label
from shared.runtime.settings import KafkaSettings
from shared.topics import GOLD_ANSWERS, GOLD_ITEMS

app = typer.Typer(no_args_is_help=True)

Project = Annotated[str, typer.Option("--project", "-p", help="The project's name.", show_default=False)]

MAX_MISTAKES = 20
CHUNK = 500
IDS = ("id", "item", "task")
KNOWN = frozenset({*IDS, "content", "label", "explanation"})


@dataclass(frozen=True, slots=True)
class Gold:
    """One line: the item as annotators may see it, and its answer."""

    item: GoldItem
    answer: GoldAnswer


class _Wrong(Exception):  # noqa: N818  # caught where it is raised from
    """What is wrong with one line."""


@app.callback()
def _group() -> None:
    """Items whose answer is known."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    repeated = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if repeated:
        raise _Wrong(f"{repeated[0]}: given twice")
    return dict(pairs)


def _constant(text: str) -> float:
    raise _Wrong(f"{text} is not a JSON number")


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _Wrong(f"{text} is too large a number")
    return number


def _parsed(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line, object_pairs_hook=_unique, parse_constant=_constant, parse_float=_number)
    except json.JSONDecodeError as error:
        raise _Wrong(f"column {error.colno}: not JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise _Wrong(f"not JSON: {error}") from None
    if not isinstance(row, dict):
        raise _Wrong("a line must be an object with id, content and label")
    unknown = sorted(row.keys() - KNOWN)
    if unknown:
        raise _Wrong(f"{unknown[0]}: unknown field; a line has id, content, label and perhaps explanation")
    return row


def _id_of(row: dict[str, Any]) -> str:
    given = [row[name] for name in IDS if name in row]
    if len(given) != 1:
        raise _Wrong("give the item's id once, as `id`")
    if isinstance(given[0], bool) or not isinstance(given[0], str | int):
        raise _Wrong("id: must be a text")
    return str(given[0])


def _content_of(row: dict[str, Any], spec: ProjectSpec) -> Any:
    """The content: as the events have it, or short: a text, a list of numbers, an address, or an object of fields."""
    if "content" not in row:
        raise _Wrong("content: missing")
    content = row["content"]
    match spec.data, content:
        case _, {"kind": kind}:
            if kind != spec.data:
                raise _Wrong(f"content.kind: the project's data is {spec.data!r}, this is {kind!r}")
            return content
        case "text", str():
            return {"kind": "text", "text": content}
        case "features", list():
            return {"kind": "features", "features": content}
        case (("image" | "audio" | "video"), str()):
            return {"kind": spec.data, "uri": content}
        case (("image" | "audio" | "video"), dict()):
            return {"kind": spec.data} | content
        case "json", dict():
            return {"kind": "json", "fields": content}
        case _:
            raise _Wrong(f"content: does not fit the project's data, {spec.data!r}")


def _label_of(row: dict[str, Any], spec: ProjectSpec) -> Any:
    """The answer: as the events have it, or short: a class, a list of classes, a number, a transcript."""
    if "label" not in row:
        raise _Wrong("label: missing")
    label, kind = row["label"], spec.label.kind
    match kind, label:
        case _, dict():
            return {"kind": kind} | label
        case "choice", str() | int() if not isinstance(label, bool):
            return {"kind": kind, "choice": str(label)}
        case "choices", list():
            return {"kind": kind, "choices": label}
        case "rating", int() | float() if not isinstance(label, bool):
            return {"kind": kind, "rating": label}
        case "transcript", str():
            return {"kind": kind, "text": label}
        case _:
            raise _Wrong(f"label: does not fit the project's labels, {kind!r}")


def _place(error: ValidationError, inside: str) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    path = ".".join(str(part) for part in first["loc"] if part not in ("content", "value"))
    return f"{inside}{'.' if path else ''}{path}: {first['msg'].removeprefix('Value error, ')}"


def read_line(line: str, spec: ProjectSpec, now: datetime) -> Gold:
    """One line of the file as events, checked against the project.

    Raises:
        ConfigurationError: what is wrong, without the line's number.
    """
    try:
        row = _parsed(line)
        common = {"project_id": spec.project, "item_id": _id_of(row), "created_at": now}
        content, label = _content_of(row, spec), _label_of(row, spec)
    except _Wrong as error:
        raise ConfigurationError(str(error)) from None
    try:
        item = GoldItem.model_validate(common | {"content": content})
    except ValidationError as error:
        raise ConfigurationError(_place(error, "content")) from None
    uri = getattr(item.content, "uri", None)
    if uri is not None and not uri.startswith(spec.uri_prefixes):
        raise ConfigurationError("content.uri: under none of the project's uri_prefixes, so nobody could open it")
    try:
        explanation = {"explanation": row["explanation"]} if "explanation" in row else {}
        answer = GoldAnswer.model_validate(common | {"value": label} | explanation)
        check_label(answer.value, spec.label, text=getattr(item.content, "text", None))
    except ValidationError as error:
        raise ConfigurationError(_place(error, "label")) from None
    except ValueError as error:
        raise ConfigurationError(f"label.{error}") from None
    return Gold(item, answer)


def _numbered(file: Path) -> Iterator[tuple[int, str]]:
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}; give the path of a JSON Lines file") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file}: not UTF-8 at byte {error.start}") from error
    yield from ((number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip())


def read_gold(file: Path, spec: ProjectSpec, *, now: datetime) -> list[Gold]:
    """A JSON Lines file of `{"id", "content", "label", "explanation"?}`, every line checked before any is used.

    Raises:
        ConfigurationError: the mistakes, each with its line; at most 20 of them.
    """
    found: list[Gold] = []
    mistakes: list[str] = []
    lines: dict[str, int] = {}
    for number, line in _numbered(file):
        try:
            gold = read_line(line, spec, now)
        except ConfigurationError as error:
            mistakes.append(f"{file}:{number}: {error}")
            continue
        first = lines.setdefault(gold.item.item_id, number)
        if first != number:
            mistakes.append(f"{file}:{number}: id: {gold.item.item_id!r} is already on line {first}")
        found.append(gold)
    if mistakes:
        more = [f"and {len(mistakes) - MAX_MISTAKES} more"] if len(mistakes) > MAX_MISTAKES else []
        raise ConfigurationError("\n".join([*mistakes[:MAX_MISTAKES], *more]))
    if not found:
        raise ConfigurationError(f"{file}: holds no line")
    return found


async def publish_gold(kafka: KafkaSettings, found: Iterable[Gold]) -> None:
    """Publish, the answers first, so that an answer to a gold item can be scored when it comes.

    Raises:
        RetryLater: some may not have arrived; importing the file again is right.
    """
    gold = list(found)
    records: list[Outgoing] = [outgoing(GOLD_ANSWERS, one.answer, source=SOURCE) for one in gold]
    records += [outgoing(GOLD_ITEMS, one.item, source=SOURCE) for one in gold]
    async with Publisher(kafka) as publisher:
        for start in range(0, len(records), CHUNK):
            await publisher.publish(records[start : start + CHUNK])


async def new_or_changed(kafka: KafkaSettings, found: Iterable[Gold]) -> list[Gold]:
    """Those that the topics do not hold just so already."""
    items = {event.key: event for event in await reference(kafka, GOLD_ITEMS)}
    answers = {event.key: event for event in await reference(kafka, GOLD_ANSWERS)}

    def is_known(one: Gold) -> bool:
        item, answer = items.get(one.item.key), answers.get(one.answer.key)
        return (
            item is not None
            and answer is not None
            and (item.content, item.retired) == (one.item.content, one.item.retired)
            and (answer.value, answer.explanation) == (one.answer.value, one.answer.explanation)
        )

    return [one for one in found if not is_known(one)]


@app.command("import")
def import_gold(
    project: Project,
    file: Annotated[Path, typer.Option("--file", "-f", help="JSON Lines: id, content, label.", show_default=False)],
    as_json: JsonFlag = False,
) -> None:
    """Import items whose answer is known; importing a file again changes nothing."""
    out = Output(as_json=as_json)
    kafka = kafka_settings()
    with out.working(f"importing gold items of {project}"):
        known = asyncio.run(histories(kafka))
        current = known[project].current if project in known else None
        if current is None:
            fail(f"there is no project {project!r}; known: {', '.join(sorted(known)) or 'none'}")
        found = read_gold(file, current.spec, now=utc_now())
        fresh = asyncio.run(new_or_changed(kafka, found))
        asyncio.run(publish_gold(kafka, fresh))
    document = {"project": project, "items": len(found), "published": len(fresh), "unchanged": len(found) - len(fresh)}
    out.result(
        document,
        lambda to: to.print(f"{project}: {len(fresh)} gold items published, {len(found) - len(fresh)} unchanged"),
    )


@app.command("mark")
def mark_gold(
    *,
    project: Project,
    items: Annotated[list[str], typer.Argument(metavar="ITEM...", help="Items that an expert decided.")],
    url: Url = None,
    token: Token = None,
    as_json: JsonFlag = False,
) -> None:
    """Make experts' decisions gold, through the assignment service's API."""

    async def call() -> dict[str, Any]:
        async with Api(*address(url, token)) as api:
            return await api.post(f"/v1/projects/{project}/gold", {"item_ids": items})

    found = asyncio.run(call())["results"]
    refused = [f"{one['item_id']}: {one['problem']['message']}" for one in found if one["problem"] is not None]
    if refused:
        fail("\n".join([*refused, f"{len(found) - len(refused)} of {len(found)} items are gold"]))
    Output(as_json=as_json).result({"results": found}, lambda to: to.print(f"{project}: {len(found)} items are gold"))


@app.command("list")
def list_gold(as_json: JsonFlag = False) -> None:
    """Count the gold items of every project."""
    out = Output(as_json=as_json)
    kafka = kafka_settings()
    with out.working("reading gold items"):
        items = asyncio.run(reference(kafka, GOLD_ITEMS))
        answered = {event.key for event in asyncio.run(reference(kafka, GOLD_ANSWERS))}
    active = Counter(event.project_id for event in items if not event.retired)
    silent = Counter(event.project_id for event in items if not event.retired and event.key not in answered)
    rows = [{"project": name, "items": active[name], "without_answer": silent[name]} for name in sorted(active)]
    out.result(
        {"projects": rows},
        lambda to: to.print(table(("project", "items", "without_answer"), [list(row.values()) for row in rows])),
    )
