"""`labelstream doctor`."""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Annotated

import typer
from aiokafka.errors import KafkaError
from rich.console import Console

from cli.audit.databases import QUERIES
from cli.doctor import access as access_
from cli.doctor import databases, kafka, models, training
from cli.doctor.findings import Examination, Finding, Status, healthy
from cli.doctor.probe import probe
from cli.migrate import urls_from_environment
from cli.output import JsonFlag, Output, Work, fail
from cli.settings import checked, kafka_settings
from shared.db.database import INFRASTRUCTURE
from shared.errors import LabelstreamError
from shared.runtime.settings import KafkaSettings
from shared.topics import OPERATOR, PROCESSES

LONGEST_S = 60.0
UNREACHABLE = (KafkaError, LabelstreamError, *INFRASTRUCTURE)
PARTIES = (*PROCESSES, OPERATOR)


def command(
    *,
    party: Annotated[
        str, typer.Option("--as", metavar="PARTY", help=f"Whose rights are checked: {', '.join(PARTIES)}.")
    ] = OPERATOR,
    probes: Annotated[
        bool, typer.Option("--probe", help="Also make, write to and delete a topic: shows the brokers' clock.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Look at everything a deployment stands on and say what to do; exit code 0 only when nothing is wrong."""
    out = Output(as_json=as_json)
    if party not in PARTIES:
        fail(f"--as {party}: known are {', '.join(PARTIES)}")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it would say is a finding
    with out.working("examining") as work:
        found = asyncio.run(examine(_examinations(party, probes=probes), work))
    document = {
        "healthy": healthy(found),
        "wrong": sum(one.status is Status.WRONG for one in found),
        "unknown": sum(one.status is Status.UNKNOWN for one in found),
        "findings": [one.document() for one in found],
    }
    out.result(document, lambda to: render(found, to))
    if not healthy(found):
        raise typer.Exit(1)


async def examine(examinations: Sequence[Examination], work: Work) -> list[Finding]:
    """Every area at once, each by itself: what is down says so and keeps no other from being looked at."""
    work.total = len(examinations)
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(_one(each, work)) for each in examinations]
    return [finding for task in running for finding in task.result()]


async def _one(examination: Examination, work: Work) -> list[Finding]:
    try:
        async with asyncio.timeout(LONGEST_S):
            return list(await examination.look())
    except TimeoutError:
        why = f"no answer in {LONGEST_S:.0f} s"
    except UNREACHABLE as error:
        why = " ".join(str(error).split())[:500] or type(error).__name__
    finally:
        work.done += 1
    return [Finding(examination.area, examination.subject, examination.unseen, why, examination.blame)]


def _examinations(party: str, *, probes: bool) -> list[Examination]:
    """What there is to look at. A setting that is wrong is itself a finding."""
    try:
        settings = kafka_settings()
    except LabelstreamError as error:
        return [_wrong("brokers", "settings", error), *_databases()]
    blame = f"check that Kafka runs at {settings.bootstrap} and that the credentials are right"

    def of(area: str, look: Callable[[], Awaitable[Iterable[Finding]]]) -> Examination:
        return Examination(area, settings.bootstrap, look, blame)

    found = [
        Examination("brokers", settings.bootstrap, lambda: kafka.brokers(settings), blame, Status.WRONG),
        of("topics", lambda: _topics(settings)),
        of("access", lambda: access_.access(settings, party)),
        of("schemas", lambda: kafka.schemas(settings)),
        *_databases(),
        of("lag", lambda: kafka.behind(settings)),
        of("models", lambda: _models(settings)),
        of("training", lambda: _training(settings)),
    ]
    if probes:
        found.append(of("clock", lambda: probe(settings)))
    else:
        found.append(of("clock", _not_probed))
    return found


async def _topics(settings: KafkaSettings) -> list[Finding]:
    async with kafka.administrator(settings) as admin:
        count = len((await admin.describe_cluster())["brokers"])
    return await kafka.topics(settings, count)


async def _models(settings: KafkaSettings) -> list[Finding]:
    from services.prelabel.settings import PrelabelSettings  # noqa: PLC0415  # reads the environment

    known = checked(PrelabelSettings)
    return await models.models(settings, known.model_dir, known.model_max_bytes)


async def _training(settings: KafkaSettings) -> list[Finding]:
    from services.prelabel.training.settings import TrainerSettings  # noqa: PLC0415  # reads the environment

    known = checked(TrainerSettings)
    return await training.training(settings, known.model_store, known.model_dir)


async def _not_probed() -> list[Finding]:
    return [
        Finding("clock", "broker", Status.NOTE, "not looked at: brokers tell their time only by writing", "--probe")
    ]


def _databases() -> list[Examination]:
    found = []
    for service in QUERIES:
        try:
            url = urls_from_environment((service,))[service]
        except LabelstreamError as error:
            found.append(_wrong("migrations", f"database of {service}", error))
            continue
        blame = f"check that PostgreSQL runs and the address in LABELSTREAM_{service.upper()}_DATABASE_URL"
        look = functools.partial(databases.database, service, url)
        found.append(Examination("migrations", f"database of {service}", look, blame, Status.WRONG))
    return found


def _wrong(area: str, subject: str, error: LabelstreamError) -> Examination:
    async def look() -> list[Finding]:
        return [
            Finding(area, subject, Status.WRONG, " ".join(str(error).split()), "set it; docs/settings.md has them all")
        ]

    return Examination(area, subject, look, "")


MARKS = {Status.OK: "ok", Status.NOTE: "note", Status.WRONG: "WRONG", Status.UNKNOWN: "UNKNOWN"}


def render(found: Sequence[Finding], to: Console) -> None:
    """A line each, what is to be done below it."""
    for one in found:
        to.print(f"{MARKS[one.status]:8}{one.area:12}{one.subject}: {one.found}", markup=False)
        if one.todo:
            to.print(f"{'':20}-> {one.todo}", markup=False)
    bad = [one for one in found if one.status in (Status.WRONG, Status.UNKNOWN)]
    to.print("\nnothing is wrong" if not bad else f"\n{len(bad)} of {len(found)} lines need you", markup=False)
