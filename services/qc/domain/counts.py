"""What is counted about annotators: integers only, so that a replay gives the same, and the parameters made of them."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from services.qc.domain.fusing.counted import SOURCES, Counted, part_of, within
from services.qc.domain.raters import Raters, raters_of
from shared.labels import Names

ANY = ""
EQUAL = "="
OTHER = "!"
MILLS = 1000
"""One judged answer weighs this much, spread over the classes by the posterior of its label."""

Cell = tuple[str, str]
"""(truth, answered). On a scale without classes the truth is empty, and the answer was equal (`=`) or other (`!`)."""


class Source(StrEnum):
    """Who says what the truth is; consensus and gold are stored, the rest is in snapshots only.

    Fitted, hard: by a batch, on items of the first and of the second kind. Number: how people give numbers, no counts,
    by a batch as well; see `raters`. The others from found on: what is counted of people by labels that were fused,
    all stored; see `fusing.counted`.
    """

    CONSENSUS = "consensus"
    GOLD = "gold"
    UNDECIDED = "undecided"
    FITTED = "fitted"
    HARD = "hard"
    FOUND = "found"
    FALSE = "false"
    CLASS = "class"
    EXTENT = "extent"
    TAGS = "tags"
    WORDS = "words"
    PIXELS = "pixels"
    PROPOSAL = "proposal"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class CellCount:
    """One stored cell: `answers` judged with this truth decided, `weight` in mills by the label's posterior.

    `part`: of a label that is a mix of kinds, the one that is meant.
    """

    annotator_id: str
    truth: str
    answered: str
    source: Source
    answers: int
    weight: int
    part: str = ""

    @classmethod
    def stored(cls, annotator_id: str, cell: Cell, source: str, answers: int, weight: int) -> "CellCount":
        """A cell of a row; its source may name a part."""
        part, name = part_of(source)
        return cls(annotator_id, *cell, Source(name), answers, weight, part)

    @property
    def place(self) -> str:
        """Source and part as they are stored."""
        return within(self.part, self.source.value)


@dataclass(frozen=True, slots=True)
class Priors:
    """The assumptions before any answer on a scale without a list of classes, none of them tuned to a dataset.

    Attributes:
        accuracy, accuracy_answers: the crowd's accuracy, and how many answers that assumption is worth. A weak anchor
            lets all labels flip together (research: quality, section 3.6).
        floor: an annotator is assumed at least this far from guessing towards perfect, until own counts say otherwise.
        own_answers: how many answers the crowd's accuracy is worth against an annotator's own.
        repeat: what every opinion after the first counts: people err together on a hard item.
        gold: how many answers one gold answer is worth.
    """

    accuracy: float = 0.8
    accuracy_answers: float = 50.0
    floor: float = 0.3
    own_answers: float = 10.0
    repeat: float = 0.6
    gold: float = 2.0


@dataclass(slots=True)
class Confusion:
    """One annotator's answers by what was true, in answers (not mills); `hard`: those to items of the second kind."""

    cells: dict[Cell, float] = field(default_factory=dict)
    total: float = 0.0
    correct: float = 0.0
    hard: dict[Cell, float] = field(default_factory=dict)

    def add(self, truth: str, answered: str, weight: float, *, hard: bool = False) -> None:
        cell = (truth, answered)
        self.cells[cell] = self.cells.get(cell, 0.0) + weight
        if hard:
            self.hard[cell] = self.hard.get(cell, 0.0) + weight
        self.total += weight
        if truth == answered or (truth == ANY and answered == EQUAL):
            self.correct += weight


@dataclass(frozen=True, slots=True)
class Learned:
    """What a refresh learned beside the counts, on a scale with classes.

    Attributes:
        model: which model of people the answers spoke for; see `models`.
        own_answers, row_answers: the strengths of the two levels of its prior; see `rows.Priors`.
        heard: per temperature, the log likelihood of answers given those before them; see `calibration`.
        through: the arrival number up to which that was heard.
        mass: class -> mills of items.
        hard: class -> mills of those of the second kind; empty: items of a class are of one kind.
        prediction_weight: of the model's prediction as one more opinion; 0: it is not heard.
    """

    model: str = "two levels"
    own_answers: float = 8.0
    row_answers: float = 5.0
    heard: tuple[float, ...] = ()
    through: int = 0
    mass: Mapping[str, int] = field(default_factory=dict)
    prediction_weight: float = 0.0
    hard: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Everything a decision depends on beside the answers; `snapshot` is the number it is known by.

    `fused`: what is counted of people by labels that were fused, by part of the label; `parts`: of a mix of kinds,
    those of its choices and sets; `raters`: how people give numbers. `tables` remembers what was computed already; it
    changes no result.
    """

    snapshot: int
    annotators: Mapping[str, Confusion]
    crowd: Confusion
    learned: Learned = Learned()
    priors: Priors = Priors()
    fused: Mapping[str, Counted] = field(default_factory=dict)
    parts: Mapping[str, "Parameters"] = field(default_factory=dict)
    raters: Raters | None = None
    tables: dict[tuple[tuple[str, ...], str], Any] = field(default_factory=dict, compare=False)


def judged_answers(cells: Iterable[CellCount]) -> int:
    """Answers behind these cells: of a fused label its other cells speak of the same ones."""
    told = (one for one in cells if not one.part and one.source not in SOURCES and one.source is not Source.NUMBER)
    return round(sum(one.weight for one in told) / MILLS)


def build(snapshot: int, cells: Iterable[CellCount], learned: Learned | None = None) -> Parameters:
    """Parameters from integer counts; the order of the cells does not matter to the last bit.

    Args:
        snapshot: the number that decisions will name; 0 is "nothing known".
        cells: the counts of one project.
        learned: by the refresh that made the snapshot; absent: nothing.
    """
    several = list(cells)
    parts = {one.part for one in several if one.part and one.source not in SOURCES}
    of_parts = {
        part: build(
            snapshot, [replace(one, part="") for one in several if one.part == part and one.source not in SOURCES]
        )
        for part in sorted(parts)
    }
    priors = Priors()
    annotators: defaultdict[str, Confusion] = defaultdict(Confusion)
    crowd, fused, numbers = Confusion(), defaultdict[str, Counted](Counted), list[tuple[str, str, int]]()
    for one in sorted(several, key=lambda c: (c.annotator_id, c.truth, c.answered, c.source, c.part)):
        if one.source in SOURCES:
            cell = (one.source.value, one.truth, one.answered)
            fused[one.part].add(one.annotator_id, cell, float(one.answers), one.weight / MILLS)
            continue
        if one.source is Source.NUMBER:
            numbers.append((one.annotator_id, one.answered, one.weight))
        if one.part or one.source is Source.NUMBER:
            continue
        weight = one.weight / MILLS * (priors.gold if one.source is Source.GOLD else 1.0)
        hard = one.source is Source.HARD
        if one.annotator_id:  # answers of erased people say something about the crowd, and about nobody in it
            annotators[one.annotator_id].add(one.truth, one.answered, weight, hard=hard)
        crowd.add(one.truth, one.answered, weight, hard=hard)
    return Parameters(
        snapshot, dict(annotators), crowd, learned or Learned(), priors, dict(fused), of_parts, raters_of(numbers)
    )


def named_cells(cells: Iterable[CellCount], names: Names) -> list[CellCount]:
    """Cells in present names; those that become one are added up, those that add up to nothing are left out."""
    if not names:
        return list(cells)
    return _merged(replace(one, truth=names.symbol(one.truth), answered=names.symbol(one.answered)) for one in cells)


def _merged(cells: Iterable[CellCount]) -> list[CellCount]:
    """Those of one place added up, without those that are nothing then."""
    merged: dict[tuple[str, Cell, str], tuple[int, int]] = {}
    for one in cells:
        key = (one.annotator_id, (one.truth, one.answered), one.place)
        answers, weight = merged.get(key, (0, 0))
        merged[key] = (answers + one.answers, weight + one.weight)
    return [CellCount.stored(*key, *counts) for key, counts in merged.items() if any(counts)]


def named_learned(learned: Learned, names: Names) -> Learned:
    """What was learned, in present names."""
    return replace(learned, mass=names.shares(learned.mass)) if names else learned


def pack(cells: Iterable[CellCount], learned: Learned | None = None) -> str:
    """Counts as canonical JSON: equal counts are equal text."""
    rows = sorted([c.annotator_id, c.truth, c.answered, c.place, c.answers, c.weight] for c in cells)
    return json.dumps({"cells": rows, "learned": asdict(learned or Learned())}, separators=(",", ":"), sort_keys=True)


def unpack(text: str) -> tuple[list[CellCount], Learned]:
    """What `pack` was given; a snapshot of an older version learned nothing beside its counts."""
    body = json.loads(text)
    known = body.get("learned", {})
    learned = Learned(**known | {"heard": tuple(known["heard"])}) if known else Learned()
    return [CellCount.stored(a, (t, s), o, n, w) for a, t, s, o, n, w in body["cells"]], learned


def without(text: str, annotator_id: str) -> str:
    """Packed counts in which a person's are nobody's."""
    cells, learned = unpack(text)
    return pack(
        _merged(replace(one, annotator_id="") if one.annotator_id == annotator_id else one for one in cells), learned
    )


def digest(text: str) -> str:
    """SHA-256 of packed counts, by which two snapshots are compared."""
    return hashlib.sha256(text.encode()).hexdigest()
