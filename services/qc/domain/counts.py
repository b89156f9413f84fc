"""What is counted about annotators: integers only, so that a replay gives the same, and the parameters made of them."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

ANY = ""
EQUAL = "="
OTHER = "!"
MILLS = 1000
"""One judged answer weighs this much, spread over the classes by the posterior of its label."""

Cell = tuple[str, str]
"""(truth, answered). On a scale without classes the truth is empty, and the answer was equal (`=`) or other (`!`)."""


class Source(StrEnum):
    """Who says what the truth is; the undecided is in snapshots only."""

    CONSENSUS = "consensus"
    GOLD = "gold"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class CellCount:
    """One stored cell: `answers` judged with this truth decided, `weight` in mills by the label's posterior."""

    annotator_id: str
    truth: str
    answered: str
    source: Source
    answers: int
    weight: int


@dataclass(frozen=True, slots=True)
class Priors:
    """The assumptions before any answer, none of them tuned to a dataset.

    Attributes:
        accuracy, accuracy_answers: the crowd's accuracy, and how many answers that assumption is worth. A weak anchor
            lets all labels flip together (research: quality, section 3.6).
        floor: an annotator is assumed at least this far from guessing towards perfect, until own counts say otherwise.
        own_answers: how many answers the crowd's accuracy is worth against an annotator's own.
        row_answers: how many answers the expected confusion row is worth against an annotator's own row.
        repeat: what every opinion after the first counts: people err together on a hard item.
        class_share: how much of the class prior follows the answers so far; the rest is uniform.
        gold: how many answers one gold answer is worth.
    """

    accuracy: float = 0.8
    accuracy_answers: float = 50.0
    floor: float = 0.3
    own_answers: float = 10.0
    row_answers: float = 8.0
    repeat: float = 0.6
    class_share: float = 0.5
    gold: float = 2.0


@dataclass(slots=True)
class Confusion:
    """One annotator's answers by what was true, in answers (not mills)."""

    cells: dict[Cell, float] = field(default_factory=dict)
    rows: dict[str, float] = field(default_factory=dict)
    total: float = 0.0
    correct: float = 0.0

    def add(self, truth: str, answered: str, weight: float) -> None:
        cell = (truth, answered)
        self.cells[cell] = self.cells.get(cell, 0.0) + weight
        self.rows[truth] = self.rows.get(truth, 0.0) + weight
        self.total += weight
        if truth == answered or (truth == ANY and answered == EQUAL):
            self.correct += weight


@dataclass(frozen=True, slots=True)
class Parameters:
    """Everything a decision depends on beside the answers; `snapshot` is the number it is known by.

    `columns` remembers logarithms that were computed already; it changes no result.
    """

    snapshot: int
    annotators: Mapping[str, Confusion]
    crowd: Confusion
    answered: Mapping[str, int]
    priors: Priors = Priors()
    columns: dict[tuple[tuple[str, ...], str, str], tuple[float, ...]] = field(default_factory=dict, compare=False)


def build(
    snapshot: int, cells: Iterable[CellCount], answered: Mapping[str, int], priors: Priors | None = None
) -> Parameters:
    """Parameters from integer counts; the order of the cells does not matter to the last bit.

    Args:
        snapshot: the number that decisions will name; 0 is "nothing known".
        cells: the stored counts of one project.
        answered: class -> answers given, of the same project; the class prior. Ended rounds would be a biased sample.
        priors: absent: the defaults.
    """
    chosen = priors or Priors()
    annotators: defaultdict[str, Confusion] = defaultdict(Confusion)
    crowd = Confusion()
    for one in sorted(cells, key=lambda c: (c.annotator_id, c.truth, c.answered, c.source)):
        weight = one.weight / MILLS * (chosen.gold if one.source is Source.GOLD else 1.0)
        if one.annotator_id:  # answers of erased people say something about the crowd, and about nobody in it
            annotators[one.annotator_id].add(one.truth, one.answered, weight)
        crowd.add(one.truth, one.answered, weight)
    return Parameters(snapshot, dict(annotators), crowd, dict(answered), chosen)


def pack(cells: Iterable[CellCount], answered: Mapping[str, int]) -> str:
    """Counts as canonical JSON: equal counts are equal text."""
    rows = sorted([c.annotator_id, c.truth, c.answered, c.source.value, c.answers, c.weight] for c in cells)
    return json.dumps({"answered": dict(sorted(answered.items())), "cells": rows}, separators=(",", ":"))


def unpack(text: str) -> tuple[list[CellCount], dict[str, int]]:
    """The counts of `pack`."""
    body = json.loads(text)
    return [CellCount(a, t, s, Source(o), n, w) for a, t, s, o, n, w in body["cells"]], body["answered"]


def without(text: str, annotator_id: str) -> str:
    """Packed counts in which a person's are nobody's."""
    cells, answered = unpack(text)
    merged: dict[tuple[str, str, str, Source], tuple[int, int]] = {}
    for one in cells:
        key = ("" if one.annotator_id == annotator_id else one.annotator_id, one.truth, one.answered, one.source)
        answers, weight = merged.get(key, (0, 0))
        merged[key] = (answers + one.answers, weight + one.weight)
    return pack((CellCount(*key, *counts) for key, counts in merged.items()), answered)


def digest(text: str) -> str:
    """SHA-256 of packed counts, by which two snapshots are compared."""
    return hashlib.sha256(text.encode()).hexdigest()
