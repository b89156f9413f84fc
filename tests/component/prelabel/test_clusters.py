"""Credentials go where they belong, and nowhere else; which sources run."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from services.prelabel.jobs.clusters import source_cluster, source_group
from services.prelabel.jobs.sources import Plan, plans
from services.prelabel.settings import PrelabelSettings, SourceCredentials
from shared.bus.references import CurrentProject
from shared.errors import ConfigurationError
from shared.events import ProjectSpec, Source
from shared.labels import ChoiceSchema
from shared.runtime.settings import KafkaSettings

OURS = "our-password"
OWN = KafkaSettings(bootstrap="own:9093", prefix="x.", sasl_username="us", sasl_password=SecretStr(OURS))


def settings(**credentials: SourceCredentials) -> PrelabelSettings:
    return PrelabelSettings(kafka=OWN, model_dir=Path("models"), source_credentials=credentials)


def source(**more: Any) -> Source:
    return Source.model_validate({"name": "s", "topic": "t", "map": {"id": "id", "text": "t"}, **more})


def theirs(**more: Any) -> SourceCredentials:
    return SourceCredentials(sasl_username="them", sasl_password=SecretStr("their-password"), **more)


def test_no_servers_and_no_credentials_is_our_own_cluster() -> None:
    assert source_cluster(settings(), source()) is OWN


def test_our_password_never_goes_to_other_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELSTREAM_KAFKA_SASL_PASSWORD", OURS)
    monkeypatch.setenv("LABELSTREAM_KAFKA_SASL_USERNAME", "us")
    found = source_cluster(settings(), source(bootstrap_servers="foreign:9092"))
    assert (found.bootstrap, found.security_protocol) == ("foreign:9092", "SSL")
    assert found.password() == ""
    assert found.sasl_username == ""
    assert found.prefix == ""


def test_named_credentials_are_used() -> None:
    found = source_cluster(settings(shop=theirs()), source(bootstrap_servers="shop:9093", credentials="shop"))
    assert (found.bootstrap, found.sasl_username, found.password()) == ("shop:9093", "them", "their-password")


def test_bound_credentials_go_to_their_servers_only() -> None:
    bound = settings(shop=theirs(bootstrap_servers="shop:9093"))
    assert source_cluster(bound, source(credentials="shop")).bootstrap == "shop:9093"
    with pytest.raises(ConfigurationError, match="other servers"):
        source_cluster(bound, source(bootstrap_servers="evil:9093", credentials="shop"))


def test_unknown_credentials_are_named() -> None:
    with pytest.raises(ConfigurationError, match="names the credentials 'shop'"):
        source_cluster(settings(), source(credentials="shop"))


def test_a_password_in_the_clear_needs_a_word() -> None:
    with pytest.raises(ValidationError, match="allow_insecure"):
        theirs(security_protocol="SASL_PLAINTEXT")


def test_the_group_carries_the_prefix() -> None:
    assert source_group(settings(), "p", source()) == "x.prelabel.source.p.s"


def project(*sources: Source, paused: bool = False, **more: Any) -> CurrentProject:
    spec = ProjectSpec(project="p", data="text", label=ChoiceSchema(classes=("a", "b")), sources=sources, **more)
    return CurrentProject("p", 1, spec, paused)


def test_what_is_paused_does_not_run() -> None:
    assert set(plans([project(source(), source(name="q", paused=True))])) == {("p", "s")}
    assert plans([project(source(), paused=True)]) == {}


def test_only_what_a_reader_looks_at_restarts_it() -> None:
    before = plans([project(source())])["p", "s"]
    assert before.same(plans([project(source(), title="another title")])["p", "s"])
    assert not before.same(plans([project(source(max_per_second=5))])["p", "s"])
    assert isinstance(before, Plan)
