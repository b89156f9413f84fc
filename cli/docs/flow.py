"""docs/flow.md: the topics table as a picture and as a table."""

from collections.abc import Sequence
from pathlib import Path

from shared.events import Event
from shared.topics import CONSUMERS, DAY_MS, OPERATOR, PLANNED, PRODUCERS, SERVICES, TOPICS, TRAINER, Topic

PATH = Path("docs/flow.md")
HEAD = """# The flow

Generated from `shared/topics.py` by `python -m cli.docs`; do not edit. Every name takes the deployment's prefix.
Boxes are ours, hexagons are outside; a dotted arrow, or a name in brackets, is planned and not there yet.

## The stream

"""
REFERENCE = """
## Reference topics

Compacted; every replica that reads one holds it in memory, reads it from the start, and has no group for it.

"""
TABLE = """
## Every topic

A reader whose name is the dead-letter owner judges the topic's records for all: what it refuses goes to `<topic>.dlq`
byte for byte with the reason; the other readers count and skip it.

| topic | events | key | kept | written by | read by | dead-letter owner |
|---|---|---|---|---|---|---|
"""


def node(name: str) -> str:
    """A Mermaid node id."""
    return name.replace(" ", "_").replace(".", "_").replace("/", "_")


def arrow(party: str, verb: str, topic: Topic[Event]) -> str:
    return "-.->" if (party, verb, topic.name) in PLANNED else "-->"


def parties(topic: Topic[Event], verb: str) -> str:
    """Who writes or reads a topic, for a cell; what is planned stands in brackets."""
    names = topic.writers if verb == "writes" else topic.readers
    return ", ".join(f"({name})" if (name, verb, topic.name) in PLANNED else name for name in names)


def diagram(topics: Sequence[Topic[Event]]) -> str:
    """Mermaid: services are boxes, topics are rounded, people are hexagons."""
    lines = ["```mermaid", "flowchart LR"]
    everyone = sorted({party for topic in topics for party in (*topic.writers, *topic.readers)})
    for party in everyone:
        shape = ("[", "]") if party in {*SERVICES, TRAINER} else ("{{", "}}")
        lines.append(f"  {node(party)}{shape[0]}{party}{shape[1]}")
    for topic in topics:
        lines.append(f'  {node(topic.name)}(["{topic.name}"])')
        lines += [f"  {node(party)} {arrow(party, 'writes', topic)} {node(topic.name)}" for party in topic.writers]
        lines += [f"  {node(topic.name)} {arrow(party, 'reads', topic)} {node(party)}" for party in topic.readers]
    people = [node(party) for party in everyone if party in {OPERATOR, PRODUCERS, CONSUMERS}]
    if people:
        lines += ["  classDef outside stroke-dasharray: 4 3", f"  class {','.join(people)} outside"]
    return "\n".join([*lines, "```", ""])


def row(topic: Topic[Event]) -> str:
    kept = "compacted" if topic.compacted else f"{topic.retention_ms // DAY_MS} d"
    cells = (
        f"`{topic.name}`: {topic.about}",
        ", ".join(f"`{event.ce_type}`" for event in topic.events),
        topic.key,
        kept,
        parties(topic, "writes"),
        parties(topic, "reads"),
        topic.dlq_owner or "none",
    )
    return "| " + " | ".join(cells) + " |\n"


def page() -> str:
    """The whole page."""
    stream = [topic for topic in TOPICS if not topic.compacted]
    reference = [topic for topic in TOPICS if topic.compacted]
    return HEAD + diagram(stream) + REFERENCE + diagram(reference) + TABLE + "".join(row(topic) for topic in TOPICS)
