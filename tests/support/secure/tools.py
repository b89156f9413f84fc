"""The jar of Kafka's command line tools, which a broker does not need."""

import tempfile
from pathlib import Path

from cli.stack.children import run
from cli.stack.kafka.jars import executable
from cli.stack.paths import cache_root

VERSION = "4.1.0"


def kafka_tools() -> Path:
    """Fetched once; what it depends on is beside the broker."""
    target = cache_root() / f"kafka-tools-{VERSION}.jar"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        maven = executable("mvn", "Maven 3 (Debian: maven)")
        with tempfile.TemporaryDirectory(dir=target.parent) as partial:
            artifact = f"-Dartifact=org.apache.kafka:kafka-tools:{VERSION}"
            command = [maven, "-q", "-B", "dependency:copy", artifact, f"-DoutputDirectory={partial}"]
            run(command, what="fetching Kafka's tools with Maven", within_s=120, cwd=Path(partial))
            (Path(partial) / target.name).replace(target)
    return target
