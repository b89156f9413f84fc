"""`labelstream dlq list | show | replay`."""

import asyncio
from contextlib import aclosing
from itertools import islice
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.dlq.letters import Letter, Mailbox, choose, collect, markers, resend, totals
from cli.erase.subjects import Forgotten
from cli.output import JsonFlag, Output, Work, fail, table
from cli.reading import reference
from cli.settings import kafka_settings
from shared.bus.client import make_admin
from shared.bus.publisher import Publisher
from shared.bus.reader import read_to_end
from shared.bus.records import Record
from shared.errors import RetryLater
from shared.events import Erasure
from shared.runtime.settings import KafkaSettings
from shared.topics import ERASURES

app = typer.Typer(no_args_is_help=True)

CHUNK = 500
SUFFIX = ".dlq"

TopicOption = Annotated[str | None, typer.Option("--topic", help="Only letters of this source topic.")]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Only letters with this reason code.")]


async def dead_letter_topics(kafka: KafkaSettings) -> list[str]:
    """The logical names of the dead letter topics that exist."""
    admin = make_admin(kafka)
    await admin.start()
    try:
        names = await admin.list_topics()
    finally:
        await admin.close()
    return sorted(
        name.removeprefix(kafka.prefix) for name in names if name.startswith(kafka.prefix) and name.endswith(SUFFIX)
    )


async def read_mailbox(kafka: KafkaSettings, *, topic: str | None = None, work: Work | None = None) -> Mailbox:
    """Every dead letter that is not about something erased; only those of one source topic where it is given."""
    records: list[Record] = []
    for name in await dead_letter_topics(kafka):
        if topic is not None and name.removesuffix(SUFFIX) != topic.removesuffix(SUFFIX):
            continue
        async with aclosing(read_to_end(kafka, name)) as chunks:
            async for chunk in chunks:
                records.extend(chunk)
                if work is not None:
                    work.done = len(records)
    return collect(records, Forgotten(await _erasures(kafka)))


async def _erasures(kafka: KafkaSettings) -> list[Erasure]:
    """What was erased; nothing where the topic does not exist yet."""
    try:
        return await reference(kafka, ERASURES)
    except RetryLater:
        return []


@app.command("list")
def list_letters(
    topic: TopicOption = None,
    reason: ReasonOption = None,
    limit: Annotated[int, typer.Option(min=0, help="Newest letters to list one by one.")] = 20,
    as_json: JsonFlag = False,
) -> None:
    """Count the dead letters by topic and reason, and list the newest."""
    out = Output(as_json=as_json)
    with out.working("reading dead letters") as work:
        box = asyncio.run(read_mailbox(kafka_settings(), topic=topic, work=work))
    letters = choose(box.letters, topic=topic, reason=reason)
    counts = totals(letters)
    newest = list(islice(reversed(letters), limit))
    document = {
        "dead_letters": len(letters),
        "replayed": sum(letter.replays > 0 for letter in letters),
        "repeats": box.repeats,
        "foreign": box.foreign,
        "erased": box.erased,
        "by_reason": [{"topic": name, "reason": why, "count": number} for name, why, number in counts],
        "letters": [_summary(letter) for letter in newest],
    }

    def render(to: Console) -> None:
        if box.erased:
            note = "about what was erased: not shown and not replayed; retention removes them in 30 days at most"
            to.print(f"{box.erased} dead letters {note}\n", markup=False)
        if not letters:
            to.print("no dead letters")
            return
        to.print(table(("source topic", "reason", "letters"), counts))
        to.print()
        rows = [(_place(one), one.reason, "replayed" if one.replays else "", one.detail) for one in newest]
        to.print(table(("letter", "reason", "", "what is wrong"), rows))
        to.print(f"\nshowing {len(newest)} of {len(letters)}; `labelstream dlq show LETTER` shows one", markup=False)

    out.result(document, render)


def _place(letter: Letter) -> str:
    return f"{letter.letter.topic} {letter.letter.partition} {letter.letter.offset}"


def _summary(letter: Letter) -> dict[str, Any]:
    source = letter.source
    return {
        "topic": letter.letter.topic,
        "partition": letter.letter.partition,
        "offset": letter.letter.offset,
        "source": {"topic": source.topic, "partition": source.partition, "offset": source.offset},
        "reason": letter.reason,
        "detail": letter.detail,
        "service": letter.service,
        "bytes": len(source.value or b""),
        "replays": letter.replays,
    }


@app.command("show")
def show(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The dead letter topic.", show_default=False)],
    partition: Annotated[int, typer.Argument(metavar="PARTITION", min=0, show_default=False)],
    offset: Annotated[int, typer.Argument(metavar="OFFSET", min=0, show_default=False)],
    as_json: JsonFlag = False,
) -> None:
    """Show one dead letter: where it came from, why it was refused, its headers, key and value."""
    out = Output(as_json=as_json)
    with out.working("reading dead letters"):
        box = asyncio.run(read_mailbox(kafka_settings(), topic=topic))
    name = topic if topic.endswith(SUFFIX) else topic + SUFFIX
    found = [
        one
        for one in box.letters
        if (one.letter.topic, one.letter.partition, one.letter.offset) == (name, partition, offset)
    ]
    if not found:
        fail(f"there is no dead letter at {name} {partition} {offset}; `labelstream dlq list` shows where they are")
    letter = found[0]
    source = letter.source
    document = _summary(letter) | {
        "key": _text(source.key),
        "headers": [[key, _text(value)] for key, value in source.headers],
        "timestamp_ms": source.timestamp_ms,
        "value": _text(source.value),
    }
    out.result(document)


def _text(content: bytes | None) -> str | None:
    """Bytes as a person can read them; what is not UTF-8 is escaped."""
    return None if content is None else content.decode("utf-8", "backslashreplace")


@app.command("replay")
def replay(
    *,
    topic: TopicOption = None,
    reason: ReasonOption = None,
    to_topic: Annotated[str | None, typer.Option("--to-topic", help="Not the source topic but this one.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Also those that were replayed before.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be replayed.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Publish the original bytes, key and headers of dead letters to their source topic once more.

    Each letter is replayed once unless --again. A replay that is broken off may repeat its last few hundred letters,
    which changes nothing: the effect of every record is idempotent.
    """
    out = Output(as_json=as_json)
    kafka = kafka_settings()
    with out.working("replaying dead letters") as work:
        box = asyncio.run(read_mailbox(kafka, topic=topic))
        selected = choose(box.letters, topic=topic, reason=reason)
        fresh = choose(selected, again=again)
        sendable = [letter for letter in fresh if letter.sendable]
        work.total = len(sendable)
        if not dry_run:
            asyncio.run(_resend(kafka, sendable, to_topic, work))
    document = {
        "selected": len(selected),
        "replayed": 0 if dry_run else len(sendable),
        "would_replay": len(sendable),
        "already_replayed": len(selected) - len(fresh),
        "without_key_and_value": len(fresh) - len(sendable),
        "by_reason": [{"topic": name, "reason": why, "count": n} for name, why, n in totals(sendable)],
    }

    def render(to: Console) -> None:
        if sendable:
            to.print(table(("source topic", "reason", "letters"), totals(sendable)))
        verb = "would be replayed" if dry_run else "replayed"
        to.print(f"{len(sendable)} of {len(selected)} letters {verb}; {len(selected) - len(fresh)} were before")

    out.result(document, render)


async def _resend(kafka: KafkaSettings, letters: list[Letter], to_topic: str | None, work: Work) -> None:
    """Publish chunk by chunk: the records, then the markers that remember them."""
    async with Publisher(kafka) as publisher:
        for start in range(0, len(letters), CHUNK):
            chunk = letters[start : start + CHUNK]
            await publisher.publish(resend(chunk, to_topic))
            await publisher.publish(markers(chunk, to_topic))
            work.done += len(chunk)
