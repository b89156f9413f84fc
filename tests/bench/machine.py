"""What the figures were taken on."""

import os
import platform
from pathlib import Path
from xml.etree import ElementTree as ET

from cli.stack import kafka
from cli.stack.postgres_binaries import MAJOR

MAVEN = "{http://maven.apache.org/POM/4.0.0}"
GIB = 2**30


def machine() -> dict[str, str | int | float]:
    """Cores, processor, memory, and the versions of what ran."""
    return {
        "cores": os.cpu_count() or 0,
        "cpu": _line(Path("/proc/cpuinfo"), "model name") or platform.processor() or platform.machine(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "kafka": _kafka(),
        "postgresql": str(MAJOR),
    }


def _line(file: Path, name: str) -> str:
    """The value of the first `name : value` line."""
    text = file.read_text() if file.exists() else ""
    return next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith(name)), "")


def _kafka() -> str:
    tree = ET.parse(Path(kafka.__file__).parent / "pom.xml")  # noqa: S314  # our own file
    return next(
        (
            found.findtext(f"{MAVEN}version") or ""
            for found in tree.iter(f"{MAVEN}dependency")
            if (found.findtext(f"{MAVEN}artifactId") or "").startswith("kafka")
        ),
        "",
    )
