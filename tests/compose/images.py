"""Each image, looked at from inside: who runs there, what could be written, built or imported."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from shared.topics import PRELABEL, PROCESSES, TRAINER
from tests.compose.engine import Engine, Failed, say

REPOSITORY = Path(__file__).parents[2]
INSIDE = Path(__file__).with_name("inside.py")
USER = 10001
MODELS, TRAINING = "/var/lib/labelstream/models", "/var/lib/labelstream/training"
SCRATCH = {"/tmp", "/var/tmp", "/run/lock", MODELS, TRAINING}  # noqa: S108  # of any Debian, and ours
OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Image:
    """One of our images; sizes in MB, `own_mb` without the base image."""

    name: str
    size_mb: int
    own_mb: int


def names() -> dict[str, str]:
    """Service -> image, of those that compose.yaml builds."""
    services = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["services"]
    return {name: services[name]["image"] for name in (*PROCESSES, OPERATOR)}


def ask(engine: Engine, image: str, *options: str) -> dict[str, Any]:
    """Run inside.py in a new container of an image."""
    command = ["run", "--rm", "--interactive", "--network", "none", *options, "--entrypoint", "python", image, "-"]
    found: dict[str, Any] = json.loads(engine.run(*command, what=f"looking into {image}", text=INSIDE.read_text()))
    return found


def check(engine: Engine, base: str) -> list[Image]:
    """Every image, as it is and as compose.yaml confines it.

    Raises:
        Failed: an image does not keep a promise; names all that it breaks.
    """
    looked = []
    base_bytes = int(engine.inspect(base, "{{.Size}}"))
    for service, image in names().items():
        free = ask(engine, image)
        confined = ask(engine, image, "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
        broken = [*_free(service, free), *_confined(confined)]
        if broken:
            raise Failed(f"image {image}: {'; '.join(broken)}")
        size = int(engine.inspect(image, "{{.Size}}"))
        looked.append(Image(image, round(size / 1e6), round((size - base_bytes) / 1e6)))
        say(f"{image}: {looked[-1].size_mb} MB, user {free['uid']}, no compiler, {service} alone")
    return looked


def _free(service: str, found: dict[str, Any]) -> list[str]:
    """What is wrong with an image that nothing confines."""
    everything = service == OPERATOR
    wanted = {
        "uid": USER, "gid": USER, "compilers": [], "installers": [], "set_id": [], "cli": everything,
        "root": "PermissionError", "app": "PermissionError",
    }  # fmt: skip
    wrong = [f"{name} is {found[name]}, not {value}" for name, value in wanted.items() if found[name] != value]
    if beyond := set(found["writable"]) - SCRATCH:
        wrong.append(f"its user may write to {sorted(beyond)}")
    alone = PRELABEL if service == TRAINER else service  # whose package it is in
    if not everything and found["services"] != [alone]:
        wrong.append(f"it imports {found['services']}, not {alone} alone")
    return wrong


def _confined(found: dict[str, Any]) -> list[str]:
    """What is wrong when it runs as compose.yaml says."""
    wanted = {"root": "OSError", "app": "OSError", "capabilities": 0, "no_new_privileges": True}
    return [f"confined, {name} is {found[name]}, not {value}" for name, value in wanted.items() if found[name] != value]
