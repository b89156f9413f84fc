"""Kafka's jars, resolved once by Maven into a directory named by the hash of pom.xml."""

import fcntl
import hashlib
import shutil
import tempfile
from pathlib import Path

from cli.stack.children import run
from cli.stack.paths import cache_root
from shared.errors import ConfigurationError

POM = Path(__file__).with_name("pom.xml")
_DOWNLOAD_S = 600


def resolve() -> Path:
    """The directory with the jars; safe to call from several processes at once.

    Raises:
        ConfigurationError: there is no Maven to fetch them with.
        ChildFailed: Maven failed; holds its output.
    """
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:16]
    target = cache_root() / f"kafka-{digest}"
    if target.is_dir():
        return target
    maven = executable("mvn", "Maven 3 (Debian: maven)")
    executable("java", "a Java 17 runtime (Debian: openjdk-17-jre-headless)")
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / "kafka.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            _download(maven, target)
    return target


def executable(name: str, package: str) -> str:
    """The path of a program.

    Raises:
        ConfigurationError: it is missing; says what to install.
    """
    found = shutil.which(name)
    if found is None:
        raise ConfigurationError(
            f"{name} was not found on PATH: Apache Kafka on the local JVM needs it. Install {package}, or use the "
            "in-memory broker (--broker tansu) or a broker of your own (LABELSTREAM_KAFKA_BOOTSTRAP)"
        )
    return found


def _download(maven: str, target: Path) -> None:
    partial = Path(tempfile.mkdtemp(prefix="kafka-partial-", dir=target.parent))
    try:
        shutil.copy(POM, partial / "pom.xml")
        command = [maven, "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=lib"]
        run(command, what="resolving Apache Kafka with Maven", within_s=_DOWNLOAD_S, cwd=partial)
        (partial / "lib").replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
