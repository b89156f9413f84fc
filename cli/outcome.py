"""The one object in which `demo` and `replay` say what a run came to. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cli.scoring import PATHS, Ledger, PathScore

COUNTS = ("labelled", "open", "sampled_out", "unlabelable", "unresolved", "dead_lettered")


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run.

    Attributes:
        counts: the six of `COUNTS` and `duplicates`, as the audit counted them; each acknowledged item record but the
            duplicates is in exactly one of the six.
        ledger: labels and opinions, from the topics.
        truth: item -> category.
        violations: broken promises that the audit found.
        seconds: from the first item sent to rest.
    """

    counts: Mapping[str, int]
    ledger: Ledger
    truth: Mapping[str, str]
    violations: int
    seconds: float

    @property
    def items(self) -> int:
        return sum(self.counts.get(name, 0) for name in COUNTS)


def document(run: Run) -> dict[str, Any]:
    """The object for machines: `items` is the sum of the six counts after `duplicates`, money as in the cost model."""
    ledger = run.ledger
    paths = ledger.by_path(run.truth)
    labels = len(ledger.labels)
    return {
        "items": run.items,
        "duplicates": run.counts.get("duplicates", 0),
        **{name: run.counts.get(name, 0) for name in COUNTS},
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
