"""From the cost of one item to what a rate needs: arithmetic alone, every step of it printed."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.topics import BY_NAME, SERVICES

RATES = (10_000, 100_000)
BUSY = 0.6
"""Of a core that is planned for: the rest is for peaks, rebalances and catching up."""
PEOPLE_SHARE = 0.01
"""Of the items that people are asked about in the example."""
COPIES = 3
DAY_S = 86_400
SPARE = 1.5
"""Partitions beside replicas, so that there is room to grow."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one unit (an item): CPU in microseconds by process, bytes by topic, writes by database."""

    units: int
    seconds: float
    cpu_us: Mapping[str, float]
    log_bytes: Mapping[str, float]
    databases: Mapping[str, Mapping[str, Any]]


def mixed(auto: float, people: float, share: float = PEOPLE_SHARE) -> float:
    """Cost of an average item where `share` of them go to people."""
    return auto * (1 - share) + people * share


def replicas(cpu_us: float, rate: float) -> int:
    """Processes: one runs one event loop, so at most one core of its own code."""
    return max(2, math.ceil(rate * cpu_us / 1e6 / BUSY))


def partitions(most: int) -> int:
    """A multiple of 12 that leaves room to grow: many numbers of replicas divide it."""
    return math.ceil(most * SPARE / 12) * 12


def report(measured: Mapping[str, Any]) -> str:
    """Costs, then needs, as Markdown."""
    auto, people = Cost(**measured["auto"]), Cost(**measured["people"])
    return "\n\n".join([
        _about(measured, auto, people),
        _costs(auto, people, measured["memory_mb"]),
        _tables(auto, people),
        _topics(auto, people),
        _needs(auto, people),
        _relay(measured["relay"]),
    ])  # fmt: skip


def _about(measured: Mapping[str, Any], auto: Cost, people: Cost) -> str:
    return (
        f"Measured on {measured['machine']}; {auto.units:,} items that the model is sure of,"
        f" {people.units:,} items with {measured['answers_per_item']:.2f} answers each."
    )


def _costs(auto: Cost, people: Cost, memory: Mapping[str, int]) -> str:
    rows = []
    for name in SERVICES:
        written = [cost.databases.get(name, {}) for cost in (auto, people)]
        rows.append([
            name, *(f"{cost.cpu_us[name]:.0f}" for cost in (auto, people)),
            *(f"{cost.cpu_us.get(f'postgres {name}', 0):.0f}" for cost in (auto, people)),
            *(f"{one.get('wal_bytes', 0):,.0f}" for one in written),
            *(f"{one.get('wal_images', 0):.3f}" for one in written),
            str(memory.get(name, "")),
        ])  # fmt: skip
    rows.append(["kafka", *(f"{cost.cpu_us['kafka']:.0f}" for cost in (auto, people)), *[""] * 7])
    head = [
        "", "CPU us/item auto", "people", "PostgreSQL us/item auto", "people", "WAL B/item auto", "people",
        "page images/item auto", "people", "memory MB",
    ]  # fmt: skip
    return _markdown(head, rows)


def _tables(auto: Cost, people: Cost) -> str:
    rows = []
    for service, database in auto.databases.items():
        for name, table in sorted(database["tables"].items()):
            asked = people.databases[service]["tables"][name]
            if max(table["inserted"], asked["inserted"], table["updated"], asked["updated"]) < 0.02:
                continue
            rows.append([f"{service}.{name}", *(
                f"{one['inserted']:.2f} / {one['updated']:.2f} / {one['deleted']:.2f} / {one['bytes']:,.0f}"
                for one in (table, asked)
            )])  # fmt: skip
    return _markdown(["table", "auto: inserted / updated / deleted / bytes kept", "people"], rows)


def _topics(auto: Cost, people: Cost) -> str:
    rows = [
        [name, f"{size:,.0f}", f"{people.log_bytes[name]:,.0f}", f"{BY_NAME[name].retention_ms / 86_400_000:.0f}"]
        for name, size in auto.log_bytes.items()
        if max(size, people.log_bytes[name]) >= 1 and not BY_NAME[name].compacted
    ]
    total = [sum(cost.log_bytes.values()) for cost in (auto, people)]
    rows.append(["all", f"{total[0]:,.0f}", f"{total[1]:,.0f}", ""])
    return _markdown(["topic", "bytes/item auto", "people", "days kept"], rows)


def _needs(auto: Cost, people: Cost) -> str:
    rows = []
    processes = {name: [replicas(_cpu(auto, people, name), rate) for rate in RATES] for name in SERVICES}
    for name, found in processes.items():
        each = _cpu(auto, people, name)
        rows.append([f"{name}: replicas", f"rate x {each:.0f} us / {BUSY}", *map(str, found)])
    most = [max(found[place] for found in processes.values()) for place in range(len(RATES))]
    rows.append(["partitions", f"most replicas x {SPARE}, a multiple of 12", *(str(partitions(one)) for one in most)])
    for service in auto.databases:
        each = _cpu(auto, people, f"postgres {service}")
        cores = [f"{rate * each / 1e6 / BUSY:.0f}" for rate in RATES]
        rows.append([f"PostgreSQL of {service}: cores", f"rate x {each:.0f} us / {BUSY}", *cores])
        wal = mixed(auto.databases[service]["wal_bytes"], people.databases[service]["wal_bytes"])
        rows.append(["... WAL MB/s", f"rate x {wal:,.0f} B", *(f"{rate * wal / 1e6:.0f}" for rate in RATES)])
        kept = mixed(_kept(auto, service), _kept(people, service))
        growth = [f"{rate * kept * DAY_S / 1e12:.2f}" for rate in RATES]
        rows.append(["... growth TB/day", f"rate x {kept:,.0f} B x 86,400", *growth])
    rows += _broker(auto, people)
    return _markdown(["need", "arithmetic", *(f"{rate:,}/s" for rate in RATES)], rows)


def _relay(relay: Mapping[str, float]) -> str:
    return (
        f"One relay publishes {relay['records_per_second']:,.0f} records/s here and uses {relay['cpu_us']:.0f} us of"
        f" CPU for each: at most {1e6 / relay['cpu_us']:,.0f}/s a core. Each service has one at a time."
    )


def _broker(auto: Cost, people: Cost) -> Iterable[list[str]]:
    size = mixed(sum(auto.log_bytes.values()), sum(people.log_bytes.values()))
    days = sum(
        mixed(auto.log_bytes[name], people.log_bytes[name]) * BY_NAME[name].retention_ms / 86_400_000
        for name in auto.log_bytes
        if not BY_NAME[name].compacted
    )
    yield ["Kafka in, MB/s", f"rate x {size:,.0f} B, x {COPIES} copies written",
           *(f"{rate * size / 1e6:.0f} x {COPIES}" for rate in RATES)]  # fmt: skip
    yield ["Kafka disk, TB", f"rate x 86,400 x {days:,.0f} B days x {COPIES}",
           *(f"{rate * DAY_S * days * COPIES / 1e12:.0f}" for rate in RATES)]  # fmt: skip
    cores = _cpu(auto, people, "kafka")
    yield ["Kafka: cores", f"rate x {cores:.0f} us / {BUSY}, one copy",
           *(f"{rate * cores / 1e6 / BUSY:.0f}" for rate in RATES)]  # fmt: skip


def _cpu(auto: Cost, people: Cost, name: str) -> float:
    return mixed(auto.cpu_us[name], people.cpu_us[name])


def _kept(cost: Cost, service: str) -> float:
    return float(sum(max(0.0, table["bytes"]) for table in cost.databases[service]["tables"].values()))


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
