"""`labelstream erase`."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console

from cli.audit.databases import DatabaseUrls
from cli.erase import training
from cli.erase.expiry import Expiry, expiries
from cli.erase.remains import look
from cli.erase.subjects import Forgotten, Subject
from cli.output import JsonFlag, Output, Work, fail, table
from cli.reading import reference
from cli.settings import SOURCE, checked, kafka_settings
from shared.bus.admin import describe_topics
from shared.bus.publisher import Publisher
from shared.bus.reader import read_all
from shared.bus.records import Outgoing, outgoing
from shared.clock import utc_now
from shared.errors import RetryLater
from shared.events import Erasure
from shared.runtime.settings import KafkaSettings
from shared.topics import ERASURES, GOLD_ANSWERS, GOLD_ITEMS, TRAINER

POLL_S = 0.3
Looker = Callable[[Subject], Awaitable[tuple[dict[str, Any] | None, dict[str, int]]]]


@dataclass(slots=True)
class Answer:
    """What one service says and still holds; `why` where it says nothing."""

    confirmed_at: datetime | None = None
    removed: dict[str, int] = field(default_factory=dict)
    remaining: dict[str, int] = field(default_factory=dict)
    why: str = ""

    @property
    def done(self) -> bool:
        return self.confirmed_at is not None and not any(self.remaining.values())


@dataclass(frozen=True, slots=True)
class Proof:
    """What became of an erasure."""

    subject: Subject
    at: datetime
    gold: bool
    answers: Mapping[str, Answer]
    topics: tuple[Expiry, ...]
    dead_letters: int

    @property
    def complete(self) -> bool:
        return all(answer.done for answer in self.answers.values())

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        dates = [one.gone_by for one in self.topics if one.gone_by is not None]
        services = [
            {"service": name, "confirmed_at": one.confirmed_at, "removed": one.removed, "remaining": one.remaining}
            | {"left": sum(one.remaining.values()), "why": one.why}
            for name, one in self.answers.items()
        ]
        return {
            "subject": self.subject.key,
            "requested_at": self.at,
            "complete": self.complete,
            "services": services,
            "gold_tombstones": self.gold,
            "dead_letters": self.dead_letters,
            "topics": [{"topic": one.topic, "gone_by": one.gone_by, "how": one.how} for one in self.topics],
            "gone_from_topics_by": max(dates, default=None),
        }


def command(
    *,
    project: Annotated[str | None, typer.Option("--project", "-p", help="The item's project.")] = None,
    item: Annotated[str | None, typer.Option("--item", help="The item's id.")] = None,
    person: Annotated[str | None, typer.Option("--person", help="The annotator's id.")] = None,
    reason: Annotated[str, typer.Option(help="Why; goes into the event, so name nobody in it.")] = "",
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the services.")] = 60.0,
    check: Annotated[bool, typer.Option("--check", help="Ask for nothing, only look what is left.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether you are sure.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Forget an item or a person everywhere; exit code 0 only when every database holds nothing of it any more."""
    out = Output(as_json=as_json)
    event = _event(project, item, person, reason)
    subject = Subject.of(event)
    kafka, urls = kafka_settings(), checked(DatabaseUrls).urls()
    if not check and not yes and sys.stdin.isatty():
        typer.confirm(f"Forget {subject} for good?", abort=True, err=True)
    with out.working(f"looking for {subject.key}" if check else f"erasing {subject.key}") as work:
        proof = asyncio.run(_erase(kafka, urls, event, wait_s=wait, publish=not check, work=work))
    out.result(proof.document(), lambda to: render(proof, to))
    if not proof.complete:
        raise typer.Exit(1)


def _event(project: str | None, item: str | None, person: str | None, reason: str) -> Erasure:
    if person is not None and (item is not None or project is not None):
        fail("give --person, or --project and --item")
    fields: dict[str, Any] = {"subject": "item", "project_id": project, "item_id": item}
    if person is not None:
        fields = {"subject": "annotator", "annotator_id": person}
    elif project is None or item is None:
        fail("give --project and --item, or --person")
    try:
        return Erasure(**fields, reason=reason, requested_at=utc_now())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        fail(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}")


async def _erase(
    kafka: KafkaSettings, urls: Mapping[str, str], event: Erasure, *, wait_s: float, publish: bool, work: Work
) -> Proof:
    subject = Subject.of(event)
    gold = subject.annotator_id is None and await _is_gold(kafka, subject.key)
    if publish:
        async with Publisher(kafka) as publisher:
            if gold:
                await publisher.publish([_tombstone(topic.name, subject.key) for topic in (GOLD_ITEMS, GOLD_ANSWERS)])
            await publisher.publish([outgoing(ERASURES, event, source=SOURCE)])
    lookers: dict[str, Looker] = {name: partial(look, name, url) for name, url in urls.items()}
    if (place := training.directory()) is not None:
        lookers[TRAINER] = partial(training.look, place)
    answers = await _answers(lookers, event, wait_s=wait_s if publish else 0.0, since=publish, work=work)
    states = await describe_topics(kafka)
    letters = await _letters(kafka, [name for name in states if name.endswith(".dlq")], event)
    return Proof(subject, event.requested_at, gold, answers, tuple(expiries(subject, states, utc_now())), letters)


async def _is_gold(kafka: KafkaSettings, key: str) -> bool:
    keys = {one.key for one in await reference(kafka, GOLD_ITEMS)}
    return key in keys | {one.key for one in await reference(kafka, GOLD_ANSWERS)}


def _tombstone(topic: str, key: str) -> Outgoing:
    return Outgoing(topic, key.encode(), None, ())


async def _answers(
    lookers: Mapping[str, Looker], event: Erasure, *, wait_s: float, since: bool, work: Work
) -> dict[str, Answer]:
    """Ask the databases again and again until each says that it is done, or the time is up."""
    deadline = time.monotonic() + wait_s
    work.total = len(lookers)
    while True:
        found = {name: await _ask(looker, event, since=since) for name, looker in lookers.items()}
        work.done = sum(answer.done for answer in found.values())
        if work.done == len(lookers) or time.monotonic() >= deadline:
            return found
        await asyncio.sleep(POLL_S)


async def _ask(looker: Looker, event: Erasure, *, since: bool) -> Answer:
    try:
        noted, left = await looker(Subject.of(event))
    except RetryLater as error:
        return Answer(why=str(error))
    if noted is None or (since and noted["requested_at"] < event.requested_at):
        return Answer(remaining=left, why="it has not read the request yet: is it running? (`labelstream doctor`)")
    return Answer(noted["erased_at"], noted["removed"], left)


async def _letters(kafka: KafkaSettings, topics: Iterable[str], event: Erasure) -> int:
    """Dead letters about it: retention removes them; until then no command shows or replays them."""
    forgotten, found = Forgotten([event]), 0
    for topic in topics:
        with suppress(RetryLater):
            found += sum(forgotten.holds(record) for record in await read_all(kafka, topic))
    return found


def render(proof: Proof, to: Console) -> None:
    """For people."""
    rows = []
    for name, one in proof.answers.items():
        removed = ", ".join(f"{n} {what.replace('_', ' ')}" for what, n in sorted(one.removed.items())) or "nothing"
        left = sum(one.remaining.values())
        where = ", ".join(f"{n} {what}" for what, n in one.remaining.items() if n)
        rows.append((name, removed if one.confirmed_at else "", f"{left} ({where})" if left else left, one.why))
    to.print(table(("database", "removed", "left", "not confirmed"), rows))
    looked = ", ".join(dict.fromkeys(what for one in proof.answers.values() for what in one.remaining))
    to.print(f"\nlooked for: {looked}", markup=False)
    to.print("prelabel keeps nothing of items; it passes over this one from now on.", markup=False)
    if proof.gold:
        to.print("It was gold: its item and answer are deleted from the gold topics.", markup=False)
    if proof.dead_letters:
        to.print(f"{proof.dead_letters} dead letters: no longer shown or replayed.", markup=False)
    to.print("\nWhat topics still hold goes by itself:\n", markup=False)
    dates = [
        (one.topic, f"{one.gone_by:%Y-%m-%d %H:%M} UTC" if one.gone_by else "never", one.how) for one in proof.topics
    ]
    to.print(table(("topic", "gone by", "how"), dates))
    to.print("\nYour own topics, your consumers' copies and backups are yours to clean.", markup=False)
    to.print("complete" if proof.complete else "not complete: run it again, or with --check", markup=False)
