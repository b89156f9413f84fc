"""Annotators at up to a million open items: next and submit over HTTP, all four services, Kafka and PostgreSQL."""

import asyncio
import contextlib
import json
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from cli.api import Api
from cli.model import promote_model, register_model
from cli.project.commands import apply_spec
from cli.stack.embedded import Stack, StackOptions
from shared.bus.publisher import Publisher
from shared.bus.records import outgoing
from shared.clock import utc_now
from shared.events import GoldAnswer, GoldItem, Item, Overlap, Policy, ProjectSpec, TextContent
from shared.labels import Choice, ChoiceSchema
from shared.runtime.settings import KafkaSettings
from shared.topics import ASSIGNMENT, GOLD_ANSWERS, GOLD_ITEMS, ITEMS
from tests.bench.stock import UNTOUCHED, copy_items
from tests.support.onnx_models import MOODS, moods

PROJECT = "bench"
PEOPLE, RATE, OPEN_ITEMS = 50, 50.0, 100_000
MANY_PEOPLE, EVERY_S, MANY_ITEMS = 200, 2.0, 1_000_000
BATCH = 10
ORIGINALS, GOLD = 500, 100
WITHIN_S, PRESENT_S = 60.0, 5.0
PARTS = 4
WARM_S, PACED_S, FULL_S = 4.0, 5.0, 4.0
TEXT = "the {n}. guest says that {what} and would {again}come again"
SAID = ("the coffee is good", "the room is bad", "the service is slow", "the view is great", "the shop opens at nine")
SPEC = ProjectSpec(
    project=PROJECT, data="text", label=ChoiceSchema(classes=MOODS), policy=Policy(overlap=Overlap(min=1, max=3))
)


def no_news(_: str) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the annotators of one run saw; times in milliseconds, in ascending order."""

    seconds: float
    next_ms: list[float]
    submit_ms: list[float]
    both_ms: list[float]
    answers: int
    refused: dict[str, int]
    cpu_s: float

    @property
    def per_second(self) -> float:
        return self.answers / self.seconds


def quantile(ordered: Sequence[float], share: float) -> float:
    """Of values in ascending order; the nearest rank."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


@asynccontextmanager
async def desk(
    number: int, news: Callable[[str], None] = no_news, settings: Mapping[str, str] | None = None
) -> AsyncGenerator[tuple[Stack, str]]:
    """A stack whose queue holds `number` items, and its administrator's token; `settings` are further ones."""
    token = secrets.token_urlsafe(32)
    with tempfile.TemporaryDirectory() as directory:
        models = Path(directory) / "models"
        settings = {"LABELSTREAM_ASSIGNMENT_ADMIN_TOKEN": token, **(settings or {})}
        news("starting Kafka, PostgreSQL and four services")
        async with Stack(StackOptions(broker="kafka", model_dir=models, settings=settings)) as stack:
            await _prepare(stack.kafka, models)
            news(f"filling the queue with {number:,} items")
            await fill(stack, number)
            yield stack, token


async def _prepare(kafka: KafkaSettings, models: Path) -> None:
    """Project, model, gold."""
    trained, now = moods(tfidf=True), utc_now()
    await apply_spec(kafka, SPEC, now=now)
    await register_model(kafka, PROJECT, trained.content, trained.manifest, directory=models, version="v1")
    await promote_model(kafka, PROJECT, "v1")
    about = [{"project_id": PROJECT, "item_id": f"gold{n:03d}", "created_at": now} for n in range(GOLD)]
    answers = [GoldAnswer(**one, value=Choice(choice=MOODS[n % 3])) for n, one in enumerate(about)]
    golds = [GoldItem(**one, content=TextContent(text=text_of(n))) for n, one in enumerate(about)]
    async with Publisher(kafka) as publisher:
        await publisher.publish([outgoing(GOLD_ANSWERS, one, source="bench") for one in answers])
        await publisher.publish([outgoing(GOLD_ITEMS, one, source="bench") for one in golds])


def text_of(number: int) -> str:
    """A text of about a hundred characters."""
    what = " and ".join(SAID[(number + k * (1 + number % 4)) % len(SAID)] for k in range(2))
    return TEXT.format(n=number, what=what, again="never " if number % 3 else "")


async def fill(stack: Stack, number: int) -> None:
    """Send some items through the services, and copy what they have stored."""
    if stack.postgres is None:
        raise ValueError("the bench needs the embedded PostgreSQL")
    now = utc_now()
    made = [
        Item(project_id=PROJECT, item_id=f"a{n:06d}", content=TextContent(text=text_of(n)), created_at=now)
        for n in range(ORIGINALS)
    ]
    async with Publisher(stack.kafka) as publisher:
        await publisher.publish([outgoing(ITEMS, one, source="bench") for one in made])
    connection = await asyncpg.connect(stack.postgres.admin_url())
    try:
        await _until(connection, "SELECT count(*) FROM assignment.rounds", ORIGINALS)
        await _until(connection, "SELECT count(*) FROM monitor.items WHERE route > 0", ORIGINALS)
        await copy_items(connection, 0, number - ORIGINALS)
    finally:
        await connection.close()


async def _until(connection: Any, query: str, wanted: int) -> None:
    deadline = time.monotonic() + WITHIN_S
    while (found := await connection.fetchval(query)) < wanted:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{query}: {found} of {wanted} after {WITHIN_S:.0f} s")
        await asyncio.sleep(0.1)


async def hire(url: str, token: str, names: Sequence[str]) -> list[str]:
    """Tokens of new annotators."""
    async with Api(url, token) as admin:
        added = await admin.post("/v1/annotators", {"annotators": [{"id": name} for name in names]})
    return [one["token"] for one in added["results"]]


async def work(url: str, tokens: Sequence[str], seconds: float, rate: float, count: int = 1) -> Seen:
    """Let annotators work, in a process of their own."""
    with tempfile.NamedTemporaryFile("r") as output:
        arguments = [sys.executable, "-m", "tests.bench.load", url, str(seconds), str(rate), str(count), output.name]
        child = await asyncio.create_subprocess_exec(*arguments, stdin=asyncio.subprocess.PIPE)
        await asyncio.wait_for(child.communicate("\n".join(tokens).encode()), seconds + 60)
        return Seen(**json.load(output))


async def grow(stack: Stack, tokens: Sequence[str], start: int, end: int) -> None:
    """More open items, from `start` to `end` in all, while the people of the tokens are there and wait."""
    if stack.postgres is None:
        raise ValueError("the bench needs the embedded PostgreSQL")
    connection = await asyncpg.connect(stack.postgres.admin_url())
    present = asyncio.create_task(_be_there(stack.urls[ASSIGNMENT], tokens))
    try:
        await copy_items(connection, start, end, originals=UNTOUCHED)
    finally:
        present.cancel()
        await connection.close()


async def _be_there(url: str, tokens: Sequence[str]) -> None:
    """Without anybody present, rounds are set aside and say so: that is not what is measured."""
    async with httpx.AsyncClient(base_url=url, timeout=WITHIN_S) as client:
        while True:
            for token in tokens:
                await client.get("/v1/me", headers={"authorization": f"Bearer {token}"})
            await asyncio.sleep(PRESENT_S)


def cpu_s(stack: Stack) -> dict[str, float]:
    """Seconds of processor time that each part has used."""
    parents = {name: service.pid for name, service in stack.services.items()}
    if stack.broker is not None and stack.postgres is not None:
        parents |= {"kafka": stack.broker.pid, "postgres": stack.postgres.pid}
    used = dict.fromkeys(parents, 0.0)
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            found = entry.read_text().rpartition(")")[2].split()
            own, parent = int(entry.parent.name), int(found[1])
            for name, pid in parents.items():
                if pid in (own, parent):
                    used[name] += sum(map(int, found[11:15])) / os.sysconf("SC_CLK_TCK")
    return used


async def measure(
    news: Callable[[str], None] = no_news, *, number: int = OPEN_ITEMS, many: int = MANY_ITEMS
) -> dict[str, float]:
    """next+submit at a steady rate, then as many as go through, one by one and in batches."""
    async with desk(number, news) as (stack, token):
        url = stack.urls[ASSIGNMENT]
        tokens = await hire(url, token, [f"ann{n:03d}" for n in range(MANY_PEOPLE)])
        few = tokens[:PEOPLE]
        await work(url, few, WARM_S, RATE)
        news(f"{PEOPLE} annotators, {RATE:.0f} answers a second")
        found = _latencies("next_submit", [await work(url, few, PACED_S, RATE) for _ in range(PARTS)])
        found = {
            name.replace("next_submit_next_", "next_").replace("next_submit_submit_", "submit_"): value
            for name, value in found.items()
        }
        news(f"filling the queue with {many:,} items")
        await grow(stack, tokens, number, many)
        rate = MANY_PEOPLE / EVERY_S
        await work(url, tokens, WARM_S, rate)
        news(f"{MANY_PEOPLE} annotators, one answer every {EVERY_S:.0f} s each")
        found |= _latencies("annotators_200", [await work(url, tokens, PACED_S, rate) for _ in range(PARTS)])
        for name, of_pair, count in (("submits", "saturated", 1), ("batch_submits", "batch_saturated", BATCH)):
            news(f"{MANY_PEOPLE} annotators as fast as it goes, {count} at a time")
            await work(url, tokens, WARM_S, 0.0, count)
            before = cpu_s(stack)
            full = [await work(url, tokens, FULL_S, 0.0, count) for _ in range(PARTS)]
            spent = {part: now - before[part] for part, now in cpu_s(stack).items()}
            found |= _throughput(name, of_pair, full, spent)
    return found


def _latencies(name: str, paced: Sequence[Seen]) -> dict[str, float]:
    both = sorted(ms for seen in paced for ms in seen.both_ms)
    p99 = [quantile(seen.both_ms, 0.99) for seen in paced]
    return {
        f"{name}_p50_ms": quantile(both, 0.5),
        f"{name}_p99_ms": quantile(both, 0.99),
        f"{name}_p99_spread": (max(p99) - min(p99)) / statistics.median(p99),
        f"{name}_next_p99_ms": quantile(sorted(ms for seen in paced for ms in seen.next_ms), 0.99),
        f"{name}_submit_p99_ms": quantile(sorted(ms for seen in paced for ms in seen.submit_ms), 0.99),
        f"{name}_n": len(both),
        **_refusals(name, paced),
    }


def _throughput(name: str, of_pair: str, full: Sequence[Seen], spent: Mapping[str, float]) -> dict[str, float]:
    rates, answers = [seen.per_second for seen in full], sum(seen.answers for seen in full)
    both = sorted(ms for seen in full for ms in seen.both_ms)
    return {
        f"{name}_per_second": answers / sum(seen.seconds for seen in full),
        f"{name}_per_second_spread": (max(rates) - min(rates)) / statistics.median(rates),
        f"{name}_n": answers,
        f"{of_pair}_p50_ms": quantile(both, 0.5),
        f"{of_pair}_p99_ms": quantile(both, 0.99),
        **{f"{part}_us_per_{name.removesuffix('s')}": used / answers * 1e6 for part, used in spent.items()},
        f"load_us_per_{name.removesuffix('s')}": sum(seen.cpu_s for seen in full) / answers * 1e6,
        **_refusals(name, full),
    }


def _refusals(name: str, parts: Sequence[Seen]) -> dict[str, float]:
    """How many calls were refused: in all, and by what the service said, as `<name>_refused: CALL STATUS CODE`."""
    reasons = Counter[str]()
    for seen in parts:
        reasons.update(seen.refused)
    return {f"{name}_refused": reasons.total(), **{f"{name}_refused: {why}": n for why, n in sorted(reasons.items())}}


if __name__ == "__main__":
    sizes = [int(one) for one in sys.argv[1:]] or [OPEN_ITEMS, MANY_ITEMS]
    for name, value in asyncio.run(measure(print, number=sizes[0], many=sizes[1])).items():
        print(f"{name:44} {value:10.2f}")
