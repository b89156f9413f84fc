"""Rules and alerts under promtool, and the runbooks that alerts send people to."""

import re
from pathlib import Path

import pytest

from tests.integration.prometheus.burning import BURNING
from tests.integration.prometheus.promtool import Files, Scenario, check, try_out
from tests.integration.prometheus.scenarios import SCENARIOS

REPOSITORY = Path(__file__).parents[3]
pytestmark = pytest.mark.timeout(90)
LEVEL = re.compile(r"^[a-z_]+:labelstream_[a-z_]+:[a-z0-9_]+$")


def test_promtool_accepts_the_rules() -> None:
    said = check()
    assert said.count("SUCCESS") == len(Files().paths)


@pytest.mark.parametrize("scenario", [*SCENARIOS, *BURNING], ids=lambda one: str(one.name))
def test_alerts_fire_when_they_should_and_only_then(scenario: Scenario, tmp_path: Path) -> None:
    assert "SUCCESS" in try_out(scenario, tmp_path)


def test_every_alert_is_seen_firing_and_silent() -> None:
    tried = [(one.alert, bool(one.labels)) for each in (*SCENARIOS, *BURNING) for one in each.expected]
    names = {rule["alert"] for rule in Files().alerts()}
    assert {name for name, fires in tried if fires} == names
    assert {name for name, fires in tried if not fires} == names


def test_alerts_say_what_happened_how_bad_it_is_and_what_to_do() -> None:
    anchors: dict[str, set[str]] = {}
    for rule in Files().alerts():
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in {"page", "warning", "info"}
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        if page not in anchors:
            headings = re.findall(r"^#+ (.+)$", (REPOSITORY / page).read_text(), re.MULTILINE)
            anchors[page] = {heading.lower().replace(" ", "-") for heading in headings}
        assert anchor in anchors[page], f"{rule['alert']}: {page} has no section {anchor}"


def test_every_runbook_is_of_an_alert() -> None:
    headings = re.findall(r"^## (Labelstream\w+)$", (REPOSITORY / "docs/runbooks.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted({rule["alert"] for rule in Files().alerts()})


def test_recorded_series_are_named_by_level_metric_and_operations() -> None:
    for rule in Files().rules():
        if "record" in rule:
            assert LEVEL.match(rule["record"]), rule["record"]
            assert " by (" not in rule["expr"], f"{rule['record']}: aggregate with `without`"
