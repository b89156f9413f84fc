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
DEBIAN, SUITE = "localhost/labelstream-standin-debian:1", "bookworm"
PULL_S = 300


def wanted(services: Sequence[str]) -> dict[str, str]:
    """Stand-in's directory -> full name of the image: the base of the Dockerfile, and what compose.yaml runs."""
    compose = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["services"]
    version = re.search(r"^ARG PYTHON=(\S+)$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)
    assert version is not None
    names = {"python": f"python:{version[1]}", **{name: compose[name]["image"] for name in services}}
    return {name: f"docker.io/{image if '/' in image else f'library/{image}'}" for name, image in names.items()}


def provide(engine: Engine, services: Sequence[str]) -> Mapping[str, bool]:
    """Have every image in the store: the real one where it can be pulled, else a stand-in.

    Returns:
        The image's full name -> whether it is a stand-in.

    Raises:
        Missing: an image cannot be pulled, and no stand-in can be built; says what is missing.
    """
    images = wanted(services)
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
    reasons += [
        f"{program} (Debian: {package})"
        for program, package in (("debootstrap",) * 2, ("tar",) * 2)
        if not shutil.which(program)
    ]
    if "kafka" in absent:
        reasons += [
            f"{program} (Debian: {package})"
            for program, package in (("mvn", "maven"), ("java", "openjdk-17-jre-headless"))
            if not shutil.which(program)
        ]
    if reasons:
        raise Missing(f"{', '.join(absent.values())} cannot be pulled, and a stand-in needs: {', '.join(reasons)}")


def _build(engine: Engine, absent: Mapping[str, str]) -> None:
    archive = ROOT / f"standins-{_digest(absent)}.tar"
    if archive.exists():
        say(f"stand-ins are taken from {archive.name}")
        engine.run("load", "--quiet", "--input", archive, what="loading the stand-ins", within_s=300)
        return
    _debian(engine)
    for name, image in absent.items():
        say(f"building the stand-in for {image}")
        with tempfile.TemporaryDirectory(dir=ROOT) as context:
            shutil.copytree(HERE / name, context, dirs_exist_ok=True)
            if name == "kafka":
                shutil.copytree(_jars(), Path(context) / "libs")
            engine.build(Path(context), image)
    partial = archive.with_suffix(".partial")
    engine.run("save", "--quiet", "--multi-image-archive", "--output", partial, *absent.values(), within_s=300)
    for old in ROOT.glob("standins-*.tar"):
        old.unlink()
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


def _digest(absent: Mapping[str, str]) -> str:
    """Changes with everything that a stand-in is made of, the packages' versions apart."""
    digest = hashlib.sha256(repr(sorted(absent.items())).encode() + POM.read_bytes())
    for path in sorted(path for path in HERE.rglob("*") if path.is_file()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
