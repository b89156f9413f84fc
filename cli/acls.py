"""`labelstream topics acls`: what each principal needs on the cluster; asks no broker."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.output import JsonFlag, Output, fail, table
from shared.bus.acls import PARTIES, Right, commands, rights
from shared.topics import OPERATOR, SERVICES, TRAINER

BY_DEFAULT = (*SERVICES, TRAINER, OPERATOR)


def command(
    *,
    principal: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PARTY[=PRINCIPAL]",
            help="Only these, and as whom Kafka knows each, e.g. qc=User:CN=qc; User:PARTY if not said."
            " Parties are the services, trainer, operator, producers (of items) and consumers (of labels).",
        ),
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option(metavar="TOPIC", help="A topic on this cluster that a project's source reads.")
    ] = None,
    prefix: Annotated[
        str, typer.Option(envvar="LABELSTREAM_KAFKA_PREFIX", help="Before every topic and group name.")
    ] = "",
    bootstrap: Annotated[
        str, typer.Option(envvar="LABELSTREAM_KAFKA_BOOTSTRAP", help="For the printed commands.")
    ] = "localhost:9092",
    config: Annotated[
        str, typer.Option(metavar="FILE", help="For the printed commands: client settings of a cluster administrator.")
    ] = "admin.properties",
    commands_only: Annotated[bool, typer.Option("--commands", help="Print the commands alone, for a shell.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Print which ACLs each principal needs, from the table of topics, and the kafka-acls commands that add them."""
    out = Output(as_json=as_json)
    wanted = _wanted(_parties(principal or BY_DEFAULT), prefix, source or [])
    calls = commands(wanted, bootstrap=bootstrap, config=config)
    document: dict[str, Any] = {"acls": [_row(one) for one in wanted], "commands": calls}

    def render(to: Console) -> None:
        if not commands_only:
            headings = ("principal", "operation", "resource", "pattern", "name")
            to.print(table(headings, [[_row(one)[heading] for heading in headings] for one in wanted]))
            to.print()
        for call in calls:
            to.print(call, markup=False)

    out.result(document, render)


def _parties(given: Sequence[str]) -> dict[str, str]:
    """Party to principal; empty where it is not said."""
    found = dict(one.partition("=")[::2] for one in given)
    unknown = sorted(set(found) - set(PARTIES))
    if unknown:
        fail(f"--principal: {', '.join(unknown)} is no party; known: {', '.join(PARTIES)}")
    bad = sorted(name for name in found.values() if name and ":" not in name)
    if bad:
        fail(f"--principal: {', '.join(bad)} has no type; Kafka's principals look like User:{bad[0]}")
    return found


def _wanted(parties: dict[str, str], prefix: str, sources: Sequence[str]) -> list[Right]:
    return [
        right
        for party, name in parties.items()
        for right in rights(party, prefix=prefix, principal=name, sources=sources)
    ]


def _row(one: Right) -> dict[str, str]:
    return {
        "party": one.party,
        "principal": one.principal,
        "operation": one.operation,
        "resource": one.resource,
        "pattern": one.pattern,
        "name": one.name,
    }
