"""I10: Prometheus' totals beside those of ledger and topics.

monitor's figures and assignment's items by state are read from databases, so no restart may skew them: they are equal.
Counters of a process are summed over its lives as Prometheus does; what a life counted after its last scrape is gone,
so they are at most the truth, and equal to it where a service lived once and nothing was harmed.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import httpx
from prometheus_client.parser import text_string_to_metric_families

from shared.events import Outcome
from shared.topics import ASSIGNMENT, BY_NAME, MONITOR, PRELABEL
from tests.e2e.world.finding import Finding
from tests.e2e.world.plan import PROJECT
from tests.e2e.world.topics import Topics

if TYPE_CHECKING:
    from tests.e2e.world.world import World

SCRAPE_S = 1.0
SHOWN_WITHIN_S = 20.0
LAG = "labelstream_consumer_lag_records"
REFUSED = "labelstream_dead_letters_total"
Samples = Mapping[tuple[str, tuple[str, ...]], float]
"""(sample, label values in the order of their names) -> value."""


def samples(text: str) -> Samples:
    """The samples of a `/metrics` page."""
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Scraper:
    """Remembers the last page of every process that lived."""

    def __init__(self) -> None:
        self.lives: dict[tuple[str, int], Samples] = {}

    async def run(self, world: "World") -> None:
        """Until cancelled, as Prometheus would."""
        while True:
            await self.once(world)
            await asyncio.sleep(SCRAPE_S)

    async def once(self, world: "World") -> None:
        """Ask every process that answers."""
        async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
            for service in (*world.stack.services.values(), *world.replicas):
                if service.running:
                    with contextlib.suppress(httpx.HTTPError):
                        life = (service.name, service.pid)
                        page = (await client.get(f"{service.url}/metrics")).raise_for_status()
                        self.lives[life] = samples(page.text)

    async def behind(self, world: "World") -> list[str]:
        """Of every service: which partitions are behind, and what it says of itself."""
        await self.once(world)
        lines = []
        async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
            for name, service in world.stack.services.items():
                page = self.now(world, name)
                lag = {"/".join(place): n for (sample, place), n in page.items() if sample == LAG and n}
                try:
                    ready = (await client.get(f"{service.url}/ready")).text
                except httpx.HTTPError as error:
                    ready = repr(error)
                lines.append(f"{name}: {lag} {ready}")
        return lines

    def told(self) -> str:
        """What each process counted when it was last asked, a line for each counter that is not 0."""
        return "".join(
            f"{name} {pid} {sample} {' '.join(labels)}: {value:g}\n"
            for (name, pid), page in self.lives.items()
            for (sample, labels), value in page.items()
            if value and sample.endswith("_total")
        )

    def now(self, world: "World", name: str) -> Samples:
        """The last page of a service that still runs."""
        return self.lives.get((name, world.stack.services[name].pid), {})

    def summed(self, service: str, sample: str, label: str) -> float:
        """A counter over all lives and replicas of a service, where one of its labels has this value."""
        return sum(
            value
            for (name, _), page in self.lives.items()
            if name == service
            for (found, values), value in page.items()
            if found == sample and label in values
        )


async def totals(world: "World", topics: Topics) -> list[Finding]:
    """Wait until the pages show the state at rest, then compare."""
    deadline = asyncio.get_running_loop().time() + SHOWN_WITHIN_S
    while True:
        await world.scraper.once(world)
        found = [*_shown(world, topics), *_counted(world, topics)]
        if not found or asyncio.get_running_loop().time() > deadline:
            return found
        await asyncio.sleep(SCRAPE_S)


def _shown(world: "World", topics: Topics) -> Iterator[Finding]:
    """Gauges and counters that come from a database."""
    monitor, assignment = world.scraper.now(world, MONITOR), world.scraper.now(world, ASSIGNMENT)
    yield from _compared("monitor's items", _sum(monitor, "labelstream_items"), len(world.ledger.items()))
    by_state = _sum(assignment, "labelstream_assignment_items_by_state")
    yield from _compared("assignment's items by state", by_state, len(world.ledger.items()))
    labels = Counter(one.path.value for one in {(one.item_id, one.version): one for one in topics.labels}.values())
    for path, number in labels.items():
        yield from _compared(f"labels {path}", monitor.get(("labelstream_labels_total", (path, PROJECT)), 0), number)
    once = topics.annotations_once()
    for outcome in (Outcome.ANSWERED, Outcome.SKIPPED):
        receipts = sum(one.outcome == outcome.value for one in world.ledger.receipts.values())
        held = sum(one.outcome is outcome for one in once)
        shown = sum(
            value
            for (name, labels), value in monitor.items()
            if name == "labelstream_annotations_total" and outcome.value in labels
        )
        yield from _compared(f"annotations {outcome.value}, by receipts", shown, receipts)
        yield from _compared(f"annotations {outcome.value}, by topic", shown, held)
    relabels = len({one.event_id for one in topics.relabels if one.requested_by == "monitor"})
    yield from _compared("relabels", _sum(monitor, "labelstream_relabels_total"), relabels)
    if world.ledger.promotions:
        generation = world.scraper.now(world, PRELABEL).get(("labelstream_prelabel_model_generation", (PROJECT,)))
        last = world.ledger.promotions[-1].generation
        if generation != last:
            yield Finding("I7", "another model is live", f"prelabel serves generation {generation}, live is {last}")


def _counted(world: "World", topics: Topics) -> Iterator[Finding]:
    """Refusals by the services that judge; each is counted after its transaction, so never twice."""
    if world.restored:
        return
    refused = Counter(topic for topic, _, _ in topics.letters)
    for topic, number in refused.items():
        owner = BY_NAME[topic].dlq_owner
        counted = world.scraper.summed(owner or "", REFUSED, topic)
        whole = sum(name == owner for name, _ in world.scraper.lives) == 1 and not world.ledger.faults
        if counted > number or (counted < number and whole):
            yield Finding(
                "I10", "metric differs", f"{owner} counted {counted:g} refusals of {topic}, {number} happened"
            )


def _compared(what: str, shown: float, true: int) -> Iterable[Finding]:
    if shown != true:
        yield Finding("I10", "metric differs", f"{what}: the metric says {shown:g}, it is {true}")


def _sum(page: Samples, name: str) -> float:
    return sum(value for (sample, _), value in page.items() if sample == name)
