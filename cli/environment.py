"""The settings of a running `labelstream up`, left in a file where other commands find them. Imports nothing slow."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

PREFIX = "LABELSTREAM_"
DATA_DIR = Path(".labelstream")
ENVIRONMENT_FILE = "environment"


def write_environment(directory: Path, variables: Mapping[str, str]) -> Path:
    """Leave the settings of a running stack where other commands find them; only the owner may read them."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / ENVIRONMENT_FILE
    file.touch(mode=stat.S_IRUSR | stat.S_IWUSR, exist_ok=True)
    file.chmod(stat.S_IRUSR | stat.S_IWUSR)
    file.write_text("".join(f"{name}={value}\n" for name, value in sorted(variables.items())), encoding="utf-8")
    return file


def adopt_running_stack(directory: Path = DATA_DIR) -> bool:
    """Use the settings that a running `labelstream up` left here, unless the environment names a broker itself."""
    file = directory / ENVIRONMENT_FILE
    if f"{PREFIX}KAFKA_BOOTSTRAP" in os.environ or not file.is_file():
        return False
    for line in file.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition("=")
        if name.startswith(PREFIX):
            os.environ.setdefault(name, value)
    return True
