"""Dockerfile and compose.yaml as files: what they name exists, is pinned, and holds no password."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.docs import settings
from shared.topics import PRELABEL, SERVICES, TRAINER

REPOSITORY = Path(__file__).parents[2]
COMPOSE = (REPOSITORY / "compose.yaml").read_text()
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
PINNED = re.compile(r"^[\w./-]+:v?\d+\.\d+(?:\.\d+)?(?:-[\w.]+)?$")
SECRET = re.compile(r"PASSWORD|TOKEN|JAAS|DATABASE_URL")
# Read by commands rather than by a settings class of a service.
OPERATOR_ONLY = {"LABELSTREAM_URL", "LABELSTREAM_ADMIN_TOKEN"}


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
    return found


def environment(service: dict[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in service.get("environment", {}).items()}


def test_compose_holds_every_part(services: dict[str, dict[str, Any]]) -> None:
    assert set(services) == {
        *SERVICES,
        TRAINER,
        "kafka",
        "postgres",
        "migrate",
        "topics",
        "operator",
        "prometheus",
        "grafana",
    }


def test_images_are_pinned(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert PINNED.match(service["image"]), f"{name}: {service['image']}"
    assert re.search(r"^ARG PYTHON=3\.11\.\d+-slim-bookworm$", DOCKERFILE, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"python:${PYTHON}", "runtime"}


def test_our_images_carry_our_version(services: dict[str, dict[str, Any]]) -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    ours = {service["image"].rsplit(":", 1)[1] for service in services.values() if "build" in service}
    assert ours == {version}


def test_environment_names_exist_in_the_settings(services: dict[str, dict[str, Any]]) -> None:
    known = OPERATOR_ONLY | {name for cls in settings.classes() for name in settings.variables(cls)}
    named = {name for each in services.values() for name in environment(each) if name.startswith("LABELSTREAM_")}
    assert named - known == set()


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_gets_its_own_secrets_only(services: dict[str, dict[str, Any]], name: str) -> None:
    others = tuple(f"LABELSTREAM_{other.upper()}_" for other in SERVICES if other != name)
    assert not [key for key in environment(services[name]) if key.startswith(others)]
    has_database = f"LABELSTREAM_{name.upper()}_DATABASE_URL" in environment(services[name])
    assert has_database == (name != PRELABEL)


def test_no_secret_has_a_default(services: dict[str, dict[str, Any]]) -> None:
    """Each is refused by compose while .env lacks it; none is written down."""
    for name, service in services.items():
        for key, value in environment(service).items():
            if SECRET.search(key):
                assert "${" in value, f"{name}: {key} is written down"
                assert ":-" not in value, f"{name}: {key} has a default"
    wanted = set(re.findall(r"\$\{(\w+):\?", COMPOSE))
    offered = dict(
        line.split("=", 1) for line in (REPOSITORY / ".env.example").read_text().splitlines() if re.match(r"\w+=", line)
    )
    assert wanted == set(offered)
    assert not any(offered.values())


def test_what_is_mounted_is_in_the_repository(services: dict[str, dict[str, Any]]) -> None:
    mounts = {volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])}
    missing = [mount for mount in mounts if mount.startswith("./") and not (REPOSITORY / mount).exists()]
    assert not missing
    assert (REPOSITORY / "deploy/prometheus/prometheus.yml").exists()


def test_published_ports_are_local(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} publishes {port} to the world"
            assert "outside" in service["networks"], f"{name}: an internal network publishes nothing"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_confined_and_waits_for_its_jobs(services: dict[str, dict[str, Any]], name: str) -> None:
    service = services[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["build"]["args"] == {"SERVICE": name}
    assert {job: why["condition"] for job, why in service["depends_on"].items()} == {
        "kafka": "service_healthy",
        "postgres": "service_healthy",
        "migrate": "service_completed_successfully",
        "topics": "service_completed_successfully",
    }


def test_health_checks_ask_the_port_of_the_service(services: dict[str, dict[str, Any]]) -> None:
    for cls in settings.classes():
        name = str(cls.model_config.get("env_prefix", "")).removeprefix("LABELSTREAM_").rstrip("_").lower()
        if name in SERVICES:
            port = cls.model_fields["port"].default
            assert f":{port}/health" in services[name]["healthcheck"]["test"][-1]


def test_the_image_holds_one_service_and_no_build_tools() -> None:
    final = DOCKERFILE.split("FROM runtime AS service")[1]
    assert "COPY services/${SERVICE} ./services/${SERVICE}" in final
    assert "COPY services ." not in final
    assert "cli" not in final
    runtime = DOCKERFILE.split("FROM python:${PYTHON} AS runtime")[1]
    assert not re.search(r"apt-get|gcc|build-essential|pip install", runtime)
    assert re.search(r"^USER 10001:10001$", runtime, re.MULTILINE)
    assert "--require-hashes" in DOCKERFILE


def test_every_copied_path_exists_and_passes_the_ignore_file() -> None:
    allowed = [
        line[1:].split("/")[0]
        for line in (REPOSITORY / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    sources = re.findall(r"^COPY (?!--from)(\S+)", DOCKERFILE, re.MULTILINE)
    for source in sources:
        for name in (*SERVICES, TRAINER, "operator"):
            if "${SERVICE}" in source and source.startswith("services") and name in {TRAINER, "operator"}:
                continue
            path = source.replace("${SERVICE}", name)
            assert (REPOSITORY / path).exists(), path
            assert path.split("/")[0] in allowed


def imported(*folders: str, without: str = "-") -> set[str]:
    """The packages from elsewhere that the code in these folders imports."""
    found: set[str] = set()
    for path in (path for folder in folders for path in (REPOSITORY / folder).rglob("*.py")):
        if path.is_relative_to(REPOSITORY / without):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"shared", "services", "cli"}


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_installs_what_its_service_imports(name: str) -> None:
    lock = (REPOSITORY / "requirements" / f"{name}.lock").read_text()
    pinned = set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))
    providers = packages_distributions()
    training = "services/prelabel/training"
    for package in imported("shared", f"services/{name}", without=training):
        names = {re.sub(r"[-_.]+", "-", each).lower() for each in providers[package]}
        assert names & pinned, f"{name} imports {package}; add it to its extra and run requirements/compile.sh"


def test_the_image_of_the_trainer_installs_what_it_imports() -> None:
    lock = (REPOSITORY / "requirements" / "trainer.lock").read_text()
    pinned = set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))
    providers = packages_distributions()
    for package in imported("shared", "services/prelabel"):
        names = {re.sub(r"[-_.]+", "-", each).lower() for each in providers[package]}
        assert names & pinned, f"the trainer imports {package}; add it to the extra training"
