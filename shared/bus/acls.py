"""Who may touch what on a Kafka cluster: the rights that the table of topics implies, and not one more."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from shared.errors import ConfigurationError
from shared.topics import (
    CONSUMERS,
    OPERATOR,
    PRELABEL,
    PRODUCERS,
    REBUILDS,
    SERVICES,
    TOPICS,
    TRAINER,
)

PARTIES = (*SERVICES, TRAINER, OPERATOR, "producers", "consumers")
"""Whose rights can be asked for; the services' are always given."""
_IN_TABLE = {"producers": PRODUCERS, "consumers": CONSUMERS}

Resource = Literal["topic", "group"]
Pattern = Literal["literal", "prefixed"]


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One rule of Kafka's authorizer that allows something from any host.

    Attributes:
        party: whom the table of topics means.
        principal: as Kafka knows it, e.g. `User:qc`.
        name: the topic or group with the deployment's prefix, or what its name begins with.
        operation: Read, Write (either implies Describe), Create or All.
    """

    party: str
    principal: str
    resource: Resource
    name: str
    pattern: Pattern
    operation: str


def rights(party: str, *, prefix: str, principal: str = "", sources: Iterable[str] = ()) -> list[Right]:
    """What one party needs.

    A service reads and writes what the table says, reads back its own output where it rebuilds itself from that, writes
    the dead letters that it owns, and uses groups that begin with its name. The operator owns every topic of the table.

    Args:
        party: one of `PARTIES`.
        prefix: of the deployment's topics and groups.
        principal: `User:<party>` when empty.
        sources: topics of this cluster that sources of projects read; prelabel's business.

    Raises:
        ConfigurationError: there is no such party.
    """
    if party not in PARTIES:
        raise ConfigurationError(f"{party!r} has no rights to list; known: {', '.join(PARTIES)}")
    named = principal or f"User:{party}"
    topics = _operator() if party == OPERATOR else _topics(party)
    found = [Right(party, named, "topic", prefix + name, "literal", operation) for name, operation in topics]
    if party == PRELABEL:
        for source in sources:
            found.append(Right(party, named, "topic", source, "literal", "Read"))
            letters = f"{prefix}{source}.dlq"
            found += [Right(party, named, "topic", letters, "literal", operation) for operation in ("Create", "Write")]
    if party in (*SERVICES, TRAINER):
        found.append(Right(party, named, "group", f"{prefix}{party}.", "prefixed", "Read"))
    if party == OPERATOR:
        found += [Right(party, named, "group", f"{prefix}{one}.", "prefixed", "All") for one in (*SERVICES, TRAINER)]
    return found


def _topics(party: str) -> list[tuple[str, str]]:
    name, found = _IN_TABLE.get(party, party), []
    for topic in TOPICS:
        if name in topic.readers or (name, topic.name) in REBUILDS:
            found.append((topic.name, "Read"))
        if name in topic.writers:
            found.append((topic.name, "Write"))
        if name == topic.dlq_owner:
            found.append((topic.dlq, "Write"))
    return found


def _operator() -> list[tuple[str, str]]:
    return [
        (name, "All")
        for topic in TOPICS
        for name in (topic.name, *((topic.dlq,) if topic.dlq_owner is not None else ()))
    ]


def commands(wanted: Sequence[Right], *, bootstrap: str, config: str) -> list[str]:
    """The same as calls of Kafka's own tool, one per principal, pattern and set of operations.

    Args:
        wanted: the rights.
        bootstrap: where the tool connects.
        config: its file with the credentials of an administrator of the cluster.
    """
    operations: dict[tuple[str, Resource, Pattern, str], list[str]] = {}
    for one in wanted:
        operations.setdefault((one.principal, one.resource, one.pattern, one.name), []).append(one.operation)
    names: dict[tuple[str, Resource, Pattern, tuple[str, ...]], list[str]] = {}
    for (principal, resource, pattern, name), allowed in operations.items():
        names.setdefault((principal, resource, pattern, tuple(sorted(allowed))), []).append(name)
    made = []
    for (principal, resource, pattern, together), held in names.items():
        parts = ["kafka-acls.sh", "--bootstrap-server", bootstrap, "--command-config", config, "--add"]
        parts += ["--allow-principal", principal, "--resource-pattern-type", pattern]
        parts += [part for operation in together for part in ("--operation", operation)]
        parts += [part for name in held for part in (f"--{resource}", name)]
        made.append(shlex.join(parts))
    return made
