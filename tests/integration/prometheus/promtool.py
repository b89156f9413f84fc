"""Unit tests of alerts, as promtool takes them: series in, alerts out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cli.stack.children import run
from tests.support.debian import or_skip, prometheus

RULES = Path(__file__).parents[3] / "deploy/prometheus/rules"


@dataclass(frozen=True, slots=True)
class Expected:
    """At `at`, exactly these alerts of the name fire, each by its labels."""

    alert: str
    at: str
    labels: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """Series by their notation (`labelstream_ready{service="qc"}` -> `0x10`), and what is to come of them.

    Attributes:
        rules: the rule files that are loaded.
        every_min: minutes between samples, and between evaluations.
    """

    name: str
    series: Mapping[str, str]
    expected: Sequence[Expected]
    rules: Sequence[str] = ()
    every_min: int = 1


@dataclass(frozen=True, slots=True)
class Files:
    """The rule files, and what is in them."""

    paths: Sequence[Path] = field(default_factory=lambda: sorted(RULES.glob("*.yml")))

    def rules(self) -> list[dict[str, Any]]:
        return [rule for path in self.paths for group in _groups(path) for rule in group["rules"]]

    def alerts(self) -> list[dict[str, Any]]:
        return [rule for rule in self.rules() if "alert" in rule]


def _groups(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(path.read_text())["groups"]
    return found


def check() -> str:
    """promtool's own look at the files."""
    command = [str(or_skip(prometheus) / "promtool"), "check", "rules", *map(str, Files().paths)]
    return run(command, what="promtool check rules", within_s=60)


def try_out(scenario: Scenario, into: Path) -> str:
    """Run it; an error says what is not as expected.

    Annotations are left out of the rules: promtool would want each text again.
    """
    order = []
    for path in (RULES / name for name in scenario.rules):
        groups = _groups(path)
        order += [group["name"] for group in groups]
        for rule in (rule for group in groups for rule in group["rules"]):
            rule.pop("annotations", None)
        for group in groups:
            group.pop("interval", None)
        (into / path.name).write_text(yaml.safe_dump({"groups": groups}))
    document = {
        "rule_files": list(scenario.rules),
        "evaluation_interval": f"{scenario.every_min}m",
        # What is recorded comes before the alerts on it.
        "group_eval_order": sorted(order, key=lambda name: name.endswith(("_symptoms", "_alerts"))),
        "tests": [_test(scenario)],
    }
    (into / "tests.yml").write_text(yaml.safe_dump(document))
    command = [str(or_skip(prometheus) / "promtool"), "test", "rules", "tests.yml"]
    return run(command, what="promtool test rules", within_s=120, cwd=into)


def _test(scenario: Scenario) -> dict[str, Any]:
    return {
        "name": scenario.name,
        "interval": f"{scenario.every_min}m",
        "input_series": [{"series": series, "values": values} for series, values in scenario.series.items()],
        "alert_rule_test": [
            {
                "eval_time": one.at,
                "alertname": one.alert,
                "exp_alerts": [{"exp_labels": dict(labels)} for labels in one.labels],
            }
            for one in scenario.expected
        ],
    }
