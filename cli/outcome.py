"""The one object in which `demo` and `replay` say what a run came to. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cli.scoring import PATHS, Ledger, PathScore

ENDED = ("labelled", "sampled_out", "unlabelable", "unresolved")
NOT_ITEMS = frozenset({"parked", "erased"})


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run.

    Attributes:
        states: state -> items, as assignment counts them.
        ledger: labels and opinions, from the topics.
        truth: item -> category.
        dead_lettered: item records that were refused.
        duplicates: item records that were seen before.
        violations: broken invariants that the audit found.
        seconds: from the first item sent to rest.
    """

    states: Mapping[str, int]
    ledger: Ledger
    truth: Mapping[str, str]
    dead_lettered: int
    duplicates: int
    violations: int
    seconds: float

    @property
    def open_items(self) -> int:
        """Items that have not come to rest."""
        ended = {*ENDED, *NOT_ITEMS}
        return sum(number for state, number in self.states.items() if state not in ended)

    @property
    def items(self) -> int:
        """Every item record but the duplicates is in exactly one of these."""
        return self.open_items + sum(self.states.get(state, 0) for state in ENDED) + self.dead_lettered


def document(run: Run) -> dict[str, Any]:
    """The object for machines: `items` is the sum of the six counts after `duplicates`, money as in the cost model."""
    ledger = run.ledger
    paths = ledger.by_path(run.truth)
    labels = len(ledger.labels)
    return {
        "items": run.items,
        "duplicates": run.duplicates,
        "labelled": run.states.get("labelled", 0),
        "open": run.open_items,
        "sampled_out": run.states.get("sampled_out", 0),
        "unlabelable": run.states.get("unlabelable", 0),
        "unresolved": run.states.get("unresolved", 0),
        "dead_lettered": run.dead_lettered,
        "by_path": {path: paths[path].labels for path in PATHS},
        "paths": {path: _path(paths[path]) for path in PATHS},
        "opinions": ledger.opinion_count,
        "opinions_per_label": round(ledger.opinion_count / labels, 4) if labels else None,
        "cost": round(ledger.cost, 4),
        "accuracy": _rounded(ledger.accuracy(run.truth)),
        "coverage": round(labels / run.items, 6) if run.items else None,
        "accuracy_majority": _rounded(ledger.majority(run.truth)),
        "violations": run.violations,
        "seconds": round(run.seconds, 3),
        "items_per_second": round(run.items / run.seconds, 2) if run.seconds > 0 else None,
    }


def _path(score: PathScore) -> dict[str, Any]:
    return {
        "labels": score.labels,
        "opinions": score.opinions,
        "cost": round(score.cost, 4),
        "accuracy": _rounded(score.accuracy),
    }


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 6)
