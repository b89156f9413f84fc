"""The generated documents are current, and the services do what the topics table says."""

import json
from typing import Any

import pytest

from cli.docs import dashboards, flow, kubernetes, objectives, services, settings
from cli.docs.__main__ import stale
from shared.topics import PLANNED, PROCESSES, REBUILDS, SERVICES, TOPICS
from tests.contract.examples import REPOSITORY

VERBS = ("reads", "writes")
HINT = "run `python -m cli.docs`"


@pytest.fixture(scope="module", params=PROCESSES)
def document(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return request.param, services.asyncapi(request.param)


def test_the_flow_page_is_current() -> None:
    assert stale(REPOSITORY, {flow.PATH: flow.page()}) == [], HINT


def test_the_settings_page_is_current() -> None:
    assert stale(REPOSITORY, {settings.PATH: settings.page()}) == [], HINT


def test_the_dashboards_are_current() -> None:
    assert stale(REPOSITORY, dashboards.boards()) == [], HINT


def test_the_objectives_rules_are_current() -> None:
    assert stale(REPOSITORY, objectives.pages()) == [], HINT


def test_the_kubernetes_manifests_are_current() -> None:
    assert stale(REPOSITORY, kubernetes.pages()) == [], HINT


def test_the_service_documents_are_current(document: tuple[str, dict[str, Any]]) -> None:
    name, found = document
    assert stale(REPOSITORY, {services.ASYNCAPI / f"{name}.json": services.as_json(found)}) == [], HINT


def test_the_openapi_document_is_current() -> None:
    assert stale(REPOSITORY, {services.OPENAPI: services.as_json(services.openapi())}) == [], HINT


def test_a_service_reads_and_writes_what_the_table_says(document: tuple[str, dict[str, Any]]) -> None:
    name, found = document
    reads, writes = services.directions(found)
    planned = {verb: {topic for party, does, topic in PLANNED if (party, does) == (name, verb)} for verb in VERBS}
    assert reads == {topic.name for topic in TOPICS if name in topic.readers} - planned["reads"]
    assert writes == {topic.name for topic in TOPICS if name in topic.writers} - planned["writes"]


def test_a_service_reads_back_what_the_table_says() -> None:
    declared = [(name, topic) for name in SERVICES for topic, _ in services.build(name).rebuilds]
    assert {(name, topic.name) for name, topic in declared if name in topic.writers} == REBUILDS
    assert all(name in topic.readers for name, topic in declared if name not in topic.writers)


def test_what_is_planned_is_in_the_table() -> None:
    table = {(party, "writes", topic.name) for topic in TOPICS for party in topic.writers}
    table |= {(party, "reads", topic.name) for topic in TOPICS for party in topic.readers}
    assert table >= PLANNED


def test_every_dead_letter_owner_reads_its_topic() -> None:
    for topic in TOPICS:
        assert topic.compacted or topic.dlq_owner in topic.readers, topic.name


def test_asyncapi_payloads_name_every_event(document: tuple[str, dict[str, Any]]) -> None:
    name, found = document
    text = json.dumps(found)
    for topic in TOPICS:
        if name in topic.writers and (name, "writes", topic.name) not in PLANNED:
            for event in topic.events:
                assert f'"{event.__name__}"' in text


def test_every_setting_is_described() -> None:
    for cls in settings.classes():
        for variable, field in settings.variables(cls).items():
            assert field.description, f"{variable} has no description"
            assert variable.startswith("LABELSTREAM_")
