"""What the doctor concludes, without servers."""

from datetime import timedelta
from typing import Any

import pytest

from cli.doctor.access import GROUP, LITERAL, PREFIXED, TOPIC, Rule, lacking, needs
from cli.doctor.databases import skew
from cli.doctor.findings import Status
from cli.doctor.kafka import _topic
from shared.bus.admin import TopicState, wanted_topics
from shared.topics import GOLD_ANSWERS, ITEMS, SERVICES

WANTED = {one.name: one for one in wanted_topics(partitions=2, max_record_bytes=1_048_576)}


def said(topic: str, brokers: int = 3, **state: Any) -> list[str]:
    config = WANTED[topic].config | {"min.insync.replicas": "2"} | state.pop("config", {})
    known = TopicState(**({"partitions": 1, "replication": 3, "config": config} | state))
    return [one.found for one in _topic(topic, known, WANTED[topic], brokers, single=topic == GOLD_ANSWERS.name)]


@pytest.mark.parametrize(
    ("state", "part"),
    [
        ({}, None),
        ({"replication": 1}, "1 copies on 3 brokers"),
        ({"replication": 1, "brokers": 1, "config": {"min.insync.replicas": "1"}}, None),
        ({"config": {"min.insync.replicas": "1"}}, "one broker alone"),
        ({"config": {"min.insync.replicas": "3"}}, "stops all writing"),
        ({"leaderless": 1}, "no leader"),
        ({"shrunk": 1}, "lack in-sync copies"),
        ({"config": {"cleanup.policy": "compact"}}, "cleanup.policy is compact, it should be delete"),
        ({"config": {"retention.ms": "-1"}}, "retention.ms is -1"),
    ],
)
def test_topics(state: dict[str, Any], part: str | None) -> None:
    found = said(ITEMS.name, **state)
    assert found == [] if part is None else len(found) == 1 and part in found[0], found


def test_a_reference_topic_has_one_partition() -> None:
    assert "may overtake" in said(GOLD_ANSWERS.name, partitions=2)[0]


def test_a_missing_topic() -> None:
    (only,) = _topic("x", None, WANTED[ITEMS.name], 1, single=False)
    assert (only.status, only.todo) == (Status.WRONG, "`labelstream topics create`")


@pytest.mark.parametrize("party", SERVICES)
def test_rights_are_enough_exactly_when_nothing_lacks(party: str) -> None:
    wanted = needs(party, "p.")
    rules = [Rule(resource, name, LITERAL, operation, allows=True) for resource, name, operation in wanted]
    assert lacking(rules, wanted) == []
    for left_out in range(len(rules)):
        assert len(lacking([*rules[:left_out], *rules[left_out + 1 :]], wanted)) == 1


def test_prefixes_all_operations_and_denials() -> None:
    wanted = [(TOPIC, "p.items.v1", "Read"), (GROUP, "p.qc.labels.v1", "Read")]
    everything = [
        Rule(TOPIC, "p.", PREFIXED, "All", allows=True),
        Rule(GROUP, "*", LITERAL, "Read", allows=True),
    ]
    assert lacking(everything, wanted) == []
    denied = Rule(TOPIC, "p.items.v1", LITERAL, "Read", allows=False)
    assert lacking([*everything, denied], wanted) == ["Read of topic p.items.v1"]
    assert lacking(everything[:1], wanted) == ["Read of group p.qc.labels.v1"]


def test_only_qc_needs_the_gold_answers() -> None:
    readers = [p for p in SERVICES if (TOPIC, GOLD_ANSWERS.name, "Read") in needs(p, "")]
    assert readers == ["qc"]


@pytest.mark.parametrize(
    ("ahead", "took", "status"),
    [(0.2, 0.01, Status.OK), (-1.5, 0.01, Status.WRONG), (1.2, 0.6, Status.OK), (3.0, 0.6, Status.WRONG)],
)
def test_a_clock_is_wrong_beyond_what_the_question_took(ahead: float, took: float, status: Status) -> None:
    assert skew("x", timedelta(seconds=ahead), timedelta(seconds=took)).status is status
