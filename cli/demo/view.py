"""The demo's live view on a terminal, or a line every few seconds elsewhere. Both go to stderr."""

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cli.demo.watch import Watch

LINE_EVERY_S = 5.0
BAR = 40
STATES = ("awaiting_prediction", "queued", "leased", "awaiting_decision", "blocked", "labelled", "unresolved")


@dataclass(slots=True)
class Scene:
    """What the view shows.

    Attributes:
        step: what is going on, in words.
        sent: item records published so far, of `total`.
        states: state -> items, as assignment counts them.
        lag: service -> records behind.
        live: the live model's version.
    """

    watch: Watch
    truth: Mapping[str, str]
    total: int
    step: str = "starting"
    sent: int = 0
    states: Mapping[str, int] = field(default_factory=dict)
    lag: Mapping[str, int] = field(default_factory=dict)
    live: str = "none"
    started: float = field(default_factory=time.monotonic)

    def line(self) -> str:
        """Everything in one line."""
        labelled = len(self.watch.ledger.labels)
        return (
            f"{time.monotonic() - self.started:4.0f} s  {self.step}: {self.sent:,} of {self.total:,} sent, {labelled:,}"
            f" labelled, {self.watch.ledger.opinion_count:,} opinions, lag {sum(self.lag.values()):,},"
            f" model {self.live}, accuracy {_percent(self.watch.ledger.accuracy(self.truth))}"
        )

    def __rich__(self) -> RenderableType:
        head = Text(f"{time.monotonic() - self.started:4.0f} s  {self.step}", style="bold")
        return Group(head, self._states(), self._figures())

    def _states(self) -> Table:
        drawn = Table(box=None, show_header=False, pad_edge=False)
        most = max([self.total, 1])
        for state in STATES:
            number = self.states.get(state, 0)
            bar = "█" * round(BAR * number / most)
            drawn.add_row(state.replace("_", " "), f"{number:>6,}", Text(bar, style=_colour(state)))
        return drawn

    def _figures(self) -> Table:
        ledger = self.watch.ledger
        paths = ledger.by_path(self.truth)
        drawn = Table(box=None, show_header=False, pad_edge=False)
        drawn.add_row("sent", f"{self.sent:,} of {self.total:,}")
        drawn.add_row("by path", ", ".join(f"{name} {score.labels:,}" for name, score in paths.items() if score.labels))
        drawn.add_row("opinions", f"{ledger.opinion_count:,} and {len(ledger.gold_answers):,} on gold")
        served = ", ".join(f"{name} {number:,}" for name, number in sorted(self.watch.models().items()))
        drawn.add_row("model", f"{self.live} (predictions: {served or 'none yet'})")
        drawn.add_row("lag", ", ".join(f"{name} {number:,}" for name, number in self.lag.items()) or "unknown")
        drawn.add_row("accuracy", _percent(ledger.accuracy(self.truth)))
        return drawn


def _colour(state: str) -> str:
    return {"labelled": "green", "unresolved": "red", "blocked": "red"}.get(state, "yellow")


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.1%}"


@contextmanager
def shown(scene: Scene, console: Console) -> Generator[Callable[[], None]]:
    """Show the scene; call what is given to draw it anew (as often as you like)."""
    if console.is_terminal:
        with Live(scene, console=console, auto_refresh=False, transient=True) as live:
            yield live.refresh
        return
    last = [time.monotonic()]

    def line() -> None:
        if time.monotonic() - last[0] >= LINE_EVERY_S:
            last[0] = time.monotonic()
            console.print(scene.line(), markup=False)

    yield line
