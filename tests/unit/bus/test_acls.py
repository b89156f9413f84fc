"""The rights that the table of topics implies: all that is needed, and not one more."""

import json
import shlex
from collections.abc import Sequence
from itertools import pairwise

import pytest
from typer.testing import CliRunner

from cli.__main__ import build
from shared.bus.acls import PARTIES, Right, commands, rights
from shared.errors import ConfigurationError
from shared.topics import GOLD_ANSWERS, OPERATOR, PRELABEL, QC, REBUILDS, SERVICES, TOPICS, TRAINER

PREFIX = "lab."


def allowed(party: str, operation: str) -> set[str]:
    return {
        one.name
        for one in rights(party, prefix=PREFIX)
        if (one.resource, one.operation) == ("topic", operation) and one.pattern == "literal"
    }


@pytest.mark.parametrize("party", [*SERVICES, TRAINER])
def test_a_party_may_do_what_the_table_says(party: str) -> None:
    reads = {topic.name for topic in TOPICS if party in topic.readers or (party, topic.name) in REBUILDS}
    writes = {topic.name for topic in TOPICS if party in topic.writers}
    letters = {topic.dlq for topic in TOPICS if topic.dlq_owner == party}
    assert allowed(party, "Read") == {PREFIX + name for name in reads}
    assert allowed(party, "Write") == {PREFIX + name for name in writes | letters}
    assert {one.operation for one in rights(party, prefix=PREFIX)} <= {"Read", "Write"}


def test_only_qc_of_the_services_reads_gold_answers() -> None:
    name = PREFIX + GOLD_ANSWERS.name
    assert [party for party in (*SERVICES, TRAINER, "producers", "consumers") if name in allowed(party, "Read")] == [QC]


@pytest.mark.parametrize("party", PARTIES)
def test_nothing_reaches_beyond_the_prefix(party: str) -> None:
    for one in rights(party, prefix=PREFIX):
        assert one.name.startswith(PREFIX)
        assert len(one.name) > len(PREFIX)
        assert one.pattern == "literal" or (one.resource, one.name[-1]) == ("group", ".")


def test_a_service_uses_its_own_groups_only() -> None:
    for party in SERVICES:
        groups = [one for one in rights(party, prefix=PREFIX) if one.resource == "group"]
        assert [(one.name, one.pattern, one.operation) for one in groups] == [(f"{PREFIX}{party}.", "prefixed", "Read")]


def test_a_source_on_our_cluster_is_prelabels_to_read() -> None:
    with_source = set(rights(PRELABEL, prefix=PREFIX, sources=["shop.reviews"])) - set(rights(PRELABEL, prefix=PREFIX))
    assert {(one.name, one.operation) for one in with_source} == {
        ("shop.reviews", "Read"),
        ("lab.shop.reviews.dlq", "Create"),
        ("lab.shop.reviews.dlq", "Write"),
    }
    assert rights(QC, prefix=PREFIX, sources=["shop.reviews"]) == rights(QC, prefix=PREFIX)


def test_who_is_unknown_is_named() -> None:
    with pytest.raises(ConfigurationError, match="'qs' has no rights to list; known: prelabel"):
        rights("qs", prefix="")


def read_back(calls: Sequence[str]) -> set[tuple[str, str, str, str, str]]:
    """(principal, resource, pattern, name, operation) of kafka-acls commands."""
    found = set()
    for call in calls:
        words = shlex.split(call)
        given: dict[str, list[str]] = {}
        for name, value in pairwise(words):
            if name.startswith("--"):
                given.setdefault(name, []).append(value)
        ((principal,), (pattern,)) = given["--allow-principal"], given["--resource-pattern-type"]
        for resource in ("topic", "group"):
            for name in given.get(f"--{resource}", []):
                found |= {(principal, resource, pattern, name, operation) for operation in given["--operation"]}
    return found


def as_tuple(one: Right) -> tuple[str, str, str, str, str]:
    return one.principal, one.resource, one.pattern, one.name, one.operation


@pytest.mark.parametrize("party", [*SERVICES, OPERATOR])
def test_the_commands_say_the_same(party: str) -> None:
    wanted = rights(party, prefix=PREFIX, principal="User:CN=it's me,O=Example Inc", sources=["shop.reviews"])
    calls = commands(wanted, bootstrap="k:9093", config="admin.properties")
    assert read_back(calls) == {as_tuple(one) for one in wanted}


def test_the_command_prints_them_without_a_broker() -> None:
    words = ["topics", "acls", "--prefix", PREFIX, "--principal", "qc=User:CN=qc", "--principal", "consumers", "--json"]
    document = json.loads(CliRunner().invoke(build(words), words).stdout)
    wanted = [
        *rights(QC, prefix=PREFIX, principal="User:CN=qc"),
        *rights("consumers", prefix=PREFIX, principal="User:consumers"),
    ]
    printed = {
        tuple(one[name] for name in ("principal", "resource", "pattern", "name", "operation"))
        for one in document["acls"]
    }
    assert printed == {as_tuple(one) for one in wanted} == read_back(document["commands"])
    only = CliRunner().invoke(build(words), [*words[:-1], "--commands"]).stdout.splitlines()
    assert only == document["commands"]
