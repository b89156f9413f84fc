"""Where the embedded stack keeps things between starts."""

import os
from pathlib import Path

from cli.stack.scratch import reachable

_SOURCE = Path(__file__).resolve().parents[2]


def cache_root() -> Path:
    """For what can be made again: `.labelstream` in a source checkout, else below the user's cache directory."""
    if (_SOURCE / "pyproject.toml").is_file() and os.access(_SOURCE, os.W_OK):
        return _SOURCE / ".labelstream"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "labelstream"


def data_root() -> Path:
    """For the durable stack's data: `.labelstream/data` here; /var/lib/labelstream for a root whose files are private.

    PostgreSQL refuses to run as root and must be able to pass through the directories above its data.
    """
    here = Path.cwd() / ".labelstream" / "data"
    if os.getuid() == 0 and not reachable(here.parent.parent):
        return Path("/var/lib/labelstream")
    return here
