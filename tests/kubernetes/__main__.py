"""`make k8s-check`: renders deploy/kubernetes with kustomize and validates it against the published schemas.

Needs Go, which builds kustomize and brings the CRDs of KEDA and the Prometheus operator; everything stays in
.labelstream. `--write` takes over the schemas that the test suite uses (tests/kubernetes/schemas).
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from cli.stack.paths import cache_root
from tests.kubernetes import schemas
from tests.kubernetes.schemas import CORE, CUSTOM, KUBERNETES_VALIDATE, OLDEST, Kind, Schema

REPOSITORY = Path(__file__).parents[2]
ROOT = REPOSITORY / "deploy/kubernetes"
TOOLS = cache_root() / "kubernetes"
KUSTOMIZE = "sigs.k8s.io/kustomize/kustomize/v5@v5.7.1"
ROOTS = ("base", "overlays/example")


def call(*command: str, **environment: str) -> str:
    """Run a command; its stdout. A failure ends the program with what the command said."""
    done = subprocess.run(  # noqa: S603  # our own arguments
        command, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=900
    )
    if done.returncode != 0:
        sys.exit(f"k8s-check: {' '.join(command[:4])} failed:\n{done.stderr[-3000:]}")
    return done.stdout


def kustomize() -> str:
    program = TOOLS / KUSTOMIZE.rpartition("@")[2] / "kustomize"
    if not program.exists():
        call("go", "install", KUSTOMIZE, GOBIN=str(program.parent))
    return str(program)


def published() -> dict[str, dict[Kind, Schema]]:
    """Version of Kubernetes -> schemas; the custom resources have one version each, under "custom"."""
    package = TOOLS / f"kubernetes-validate-{KUBERNETES_VALIDATE}"
    if not package.exists():
        what = ("--no-deps", "--target", str(package), f"kubernetes-validate=={KUBERNETES_VALIDATE}")
        pip = ("uv", "pip", "install", "--quiet") if shutil.which("uv") else (sys.executable, "-m", "pip", "install")
        call(*pip, *what)
    found: dict[str, dict[Kind, Schema]] = {"custom": {}}
    for folder in sorted((package / "kubernetes_validate/kubernetes-json-schema").glob("v*-local-strict")):
        version = folder.name.removeprefix("v").partition(".0-")[0]
        if int(version.split(".")[1]) >= int(OLDEST.split(".")[1]):
            found[version] = {kind: schemas.core_schema(folder, kind) for kind in CORE}
    for module, (version, place, kinds) in CUSTOM.items():
        directory = json.loads(call("go", "mod", "download", "-json", f"{module}@{version}"))["Dir"]
        found["custom"] |= {kind: schemas.custom_schema(Path(directory) / place, kind) for kind in kinds}
    return found


def kept_schemas(found: Mapping[str, Mapping[Kind, Schema]]) -> Iterator[tuple[Path, str]]:
    """What tests/kubernetes/schemas has to hold."""
    sources = {kind: f"{module} {version}" for module, (version, _, kinds) in CUSTOM.items() for kind in kinds}
    for kind, schema in {**found[OLDEST], **found["custom"]}.items():
        source = sources.get(kind, f"kubernetes-validate {KUBERNETES_VALIDATE}, Kubernetes {OLDEST}")
        document = {"$comment": f"From {source} (Apache-2.0), without what does not validate.", **schema}
        yield schemas.path_of(kind), json.dumps(document, separators=(",", ":")) + "\n"


def check(documents: Mapping[str, list[dict[str, Any]]], found: Mapping[str, Mapping[Kind, Schema]]) -> list[str]:
    """What is wrong in which rendered tree, for which version."""
    wrong = []
    for root, each in documents.items():
        for document in each:
            kind = (document["apiVersion"], document["kind"])
            known = {version: kinds[kind] for version, kinds in found.items() if kind in kinds}
            problems = {version: schemas.problem(document, schema) for version, schema in known.items()}
            name = f"{document['kind']} {document['metadata']['name']}"
            wrong += [f"{root}, {version}: {name}: {why}" for version, why in problems.items() if why]
            wrong += [] if known else [f"{root}: no schema is known of {kind}"]
    return wrong


def main() -> int:
    if shutil.which("go") is None:
        sys.exit(
            "k8s-check: go was not found on PATH; it builds kustomize and brings the CRDs. Install Go 1.24 or later"
        )
    found = published()
    stale = [path for path, text in kept_schemas(found) if not path.exists() or path.read_text() != text]
    if "--write" in sys.argv:
        for path, text in kept_schemas(found):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        stale = []
    program = kustomize()
    documents = {root: list(yaml.safe_load_all(call(program, "build", str(ROOT / root)))) for root in ROOTS}
    wrong = check(documents, found) + [f"{path.name} is stale: python -m tests.kubernetes --write" for path in stale]
    print("\n".join(wrong) if wrong else "", end="")
    versions = ", ".join(version for version in found if version != "custom")
    for root, each in documents.items():
        print(f"{root}: {len(each)} objects")
    print(f"{'not valid' if wrong else 'valid'} for Kubernetes {versions}, KEDA and the Prometheus operator")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
