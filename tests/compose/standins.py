"""Images that cannot be pulled are built here, under the same names, from Debian's packages and Maven's artifacts.

A stand-in understands the variables, paths and users of the image that it stands in for, as far as compose.yaml and the
Dockerfile use them. It lives in the store of one run; what took long is kept as an archive for the next one.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from cli.stack.kafka import resolve
from cli.stack.kafka.jars import POM
from shared.errors import LabelstreamError
from tests.compose.engine import Engine, Failed, Missing, call, say
from tests.compose.store import ROOT

REPOSITORY = Path(__file__).parents[2]
HERE = Path(__file__).parent / "standins"
BASE = "python"
DEBIAN, SUITE = "localhost/labelstream-standin-debian:1", "bookworm"
PULL_S = 300


def wanted(names: Sequence[str]) -> dict[str, str]:
    """Directory -> full name of the image that it stands in for: the Dockerfile's base, or one of compose.yaml's."""
    compose = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["services"]
    version = re.search(r"^ARG PYTHON=(\S+)$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)
    assert version is not None
    images = {name: f"python:{version[1]}" if name == BASE else compose[name]["image"] for name in names}
    return {name: f"docker.io/{image if '/' in image else f'library/{image}'}" for name, image in images.items()}


def provide(engine: Engine, names: Sequence[str]) -> Mapping[str, bool]:
    """Have every image in the store: the real one where it can be pulled, else a stand-in.

    Returns:
        The image's full name -> whether it is a stand-in.

    Raises:
        Missing: an image cannot be pulled, and no stand-in can be built; says what is missing.
    """
    images = wanted(names)
    absent = {
        name: image for name, image in images.items() if not engine.succeeds("pull", "--quiet", image, within_s=PULL_S)
    }
    if absent:
        say(f"no registry gives {', '.join(absent.values())}: stand-ins are built from Debian's and Maven's packages")
        _check(engine, absent)
        _build(engine, absent)
    return {image: name in absent for name, image in images.items()}


def _check(engine: Engine, absent: Mapping[str, str]) -> None:
    reasons = []
    if engine.program != "podman":
        reasons.append("podman (a stand-in under the real name must not stay in Docker's store)")
    if os.getuid() != 0:
        reasons.append("root")
    programs = {"debootstrap": "debootstrap", "tar": "tar"}
    programs |= {"mvn": "maven", "java": "openjdk-17-jre-headless"} if "kafka" in absent else {}
    reasons += [f"{name} (Debian: {package})" for name, package in programs.items() if not shutil.which(name)]
    if reasons:
        raise Missing(f"{', '.join(absent.values())} cannot be pulled, and a stand-in needs: {', '.join(reasons)}")


def _build(engine: Engine, absent: Mapping[str, str]) -> None:
    archives = {name: ROOT / f"standin-{name}-{_digest(name, image)}.tar" for name, image in absent.items()}
    if not all(archive.exists() for archive in archives.values()):
        _debian(engine)
    for name, archive in archives.items():
        if archive.exists():
            say(f"the stand-in for {absent[name]} is taken from {archive.name}")
            engine.run("load", "--quiet", "--input", archive, what=f"loading {archive.name}", within_s=300)
            continue
        say(f"building the stand-in for {absent[name]}")
        with tempfile.TemporaryDirectory(dir=ROOT) as context:
            shutil.copytree(HERE / name, context, dirs_exist_ok=True)
            if name == "kafka":
                shutil.copytree(_jars(), Path(context) / "libs")
            engine.build(Path(context), absent[name])
        for old in ROOT.glob(f"standin-{name}-*"):
            old.unlink()
        partial = archive.with_suffix(".partial")
        engine.run("save", "--quiet", "--output", partial, absent[name], what=f"keeping {archive.name}", within_s=300)
        partial.replace(archive)


def _debian(engine: Engine) -> None:
    say(f"making a small Debian {SUITE} from packages")
    with tempfile.TemporaryDirectory(dir=ROOT) as directory:
        tree = Path(directory) / "tree"
        mirror = [found] if (found := _mirror()) else []
        call(["debootstrap", "--variant=minbase", SUITE, tree, *mirror], what="debootstrap", within_s=900)
        call(["tar", "-C", tree, "-cf", f"{directory}/tree.tar", "."], what="packing Debian")
        engine.run("import", f"{directory}/tree.tar", DEBIAN, what="importing Debian", within_s=300)


def _mirror() -> str | None:
    """Where this machine takes its own Debian from; None: debootstrap knows one."""
    for path in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]:
        text = path.read_text() if path.is_file() else ""
        if SUITE in text and (
            found := re.search(r"^(?:URIs:|deb)\s+(?:\[[^]]*\]\s+)?(\S+/debian/?)\s*", text, re.MULTILINE)
        ):
            return found[1]
    return None


def _jars() -> Path:
    try:
        return resolve()
    except LabelstreamError as error:
        raise Failed(str(error)) from error


def _digest(name: str, image: str) -> str:
    """Changes with everything that a stand-in is made of, the packages' versions apart."""
    digest = hashlib.sha256(f"{image} {SUITE}".encode() + (POM.read_bytes() if name == "kafka" else b""))
    for path in sorted((HERE / name).iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
