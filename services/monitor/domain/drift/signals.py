"""What events say to the detectors: symbols by signal, grouped as they are folded.

Predictions are all of the traffic, so every first proposal counts. Labels by people are a sample of it only where
chance chose the items, and a fair one only once those that it favoured are thinned out: see `sampling`.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from services.monitor.domain.drift.bins import grid
from services.monitor.domain.symbols import agree, symbols
from shared.events import GoldResult, Label, Path, Prediction, Quality

PREDICTED, CONFIDENCE, LABELLED, AGREEMENT, CONFUSION, GOLD = (
    "predicted_class", "confidence", "label_class", "agreement", "confusion", "gold",
)  # fmt: skip
SHARES = {PREDICTED: 0.3, CONFIDENCE: 0.2, LABELLED: 0.15, AGREEMENT: 0.15, CONFUSION: 0.1, GOLD: 0.1}
"""Of the project's budget of false alarms; they add up to 1. Every slice, and every annotator of gold, has the whole
share of its signal: budgets count events, and an event is in one slice and by one annotator."""
SLICED = frozenset({PREDICTED, CONFIDENCE, LABELLED, AGREEMENT})
"""Signals that are watched slice by slice too: half of their share is for the slices, half for the whole."""
BY_PEOPLE = frozenset({LABELLED, AGREEMENT, CONFUSION})
"""Signals that wait until a cohort of items has its labels: those that come early are the easy ones."""


Slices = Mapping[str, Collection[str]]
"""Names of the slices of each project."""


class Group(NamedTuple):
    """What events must share to be folded together.

    Attributes:
        slice: of the project; of gold the annotator; empty: all of the traffic.
        cohort: start of the time bucket of the items, seconds; 0 where nothing waits for labels.
        generation, model_version: of the model; 0 and empty where the signal does not depend on one.
    """

    project_id: str
    signal: str
    slice: str = ""
    cohort: int = 0
    generation: int = 0
    model_version: str = ""
    guideline_version: int = 0


@dataclass(slots=True)
class Observation:
    """Symbols of one group in order, an item for each different one, and the time of the last event."""

    group: Group
    observed_at: datetime
    symbols: list[str] = field(default_factory=list)
    items: dict[str, str] = field(default_factory=dict)

    def events(self) -> str:
        """For the database."""
        return json.dumps([self.symbols, self.items], ensure_ascii=False, separators=(",", ":"))


class Gathered:
    """The observations of one batch."""

    def __init__(self) -> None:
        self._found: dict[Group, Observation] = {}

    def add(self, group: Group, symbol: str, item_id: str, at: datetime) -> None:
        one = self._found.get(group)
        if one is None:
            one = self._found[group] = Observation(group, at)
        one.symbols.append(symbol)
        one.items[symbol] = item_id
        one.observed_at = max(one.observed_at, at)

    def all(self) -> list[Observation]:
        return list(self._found.values())


def weight(signal: str, *, sliced: bool) -> float:
    """The part of the project's budget of false alarms that one detector of a signal has.

    Args:
        signal: in `SHARES`.
        sliced: whether the project has slices.
    """
    return SHARES[signal] / 2.0 if sliced and signal in SLICED else SHARES[signal]


def predicted(predictions: Iterable[Prediction], slices: Slices) -> list[Observation]:
    """Class and confidence of items' first proposals."""
    found = Gathered()
    for event in predictions:
        if event.value is None:
            continue
        named, at = symbols(event.value), event.predicted_at
        for part in _parts(event.slice, slices.get(event.project_id, ())):
            about = (part, 0, event.generation, event.model_version or "")
            for symbol in named:
                found.add(Group(event.project_id, PREDICTED, *about), symbol, event.item_id, at)
            if event.confidence is not None:
                found.add(Group(event.project_id, CONFIDENCE, *about), grid(event.confidence), event.item_id, at)
    return found.all()


def _parts(own: str | None, known: Collection[str]) -> tuple[str, ...]:
    """The whole, and the slice that an event is in, where the project has it."""
    return ("", own) if own is not None and own in known else ("",)


def labelled(label: Label, cohort: int, found: Gathered, slices: Collection[str] = ()) -> None:
    """What a first label by people of a sampled item says."""
    if label.path is Path.AUTO or label.version != 1 or label.renames is not None:
        return
    item_id, at, proposal, theirs = label.item_id, label.labelled_at, label.evidence.proposal, symbols(label.value)
    for part in _parts(label.slice, slices):
        base = Group(label.project_id, LABELLED, part, cohort, 0, "", label.guideline_version)
        for symbol in theirs:
            found.add(base, symbol, item_id, at)
        if proposal is None:
            continue
        beside = base._replace(signal=AGREEMENT, generation=proposal.generation, model_version=proposal.model_version)
        found.add(beside, "agree" if agree(label.value, proposal.value) else "disagree", item_id, at)
        ours = symbols(proposal.value)
        if len(ours) == len(theirs) == 1 and not part:
            found.add(beside._replace(signal=CONFUSION), f"{ours[0]} > {theirs[0]}", item_id, at)


def gold(events: Iterable[Quality]) -> list[Observation]:
    """Right or wrong on gold, by annotator."""
    found = Gathered()
    for event in events:
        about = event.measurement
        if isinstance(about, GoldResult):
            group = Group(event.project_id, GOLD, about.annotator_id, guideline_version=about.guideline_version)
            found.add(group, "right" if about.correct else "wrong", about.gold_item_id, event.measured_at)
    return found.all()
