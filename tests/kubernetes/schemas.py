"""The published schemas of what deploy/kubernetes uses, cut down to what validates; beside this file.

`python -m tests.kubernetes --write` (make k8s-check) takes them anew: the Kubernetes ones from the package
kubernetes-validate, which ships those of every version, KEDA's and the Prometheus operator's from their own sources.
"""

import functools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

HERE = Path(__file__).with_name("schemas")
KUBERNETES_VALIDATE = "1.37.0"
OLDEST = "1.29"
"""The oldest version of Kubernetes that the manifests are for."""
KEDA, PROMETHEUS_OPERATOR = "v2.21.0", "v0.85.0"
DEFINITIONS = "#/$defs/"
Schema = dict[str, Any]
Kind = tuple[str, str]
"""(apiVersion, kind)."""

CORE: tuple[Kind, ...] = (
    ("v1", "ConfigMap"), ("v1", "Namespace"), ("v1", "PersistentVolumeClaim"), ("v1", "Service"),
    ("v1", "ServiceAccount"), ("apps/v1", "Deployment"), ("batch/v1", "Job"),
    ("networking.k8s.io/v1", "NetworkPolicy"), ("policy/v1", "PodDisruptionBudget"),
)  # fmt: skip
CUSTOM: Mapping[str, tuple[str, str, tuple[Kind, ...]]] = {
    "github.com/kedacore/keda/v2": (
        KEDA, "config/crd/bases", (("keda.sh/v1alpha1", "ScaledObject"), ("keda.sh/v1alpha1", "TriggerAuthentication"))
    ),
    "github.com/prometheus-operator/prometheus-operator": (
        PROMETHEUS_OPERATOR, "example/prometheus-operator-crd",
        (("monitoring.coreos.com/v1", "ServiceMonitor"), ("monitoring.coreos.com/v1", "PrometheusRule")),
    ),
}  # fmt: skip
"""Go module -> its version, the folder with its CRDs, and the kinds of it that are used."""


def problem(document: Mapping[str, Any], schema: Schema | None = None) -> str | None:
    """Why a manifest is not valid; None if it is.

    Args:
        document: one object.
        schema: absent: the one that is kept here.
    """
    kind = (document["apiVersion"], document["kind"])
    try:
        validator = Draft202012Validator(kept(kind) if schema is None else schema)
    except FileNotFoundError:
        return f"no schema of {kind} is kept; add it to tests/kubernetes/schemas.py"
    error = best_match(validator.iter_errors(document))
    return None if error is None else f"{error.json_path}: {error.message[:300]}"


def path_of(kind: Kind) -> Path:
    return HERE / f"{kind[1].lower()}-{kind[0].replace('/', '-')}.json"


@functools.cache
def kept(kind: Kind) -> Schema:
    found: Schema = json.loads(path_of(kind).read_text())
    return found


def core_schema(folder: Path, kind: Kind) -> Schema:
    """From one version's folder of kubernetes-validate, with the definitions that it needs."""
    group, _, version = kind[0].rpartition("/")
    name = "-".join(part for part in (kind[1].lower(), group.split(".")[0], version) if part)
    schema, every = (json.loads((folder / file).read_text()) for file in (f"{name}.json", "_definitions.json"))
    needed: dict[str, Schema] = {}
    ahead = list(_references(schema))
    while ahead:
        if (one := ahead.pop()) not in needed:
            needed[one] = every["$defs"][one]
            ahead += _references(needed[one])
    found: Schema = _trimmed({**schema, "$defs": dict(sorted(needed.items()))})
    return found


def custom_schema(folder: Path, kind: Kind) -> Schema:
    """From a folder of CustomResourceDefinitions; a field that the definition does not know is refused."""
    group, version = kind[0].split("/")
    for path in folder.glob(f"{group}_*.yaml"):
        definition = yaml.safe_load(path.read_text())["spec"]
        if definition["names"]["kind"] == kind[1]:
            served = next(one for one in definition["versions"] if one["name"] == version)
            found = _strict(served["schema"]["openAPIV3Schema"])
            found["properties"]["metadata"] = {"type": "object"}
            trimmed: Schema = _trimmed(found)
            return trimmed
    raise FileNotFoundError(f"{folder} defines no {kind}")


def _references(node: Any) -> Iterable[str]:
    if isinstance(node, dict):
        if isinstance(reference := node.get("$ref"), str):
            yield reference.rpartition("/")[2]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _strict(node: Any) -> Any:
    if isinstance(node, list):
        return [_strict(value) for value in node]
    if not isinstance(node, dict):
        return node
    found = {name: _strict(value) for name, value in node.items()}
    if node.get("x-kubernetes-int-or-string") is True:
        found = {name: value for name, value in found.items() if name not in ("anyOf", "type")} | {
            "type": ["integer", "string"]
        }
    if isinstance(node.get("properties"), dict) and node.get("type") == "object":
        found.setdefault("additionalProperties", node.get("x-kubernetes-preserve-unknown-fields", False))
    return found


def _trimmed(node: Any, *, names: bool = False) -> Any:
    """Without what does not validate; `names` says that the keys are names of fields, not words of the schema."""
    if isinstance(node, list):
        return [_trimmed(value) for value in node]
    if not isinstance(node, dict):
        return node
    found = {}
    for name, value in node.items():
        if names or not (name in ("description", "default", "format", "$schema", "$id") or name.startswith("x-")):
            if name == "$ref" and not names:
                value = DEFINITIONS + str(value).rpartition("/")[2]  # noqa: PLW2901  # the same reference, in this file
            found[name] = _trimmed(value, names=not names and name in ("properties", "$defs"))
    return found
