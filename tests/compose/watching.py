"""What Prometheus sees of the deployment, asked from inside its network; and Grafana's provisioning, as files."""

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from shared.topics import PROCESSES
from tests.compose.deployment import COMPOSE, REPOSITORY, Deployment
from tests.compose.engine import Failed, say
from tests.e2e.world.plan import PROJECT

WITHIN_S = 90.0
ITEMS = f'sum(project_state:labelstream_items:max{{project="{PROJECT}"}})'


def check_rules(deployment: Deployment) -> str:
    """promtool, in Prometheus' own container, on the files that are mounted there."""
    tool = ("exec", deployment.container("prometheus"), "promtool", "check", "config", "/etc/prometheus/prometheus.yml")
    said = deployment.engine.run(*tool, what="promtool check config")
    files = [line.strip() for line in said.splitlines() if "rules found" in line]
    say(f"promtool: {', '.join(files)}")
    return said


def check_prometheus(deployment: Deployment, items: int) -> None:
    """Every service is scraped, every rule is loaded and evaluates, and the items of the flow are counted.

    Raises:
        Failed: one is not so after 90 s.
    """
    deadline = time.monotonic() + WITHIN_S
    while problems := _problems(deployment, items):
        if time.monotonic() > deadline:
            raise Failed(f"Prometheus: {'; '.join(problems)}")
        time.sleep(3)
    say(f"Prometheus: {len(PROCESSES)} targets up, {len(_written())} rules evaluate, {items} items counted")


def _problems(deployment: Deployment, items: int) -> list[str]:
    targets = {one["labels"]["service"]: one["health"] for one in _ask(deployment, "targets")["activeTargets"]}
    problems = [f"{name} is {targets.get(name, 'not scraped')}" for name in PROCESSES if targets.get(name) != "up"]
    rules = {rule["name"]: rule for group in _ask(deployment, "rules")["groups"] for rule in group["rules"]}
    problems += [f"rule {name} is not loaded" for name in _written() - rules.keys()]
    problems += [f"rule {name}: {one.get('lastError')}" for name, one in rules.items() if one["health"] != "ok"]
    counted = _ask(deployment, "query?query=" + quote(ITEMS))["result"]
    if not counted or int(float(counted[0]["value"][1])) != items:
        problems.append(f"{ITEMS} is {counted}, not {items}")
    return problems


def _written() -> set[str]:
    """The names of the rules in the files."""
    return {
        rule.get("alert") or rule["record"]
        for path in (REPOSITORY / "deploy/prometheus/rules").glob("*.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    }


def _ask(deployment: Deployment, what: str) -> dict[str, Any]:
    url = f"http://prometheus:9090/api/v1/{what}"
    code = f"import urllib.request as r; print(r.urlopen('{url}', timeout=10).read().decode())"
    answer = json.loads(deployment.python("qc", code))
    if answer["status"] != "success":
        raise Failed(f"Prometheus answers {answer}")
    found: dict[str, Any] = answer["data"]
    return found


def check_grafana_files() -> str:
    """Grafana is not run here. Its data source is our Prometheus, and its dashboards are where they are mounted.

    Raises:
        Failed: a file says something else than compose.yaml.
    """
    grafana = REPOSITORY / "deploy/grafana"
    mounts = {
        volume.split(":")[1]: REPOSITORY / volume.split(":")[0]
        for volume in yaml.safe_load(COMPOSE.read_text())["services"]["grafana"]["volumes"]
        if volume.startswith("./")
    }
    (source,) = yaml.safe_load((grafana / "provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    (provider,) = yaml.safe_load((grafana / "provisioning/dashboards/labelstream.yaml").read_text())["providers"]
    folder = mounts.get(provider["options"]["path"])
    boards = sorted(folder.glob("*.json")) if folder is not None else []
    for path in boards:
        asked = [one for one in json.loads(path.read_text())["templating"]["list"] if one["type"] == "datasource"]
        if [one["query"] for one in asked] != [source["type"]]:
            raise Failed(f"{path.name} asks for the data sources {asked}, not for one of type {source['type']}")
    if source["url"] != "http://prometheus:9090" or not boards or mounts.get("/etc/grafana/provisioning") is None:
        raise Failed(f"Grafana's provisioning: source {source['url']}, {len(boards)} dashboards at {folder}")
    return f"files only, not run: source {source['url']}, dashboards {', '.join(Path(path).stem for path in boards)}"
