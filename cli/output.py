"""The one way in which commands print: a readable text for people, or with `--json` one object for machines.

Results go to stdout, everything else (notes, progress) to stderr, so that stdout can always be piped.
"""

import json
import math
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from shared.errors import LabelstreamError

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout, and nothing else there.")]

QUIET_S = 2.0
REPEAT_S = 10.0


class CommandFailed(LabelstreamError):  # noqa: N818  # it is what happened
    """A command did what it could and the answer is no: printed in one line, exit code 1."""


@dataclass(slots=True)
class Work:
    """A piece of work under way; `done` of `total` units where they are known."""

    what: str
    done: int = 0
    total: int | None = None
    started: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        counted = f" {self.done:,}" if self.done else ""
        if self.total is not None:
            counted = f" {self.done:,} of {self.total:,}"
        return f"{self.what}{counted}, {time.monotonic() - self.started:.0f} s"


def _finite(value: Any) -> Any:
    """The same with null for numbers that JSON cannot say: NaN and infinities."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


class Output:
    """Where one run of a command prints.

    Args:
        as_json: one JSON object on stdout instead of text; notes and progress stay on stderr.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.console = Console(soft_wrap=True, highlight=False)
        self.stderr = Console(stderr=True, soft_wrap=True, highlight=False)

    def result(self, document: Mapping[str, Any], render: Callable[[Console], None] | None = None) -> None:
        """Print the answer of the command, once: `document` for machines, `render` (or its keys) for people."""
        if self.as_json:
            sys.stdout.write(json.dumps(_finite(document), ensure_ascii=False, default=str) + "\n")
            sys.stdout.flush()
        elif render is not None:
            render(self.console)
        else:
            for name, value in document.items():
                self.console.print(f"{name}: {value}", markup=False)

    def note(self, text: str) -> None:
        """Tell a person something by the way."""
        self.stderr.print(text, markup=False, style="dim")

    @contextmanager
    def working(self, what: str, *, total: int | None = None) -> Generator[Work]:
        """Show on stderr that something takes time: at once on a terminal, else a line after 2 s and every 10 s."""
        work = Work(what, total=total)
        stop = threading.Event()
        show = self._spin if self.stderr.is_terminal and not self.as_json else self._repeat
        thread = threading.Thread(target=show, args=(work, stop), name="progress", daemon=True)
        thread.start()
        try:
            yield work
        finally:
            stop.set()
            thread.join()

    def _spin(self, work: Work, stop: threading.Event) -> None:
        with self.stderr.status(work.what) as status:
            while not stop.wait(0.25):
                status.update(str(work))

    def _repeat(self, work: Work, stop: threading.Event) -> None:
        pause = QUIET_S
        while not stop.wait(pause):
            self.stderr.print(str(work), markup=False)
            pause = REPEAT_S


def table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, title: str | None = None) -> Table:
    """A plain table; numbers are aligned right."""
    drawn = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for place, heading in enumerate(headings):
        numbers = bool(rows) and all(isinstance(row[place], int | float) for row in rows)
        drawn.add_column(heading, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(_cell(value) for value in row))
    return drawn


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}"
    return "" if value is None else str(value).replace("[", "\\[")


def fail(message: str) -> NoReturn:
    """End the command with one line on stderr and exit code 1."""
    raise CommandFailed(message)
