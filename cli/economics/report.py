"""What each policy came to, as one object and as a table."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console

from cli.economics.drive import Played
from cli.economics.plan import project_of
from cli.offline.crowd import Recorded
from cli.output import table
from cli.replay.dataset import Crowd
from cli.scoring import Ledger, majority_accuracy
from services.qc.domain.methods import resolve

BASE = "full_manual"
TWO = 2


@dataclass(frozen=True, slots=True)
class Together:
    """What all recorded answers come to.

    Attributes:
        figures: of them.
        right: task -> whether its label is right, of tasks whose truth is known.
    """

    figures: Mapping[str, Any]
    right: Mapping[str, bool]


def beside(right: Mapping[str, bool], all_: Mapping[str, bool]) -> dict[str, Any] | None:
    """The difference in accuracy to labels of the same items, and its standard error; None without two items.

    The error is that of other items of the same kind: of the mean of the differences item by item (a paired test, as
    McNemar 1947). Orders of the same items differ by less, and prove less.
    """
    found = np.array([float(right[item]) - float(all_[item]) for item in sorted(right.keys() & all_.keys())])
    if len(found) < TWO:
        return None
    error = float(found.std(ddof=1)) / math.sqrt(len(found))
    return {"accuracy": round(float(found.mean()), 6), "standard_error": round(error, 6), "items": len(found)}


def policy_report(
    played: Played, ledger: Ledger, truth: Mapping[str, str], all_: Mapping[str, bool]
) -> dict[str, Any]:  # fmt: skip
    """The figures of one policy; `all_`: which items all recorded answers together label rightly."""
    paths = ledger.by_path(truth)
    labels, auto = len(ledger.labels), paths["auto"]
    return {
        "labels": labels,
        "opinions": ledger.opinion_count,
        "opinions_per_label": round(ledger.opinion_count / labels, 4) if labels else None,
        "cost": round(ledger.cost, 4),
        "accuracy": _rounded(ledger.accuracy(truth)),
        "beside_all_opinions": beside(ledger.right(truth), all_),
        "accuracy_auto": _rounded(auto.accuracy),
        "auto_share": round(auto.labels / labels, 6) if labels else None,
        "by_path": {path: score.labels for path, score in paths.items()},
        "rounds": played.rounds,
        "seconds": round(played.seconds, 1),
        "project": project_of(played.policy),
    }


def everything(recorded: Recorded, crowd: Crowd, *, majority: bool = True) -> Together:
    """All recorded answers together: what there is to save from."""
    truth = np.array([recorded.classes.index(crowd.truth[task]) if crowd.truth.get(task) in recorded.classes else -1
                      for task in recorded.tasks])  # fmt: skip
    label = resolve(recorded.answers, ordered=recorded.order.ordered).label
    judged = np.array([task in crowd.truth for task in recorded.tasks])
    votes = {task: [one.label for one in given] for task, given in crowd.answers.items()} if majority else {}
    right = {recorded.tasks[place]: bool(label[place] == truth[place]) for place in np.flatnonzero(judged)}
    figures = {
        "opinions": len(recorded.answers),
        "opinions_per_label": round(len(recorded.answers) / max(1, len(recorded.tasks)), 4),
        "accuracy": round(float((label == truth)[judged].mean()), 6) if judged.any() else None,
        "accuracy_majority": _rounded(majority_accuracy(votes, crowd.truth)),
    }
    return Together(figures, right)


def savings(policies: Mapping[str, Mapping[str, Any]], all_: Mapping[str, Any]) -> dict[str, Any]:
    """Opinions and cost that each policy saves: beside full manual work, and beside all recorded answers."""
    base, found = policies.get(BASE), {}
    for name, one in policies.items():
        saved: dict[str, Any] = {"of_all_opinions": round(1.0 - one["opinions"] / all_["opinions"], 4)}
        if base is not None and base["opinions"]:
            saved["of_manual_opinions"] = round(1.0 - one["opinions"] / base["opinions"], 4)
            saved["of_manual_cost"] = round(1.0 - one["cost"] / base["cost"], 4) if base["cost"] else None
        found[name] = saved
    return found


def show(to: Console, found: Mapping[str, Any]) -> None:
    """For a person."""
    rows = [
        (
            name, f"{one['labels']:,}", f"{one['opinions']:,}", f"{one['opinions_per_label'] or 0:.2f}",
            f"{one['cost']:.2f}", _percent(one["accuracy"]), _beside(one["beside_all_opinions"]),
            _percent(one["auto_share"]), _percent(one["accuracy_auto"]),
            _percent(found["saved"][name].get("of_manual_cost")),
        )
        for name, one in found["policies"].items()
    ]  # fmt: skip
    headings = (
        "policy", "labels", "opinions", "each", "cost", "accuracy", "beside all", "auto", "of them right", "cost saved",
    )  # fmt: skip
    to.print(table(headings, rows))
    all_ = found["all_opinions"]
    to.print(
        f"\nall {all_['opinions']:,} recorded opinions together: accuracy {_percent(all_['accuracy'])}, plain majority"
        f" {_percent(all_['accuracy_majority'])}",
        markup=False,
    )
    curves = [(name, one["rounds"]) for name, one in found["policies"].items() if one["rounds"]]
    if curves:
        to.print()
        to.print(table(("policy", "cycle", "labels", "opinions", "model accuracy", "not in time"), _points(curves)))
    verdict = "audit: nothing lost, nothing counted twice"
    to.print(f"\n{verdict if not found['violations'] else 'audit: VIOLATIONS'}; {found['seconds']:.0f} s", markup=False)


def _points(curves: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]) -> list[tuple[Any, ...]]:
    return [
        (
            name, point["cycle"], f"{point['labels']:,}", f"{point['opinions']:,}", _percent(point["model_accuracy"]),
            point["not_in_time"] or "",
        )
        for name, rounds in curves
        for point in rounds
    ]  # fmt: skip


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 6)


def _beside(found: Mapping[str, Any] | None) -> str:
    return "" if found is None else f"{found['accuracy']:+.1%} ± {found['standard_error']:.1%}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"
