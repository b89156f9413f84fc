"""What `labelstream consensus` does with each kind of label that is no single choice."""

from enum import StrEnum
from pathlib import Path
from typing import Any

from rich.console import Console

from cli.offline.objects import consensus, read_drawn, read_true, shown
from cli.output import table


class Kind(StrEnum):
    """Of labels."""

    CHOICE = "choice"
    BOXES = "boxes"
    POLYGONS = "polygons"
    MASKS = "masks"
    TRACKS = "tracks"


def fused_kind(
    kind: Kind, answers: Path, truth: Path | None, output: Path | None, *, semantic: bool | None = None
) -> dict[str, Any]:
    """Fuse a file of answers; what the JSON says.

    Raises:
        ConfigurationError: names file and line.
    """
    recorded = read_drawn(answers, kind.value)
    return consensus(recorded, None if truth is None else read_true(truth, kind.value), output, semantic=semantic)


def show_kind(to: Console, document: dict[str, Any]) -> None:
    """For people."""
    to.print(table(("score", "fused", "majority", "best single"), shown(document)))
    to.print()
    rest = [(name.replace("_", " "), value) for name, value in document.items() if isinstance(value, int | float | str)]
    to.print(table(("result", "value"), rest))
