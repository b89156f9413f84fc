"""deploy/kubernetes as files: valid by the published schemas, confined, true to the settings, and without a secret."""

import copy
import functools
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.docs import kubernetes, settings
from shared.topics import PRELABEL, PROCESSES, QC, SERVICES, TOPICS
from tests.kubernetes.schemas import problem

REPOSITORY = Path(__file__).parents[2]
ROOT = REPOSITORY / "deploy/kubernetes"
OPERATOR_ONLY = {"LABELSTREAM_URL", "LABELSTREAM_ADMIN_TOKEN"}
USER = 10001
Document = dict[str, Any]


def trees() -> list[Path]:
    return sorted(path.parent for path in ROOT.rglob("kustomization.yaml"))


def kustomization(folder: Path) -> Document:
    found: Document = yaml.safe_load((folder / "kustomization.yaml").read_text())
    return found


@functools.cache
def parsed() -> list[Document]:
    paths = (path for path in sorted(ROOT.rglob("*.yaml")) if path.name != "kustomization.yaml")
    return [document for path in paths for document in yaml.safe_load_all(path.read_text())]


def documents() -> list[Document]:
    """Every object, to do with what a test likes."""
    return copy.deepcopy(parsed())


def of(kind: str) -> dict[str, Document]:
    return {one["metadata"]["name"]: one for one in documents() if one["kind"] == kind}


def pods() -> dict[str, Document]:
    """Name -> pod template, of everything that runs."""
    return {name: one["spec"]["template"] for kind in ("Deployment", "Job") for name, one in of(kind).items()}


def container(pod: Document) -> Document:
    (found,) = pod["spec"]["containers"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("document", documents(), ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_a_manifest_is_valid(document: Document) -> None:
    assert problem(document) is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "template", "spec", "containers", 0, "livenessProb"), {}),
        (("spec", "template", "spec", "containers", 0, "ports", 0, "containerPort"), "8001"),
        (("spec", "template", "spec", "securityContext", "runAsUser"), "root"),
        (("spec", "selector"), {"matchLabel": {}}),
        (("kind",), "Deploymant"),
    ],
)
def test_a_mistake_is_found(path: tuple[str | int, ...], value: Any) -> None:
    wrong = of("Deployment")[PRELABEL]
    place: Any = wrong
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert problem(wrong) is not None


def test_a_mistake_in_a_custom_resource_is_found() -> None:
    scaled = of("ScaledObject")[PRELABEL]
    scaled["spec"]["maxReplicas"] = scaled["spec"].pop("maxReplicaCount")
    assert "maxReplicas" in str(problem(scaled))
    rule = of("PrometheusRule")["labelstream"]
    rule["spec"]["groups"][0]["rules"][0]["severity"] = "page"
    assert "severity" in str(problem(rule))


def test_every_file_belongs_to_its_tree() -> None:
    for folder in trees():
        named = {name for name in kustomization(folder).get("resources", []) if name.endswith(".yaml")}
        assert named == {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}, folder.name


def test_an_overlay_names_what_the_base_has() -> None:
    known = {(one["kind"], one["metadata"]["name"]) for one in documents()}
    images = {container(pod)["image"].partition(":")[0] for pod in pods().values()}
    overlay = kustomization(ROOT / "overlays/example")
    assert {image["name"] for image in overlay["images"]} == images
    for patch in overlay["patches"]:
        target = patch.get("target")
        body = yaml.safe_load(patch["patch"])
        assert (
            (target["kind"], target["name"]) in known if target else (body["kind"], body["metadata"]["name"]) in known
        )


@pytest.mark.parametrize("name", sorted(pods()))
def test_a_pod_is_confined(name: str) -> None:
    pod, inner = pods()[name]["spec"], container(pods()[name])
    assert not pod["automountServiceAccountToken"]
    assert not pod["enableServiceLinks"], "their variables are nobody's settings"
    user = pod["securityContext"]
    assert (user["runAsNonRoot"], user["runAsUser"]) == (True, USER)
    assert user["seccompProfile"] == {"type": "RuntimeDefault"}
    confined = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert inner["securityContext"] == confined
    assert inner["resources"]["limits"].keys() == {"memory"}
    assert inner["resources"]["requests"].keys() == {"cpu", "memory"}


def test_our_images_carry_our_version() -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert {container(pod)["image"].partition(":")[2] for pod in pods().values()} == {version}
    assert {image["newTag"] for image in kustomization(ROOT / "overlays/example")["images"]} == {version}


def test_environment_names_exist_in_the_settings() -> None:
    known = OPERATOR_ONLY | {name for cls in settings.classes() for name in settings.variables(cls)}
    named = {one["name"] for pod in pods().values() for one in container(pod)["env"]}
    assert named | of("ConfigMap")["labelstream"]["data"].keys() <= known


def test_no_secret_is_in_a_file() -> None:
    assert not of("Secret")
    for name, pod in pods().items():
        for one in container(pod)["env"]:
            if any(word in one["name"] for word in ("PASSWORD", "TOKEN", "DATABASE_URL")):
                secret = "secretKeyRef" in one.get("valueFrom", {})
                assert secret or one["value"].startswith("/run/secrets/"), f"{name}: {one['name']}"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_gets_its_own_secrets_only(name: str) -> None:
    pod = pods()[name]
    secrets = {one["valueFrom"]["secretKeyRef"]["name"] for one in container(pod)["env"] if "valueFrom" in one}
    secrets |= {volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if "secret" in volume}
    assert secrets == {f"labelstream-{name}", "labelstream-ca"}


@pytest.mark.parametrize("name", SERVICES)
def test_probes_and_ports_are_the_services(name: str) -> None:
    deployment = of("Deployment")[name]
    (port,) = {
        cls.model_fields["port"].default
        for cls in settings.classes()
        if cls.model_config.get("env_prefix") == f"LABELSTREAM_{name.upper()}_"
    }
    inner = container(deployment["spec"]["template"])
    assert inner["ports"] == [{"name": "http", "containerPort": port}]
    assert of("Service")[name]["spec"]["ports"] == [{"name": "http", "port": port, "targetPort": "http"}]
    paths = {probe: inner[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {"startupProbe": "/health", "livenessProbe": "/health", "readinessProbe": "/ready"}
    assert "replicas" not in deployment["spec"], "KEDA's business"


@pytest.mark.parametrize("name", SERVICES)
def test_a_drain_is_given_time(name: str) -> None:
    (drain,) = {
        cls.model_fields["graceful_timeout_s"].default
        for cls in settings.classes()
        if cls.model_config.get("env_prefix") == f"LABELSTREAM_{name.upper()}_"
    }
    assert of("Deployment")[name]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= 2 * drain


@pytest.mark.parametrize("name", SERVICES)
def test_labels_hold_together(name: str) -> None:
    labels = of("Deployment")[name]["metadata"]["labels"]
    assert of("Deployment")[name]["spec"]["selector"]["matchLabels"] == labels
    assert of("Deployment")[name]["spec"]["template"]["metadata"]["labels"] == labels
    assert of("Service")[name]["spec"]["selector"] == of("Service")[name]["metadata"]["labels"] == labels
    assert of("PodDisruptionBudget")[name]["spec"]["selector"]["matchLabels"] == labels
    assert of("ScaledObject")[name]["spec"]["scaleTargetRef"] == {"name": name}


def test_a_service_scales_on_the_groups_that_it_has() -> None:
    groups = {one["metadata"].get("consumerGroup") for one in kubernetes.triggers(QC, "labelling.")}
    read = {topic.name for topic in TOPICS if QC in topic.readers and not topic.compacted}
    assert groups == {f"labelling.qc.{name}" for name in read}


def test_the_alerts_find_what_the_monitor_scrapes() -> None:
    (endpoint,) = of("ServiceMonitor")["labelstream"]["spec"]["endpoints"]
    made = {one["targetLabel"]: one for one in endpoint["relabelings"]}
    assert made["job"]["replacement"] == "labelstream"
    assert made["service"]["sourceLabels"] == ["__meta_kubernetes_service_label_app_kubernetes_io_component"]
    components = {one["metadata"]["labels"]["app.kubernetes.io/component"] for one in of("Service").values()}
    assert components == set(PROCESSES)
