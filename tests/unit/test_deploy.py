"""Prometheus and Grafana as files: they scrape what exists, and name metrics that are declared."""

import re
from pathlib import Path

import pytest
import yaml

from cli.docs import services, settings
from shared.topics import PROCESSES, SERVICES

DEPLOY = Path(__file__).parents[2] / "deploy"
METRIC = re.compile(r"(?:[a-z_]+:)?labelstream_[a-z_0-9]+(?::[a-z_0-9]+)?")


@pytest.fixture(scope="module")
def declared() -> set[str]:
    """The names of every series of every service."""
    return {name for service in PROCESSES for name in services.build(service).registry._names_to_collectors}


def test_every_service_is_scraped_where_it_listens() -> None:
    jobs = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    scraped = {each["labels"]["service"]: each["targets"] for job in jobs for each in job.get("static_configs", [])}
    for cls in settings.classes():
        name = str(cls.model_config.get("env_prefix", "")).removeprefix("LABELSTREAM_").rstrip("_").lower()
        if name in SERVICES:
            assert scraped[name] == [f"{name}:{cls.model_fields['port'].default}"]
    assert set(SERVICES) <= set(scraped)


def test_rules_and_dashboards_name_declared_metrics(declared: set[str]) -> None:
    docs = DEPLOY.parent / "docs"
    files = [*DEPLOY.glob("prometheus/rules/*.yml"), *DEPLOY.glob("grafana/dashboards/*.json")]
    files += [docs / "operations.md", docs / "runbooks.md"]
    assert len(files) >= 6
    recorded = {
        rule["record"]
        for path in DEPLOY.glob("prometheus/rules/*.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    for path in files:
        unknown = set(METRIC.findall(path.read_text())) - declared - recorded
        assert not unknown, path.name


def test_alerts_say_what_happened() -> None:
    for path in DEPLOY.glob("prometheus/rules/*.yml"):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                assert "record" in rule or rule["annotations"]["summary"], path.name


def test_the_provisioned_source_is_what_dashboards_choose() -> None:
    (source,) = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    assert source["type"] == "prometheus"
    assert source["isDefault"]
