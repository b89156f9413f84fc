"""`python -m tests.e2e.dashboards`: every expression of every dashboard and rule, against a real Prometheus.

The whole stack runs, the demo streams its images through it while people answer, and Debian's Prometheus scrapes every
service with the rules of deploy/prometheus. Then each panel's expression has to have had a value, each rule has to be
well, each variable has to have something to choose, and batches have to carry exemplars. What a minute does not bring
is published or written as its service would: a certificate, a calibration, an open alarm about drift, and, as the demo
labels whole images, proposals and labels of two other projects, of spans and of transcripts.
"""

import asyncio
import json
import secrets
import sys
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import yaml

from cli.demo.setup import PROJECT, SPEC
from cli.demo.story import Plan, Story, prepare
from cli.project.commands import apply_spec
from cli.stack.children import Child, free_port
from cli.stack.embedded import Stack, StackOptions
from cli.stack.scratch import Scratch
from cli.up import ADMIN_TOKEN, PAGE_TOKEN
from services.monitor.store import AlarmStore, KeptAlarm
from shared.bus.publisher import Publisher
from shared.bus.records import outgoing
from shared.clock import utc_now
from shared.events import (
    Calibration,
    Certificate,
    CertificateTerms,
    ClassCertificate,
    Evidence,
    Label,
    Prediction,
    ProjectSpec,
    Proposal,
    Quality,
    Training,
)
from shared.events import (
    Path as LabelPath,
)
from shared.labels import LabelSchema, LabelValue, ObjectSchema, Span, Spans, Transcript, TranscriptSchema
from shared.topics import LABELS, PREDICTIONS, PROCESSES, QUALITY, Topic
from tests.support.debian import prometheus
from tests.support.promql import filled
from tests.support.status import alarm

REPOSITORY = Path(__file__).parents[2]
BOARDS = REPOSITORY / "deploy/grafana/dashboards"
RULES = REPOSITORY / "deploy/prometheus/rules"
SCRAPE_S = 1
INTERVAL = "15s"
"""What `$__rate_interval` is here; Grafana takes four scrapes or more."""
IMAGES = 800
STEP_S = 2
REST_S = 8.0
SPANS, WORDS = "spans", "words"
PROJECTS = f"{PROJECT}|{SPANS}|{WORDS}"
NEVER = Training(after_labels=1_000_000, first_after=1_000_000)
"""So that the trainer counts, and does not take the processor."""


class AskedInVain(Exception):  # noqa: N818  # it is what happened
    """Something is not as it should be; the message says what."""


def say(*told: str) -> None:
    sys.stdout.write("".join(f"{each}\n" for each in told))


def configured(urls: Mapping[str, str], directory: Path) -> Path:
    """A configuration that scrapes this stack with our rules, evaluated as often as it is scraped."""
    for path in RULES.glob("*.yml"):
        document = yaml.safe_load(path.read_text())
        for group in document["groups"]:
            group["interval"] = f"{SCRAPE_S}s"
        (directory / path.name).write_text(yaml.safe_dump(document))
    targets = [{"targets": [url.removeprefix("http://")], "labels": {"service": name}} for name, url in urls.items()]
    document = {
        "global": {"scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": f"{SCRAPE_S}s"},
        "rule_files": [path.name for path in RULES.glob("*.yml")],
        "scrape_configs": [{"job_name": "labelstream", "static_configs": targets}],
    }
    file = directory / "prometheus.yml"
    file.write_text(yaml.safe_dump(document))
    return file


@asynccontextmanager
async def scraping(urls: Mapping[str, str], directory: Path) -> AsyncGenerator[httpx.AsyncClient]:
    """A Prometheus over these services."""
    port = free_port()
    command = [
        str(prometheus() / "prometheus"), f"--config.file={configured(urls, directory)}",
        f"--storage.tsdb.path={directory / 'data'}", f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage", "--log.level=warn",
    ]  # fmt: skip
    child = Child("prometheus", command, log=directory / "prometheus.log")
    child.spawn()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:

            async def answers() -> bool | None:
                try:
                    return (await http.get("/-/ready")).status_code == 200 or None
                except httpx.TransportError:
                    return None

            await child.until(answers, within_s=30)
            yield http
    finally:
        await child.stop()


async def ask(http: httpx.AsyncClient, path: str, **parameters: Any) -> Any:
    answer = (await http.get(f"/api/v1/{path}", params=parameters)).json()
    if answer["status"] != "success":
        raise AskedInVain(f"{path} {parameters}: {answer.get('error')}")
    return answer["data"]


def expressions() -> Iterator[tuple[str, str]]:
    """(board and panel, expression) as they are sent."""
    for path in sorted(BOARDS.glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", ()):
                expression = target["expr"].replace("$__rate_interval", INTERVAL)
                yield f"{path.stem}: {panel['title']}", filled(expression, {"project": PROJECTS})


async def empty(http: httpx.AsyncClient, start: float, end: float) -> list[str]:
    """The panels whose expression never had a number, or is refused."""
    found = []
    for where, expression in expressions():
        data = await ask(http, "query_range", query=expression, start=start, end=end, step=STEP_S)
        values = [value for series in data["result"] for _, value in series["values"]]
        if not any(value not in {"NaN", "+Inf", "-Inf"} for value in values):
            found.append(f"{where}: nothing in {expression}")
    return found


async def unwell(http: httpx.AsyncClient) -> list[str]:
    """Rules that do not evaluate, and targets that are down."""
    rules = [rule for group in (await ask(http, "rules"))["groups"] for rule in group["rules"]]
    targets = (await ask(http, "targets"))["activeTargets"]
    found = [f"rule {rule['name']}: {rule.get('lastError')}" for rule in rules if rule["health"] != "ok"]
    found += [f"target {one['labels']['service']}: {one['lastError']}" for one in targets if one["health"] != "up"]
    return found + ([] if len(targets) == len(PROCESSES) else [f"{len(targets)} targets"])


async def unchosen(http: httpx.AsyncClient) -> list[str]:
    """Variables without anything to choose."""
    found = []
    for path in sorted(BOARDS.glob("*.json")):
        for one in json.loads(path.read_text())["templating"]["list"]:
            if one["type"] == "query":
                series, label = one["query"]["query"].removeprefix("label_values(").rstrip(")").split(", ")
                values = await ask(http, f"label/{label}/values", **{"match[]": series})
                found += [] if values else [f"{path.stem}: the variable {one['name']} has no values"]
    return found


async def without_exemplars(http: httpx.AsyncClient, start: float, end: float) -> list[str]:
    query = "labelstream_batch_seconds_bucket"
    found = await ask(http, "query_exemplars", query=query, start=start, end=end)
    traces = [each["labels"]["trace_id"] for series in found for each in series["exemplars"]]
    return [] if traces and all(len(trace) == 32 for trace in traces) else [f"{query} has no exemplars"]


async def publish_rare(stack: Stack) -> None:
    """As monitor and qc say it: the demo's project asks for no certificate, and calibration takes more gold."""
    now = utc_now()
    terms = CertificateTerms(threshold=0.97, audits=400, audit_share=0.05, valid_until=now + timedelta(days=1))
    certificate = Certificate(
        number=1, state="withdrawn", generation=1, model_version="v2", threshold=0.97, target_error=0.03,
        confidence=0.95, audits=400, error=0.01, audit_share=0.5, valid_until=now, rest=terms,
        classes=(ClassCertificate(symbol="bad", audit_share=0.5, valid_until=now, breached_since=now),),
    )  # fmt: skip
    calibration = Calibration(against="gold", error=0.02, labels=200, accuracy=0.96)
    told = (("certificate", certificate), ("calibration#gold", calibration))
    events = [
        Quality(project_id=PROJECT, subject=subject, sequence="1", measurement=one, measured_at=now)
        for subject, one in told
    ]
    async with Publisher(stack.kafka) as publisher:
        await publisher.publish([outgoing(QUALITY, event, source="labelstream/test") for event in events])


async def publish_kinds(stack: Stack) -> None:
    """A model's proposals and people's labels of them, as prelabel and qc say it."""
    now = utc_now()
    near, far = Span(start=0, end=4, label="food"), Span(start=0, end=8, label="food")
    told: tuple[tuple[str, LabelSchema, LabelValue, LabelValue], ...] = (
        (SPANS, ObjectSchema(kind="spans", classes=("food", "place")), Spans(spans=(near,)), Spans(spans=(far,))),
        (WORDS, TranscriptSchema(), Transcript(text="good coffee"), Transcript(text="good coffee slow service")),
    )
    for project, schema, said, given in told:
        spec = ProjectSpec(project=project, data="text", label=schema)
        await apply_spec(stack.kafka, spec, now=now)
        proposal = Proposal(value=said, confidence=0.9, model_version="m1", generation=1)
        events: list[tuple[Topic[Any], Prediction | Label]] = [
            (PREDICTIONS, Prediction(project_id=project, item_id="i1", value=said, confidence=0.9, model_version="m1",
                                     generation=1, item_created_at=now, predicted_at=now)),
            (LABELS, Label(project_id=project, item_id="i1", version=1, value=given, path=LabelPath.SINGLE, opinions=1,
                           evidence=Evidence(proposal=proposal), would_auto=True, inclusion_probability=0.5,
                           project_version=1, item_created_at=now, labelled_at=now)),
        ]  # fmt: skip
        async with Publisher(stack.kafka) as publisher:
            await publisher.publish([outgoing(topic, event, source="labelstream/test") for topic, event in events])


async def open_alarm(stack: Stack) -> None:
    connection = await asyncpg.connect(stack.database_urls["monitor"], server_settings={"search_path": "monitor"})
    try:
        await AlarmStore(connection).save_alarms([KeptAlarm(PROJECT, alarm())])
    finally:
        await connection.close()


async def run() -> list[str]:
    """What is wrong, after a run under load."""
    token = secrets.token_urlsafe(32)
    with Scratch() as scratch:
        models, watched = scratch.path / "models", scratch.path / "prometheus"
        watched.mkdir()
        settings = {
            ADMIN_TOKEN: token,
            PAGE_TOKEN: token,
            "LABELSTREAM_MONITOR_SNAPSHOT_INTERVAL_S": "1",
            "LABELSTREAM_MONITOR_QUALITY_INTERVAL_S": "5",
            "LABELSTREAM_QC_AGREEMENT_INTERVAL_S": "3",
            "LABELSTREAM_TRAINER_CHECK_S": "2",
        }
        options = StackOptions(model_dir=models, settings=settings, services=PROCESSES)
        plan = Plan(images=IMAGES)
        digits = await asyncio.to_thread(prepare, plan)
        async with Stack(options) as stack, scraping(stack.urls, watched) as http:
            start = time.time()
            story = Story(stack, token, digits, plan, models)
            await story.set_up()
            await apply_spec(stack.kafka, SPEC.model_copy(update={"training": NEVER}), now=utc_now())
            await publish_rare(stack)
            await open_alarm(stack)
            await story.play()
            await publish_kinds(stack)
            await asyncio.sleep(REST_S)
            end = time.time()
            say(f"{len(list(expressions()))} expressions after {end - start:.0f} s under load")
            wrong = [*await empty(http, start, end), *await unwell(http), *await unchosen(http)]
            return wrong + await without_exemplars(http, start, end)


def main() -> int:
    """Exit code 0 where nothing is wrong."""
    started = time.monotonic()
    wrong = asyncio.run(run())
    say(*wrong)
    verdict = f"{len(wrong)} are wrong" if wrong else "every expression has values, every rule is well"
    say(f"{verdict}; {time.monotonic() - started:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
