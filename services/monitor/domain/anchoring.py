"""Anchoring: how much more people agree with a proposal that they see than with one that is hidden from them.

Whether a person sees the proposal of an item is drawn by chance (`policy.blind_share`), so the difference is caused by
seeing it. Audits are always blind, and chosen by the model's confidence; experts get what is hard: neither counts.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from services.monitor.domain.counters import Counts, Key, Kind, time_bucket
from services.monitor.domain.symbols import agree
from shared.events import Anchoring, Annotation, Audience, Outcome

DAY_S = 86_400
WINDOW_DAYS = 7
Z = 1.959964
"""Of a two-sided 95 %."""


def cell(event: Annotation) -> Key | None:
    """What an answer counts for; None where it says nothing about anchoring."""
    if event.outcome is not Outcome.ANSWERED or event.proposal is None or event.value is None:
        return None
    if event.gold or event.late or event.would_auto or event.role is Audience.EXPERT:
        return None
    seen = "shown" if event.saw_proposal else "hidden"
    verdict = "agree" if agree(event.value, event.proposal.value) else "differ"
    return Key(event.project_id, Kind.ANCHORED, seen, verdict, time_bucket(event.submitted_at, DAY_S))


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers, and those that equalled the proposal."""

    agree: int
    total: int

    @property
    def rate(self) -> float:
        return self.agree / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, 95 %."""
        middle = (self.agree + Z * Z / 2) / (self.total + Z * Z)
        spread = Z * math.sqrt(self.agree * (self.total - self.agree) / self.total + Z * Z / 4) / (self.total + Z * Z)
        return max(0.0, middle - spread), min(1.0, middle + spread)


def difference(shown: Answers, hidden: Answers) -> tuple[float, float, float]:
    """The difference of the rates with a 95 % interval (Newcombe 1998, method 10); each has one answer or more."""
    by = shown.rate - hidden.rate
    (low_s, high_s), (low_h, high_h) = shown.interval, hidden.interval
    below = math.hypot(shown.rate - low_s, high_h - hidden.rate)
    above = math.hypot(high_s - shown.rate, hidden.rate - low_h)
    return by, max(-1.0, by - below), min(1.0, by + above)


def anchoring(counts: Counts) -> dict[str, Anchoring]:
    """Per project with answers of both kinds."""
    sums: dict[str, dict[tuple[str, str], int]] = {}
    for key, n in counts.items():
        if key.kind == Kind.ANCHORED:
            cells = sums.setdefault(key.project_id, {})
            cells[key.part, key.symbol] = cells.get((key.part, key.symbol), 0) + n
    found = {}
    for project, cells in sorted(sums.items()):
        shown, hidden = (_answers(cells, seen) for seen in ("shown", "hidden"))
        if shown.total > 0 and hidden.total > 0:
            by, low, high = difference(shown, hidden)
            found[project] = Anchoring(
                shown=shown.total,
                shown_agree=shown.agree,
                hidden=hidden.total,
                hidden_agree=hidden.agree,
                difference=by,
                low=low,
                high=high,
                window_s=float(WINDOW_DAYS * DAY_S),
            )
    return found


def _answers(cells: Mapping[tuple[str, str], int], seen: str) -> Answers:
    agreed = cells.get((seen, "agree"), 0)
    return Answers(agreed, agreed + cells.get((seen, "differ"), 0))
