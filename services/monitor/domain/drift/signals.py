"""What events say to the detectors: symbols by signal, grouped as they are folded.

Predictions are all of the traffic, so every first proposal counts. Labels by people are a sample of it only where
chance chose the items: the audit lane, or everything where a project accepts nothing without a person.
"""

import json
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from services.monitor.domain.symbols import agree, symbols
from shared.events import AutoAccept, GoldResult, Label, Path, Prediction, Quality

PREDICTED, CONFIDENCE, LABELLED, AGREEMENT, CONFUSION, GOLD = (
    "predicted_class", "confidence", "label_class", "agreement", "confusion", "gold",
)  # fmt: skip
SHARES = {PREDICTED: 0.3, CONFIDENCE: 0.2, LABELLED: 0.15, AGREEMENT: 0.15, CONFUSION: 0.1, GOLD: 0.1}
"""Of the project's budget of false alarms; they add up to 1. That of gold is split over the annotators."""
BY_PEOPLE = frozenset({LABELLED, AGREEMENT, CONFUSION})
"""Signals that wait until a cohort of items has its labels: those that come early are the easy ones."""
EDGES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
_BINS = tuple(f"{low:g} to {high:g}" for low, high in zip((0.0, *EDGES), (*EDGES, 1.0), strict=True))


class Group(NamedTuple):
    """What events must share to be folded together.

    Attributes:
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


def confidence_bin(confidence: float) -> str:
    """Narrow towards 1, where models are."""
    return _BINS[bisect_right(EDGES, confidence)]


def predicted(predictions: Iterable[Prediction]) -> list[Observation]:
    """Class and confidence of items' first proposals."""
    found = Gathered()
    for event in predictions:
        if event.value is None:
            continue
        about = (event.generation, event.model_version or "")
        classes = Group(event.project_id, PREDICTED, "", 0, *about)
        for symbol in symbols(event.value):
            found.add(classes, symbol, event.item_id, event.predicted_at)
        if event.confidence is not None:
            group = Group(event.project_id, CONFIDENCE, "", 0, *about)
            found.add(group, confidence_bin(event.confidence), event.item_id, event.predicted_at)
    return found.all()


def is_sample(auto: AutoAccept | None, would_auto: bool) -> bool:
    """Whether chance alone gave an item to people."""
    return auto is None or would_auto


def labelled(label: Label, cohort: int, found: Gathered) -> None:
    """What a first label by people of a sampled item says."""
    if label.path is Path.AUTO or label.version != 1 or label.renames is not None:
        return
    base = Group(label.project_id, LABELLED, "", cohort, 0, "", label.guideline_version)
    for symbol in symbols(label.value):
        found.add(base, symbol, label.item_id, label.labelled_at)
    proposal = label.evidence.proposal
    if proposal is None:
        return
    same = agree(label.value, proposal.value)
    beside = base._replace(signal=AGREEMENT, generation=proposal.generation, model_version=proposal.model_version)
    found.add(beside, "agree" if same else "disagree", label.item_id, label.labelled_at)
    ours, theirs = symbols(proposal.value), symbols(label.value)
    if len(ours) == len(theirs) == 1:
        cell = f"{ours[0]} > {theirs[0]}"
        found.add(beside._replace(signal=CONFUSION), cell, label.item_id, label.labelled_at)


def gold(events: Iterable[Quality]) -> list[Observation]:
    """Right or wrong on gold, by annotator."""
    found = Gathered()
    for event in events:
        about = event.measurement
        if isinstance(about, GoldResult):
            group = Group(event.project_id, GOLD, about.annotator_id)
            found.add(group, "right" if about.correct else "wrong", about.gold_item_id, event.measured_at)
    return found.all()
