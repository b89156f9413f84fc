"""What a person did to a model's proposal, and how an answer stands beside gold: object by object."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.qc.domain.kinds.clusters import SAME_CLASS, Drawn, E, Geometry, match

SAME = 0.98
"""Extents that share this much are the same: tools round."""


@dataclass(frozen=True, slots=True)
class Correction:
    """Objects of a proposal that were kept, moved or given another class, and those added and removed.

    Attributes:
        kept: left as they were.
        moved: another extent, the same class.
        relabelled: another class, whatever the extent.
        added: not in the proposal.
        removed: not in the answer.
        overlap: sum of similarity over kept, moved and relabelled.
    """

    kept: int = 0
    moved: int = 0
    relabelled: int = 0
    added: int = 0
    removed: int = 0
    overlap: float = 0.0

    @property
    def changed(self) -> bool:
        """Whether the answer is another label than the proposal."""
        return bool(self.moved or self.relabelled or self.added or self.removed)

    @property
    def share(self) -> float:
        """The part of all objects that was touched; 0 where there is none."""
        touched = self.moved + self.relabelled + self.added + self.removed
        return touched / max(touched + self.kept, 1)


def corrected(proposal: Sequence[Drawn[E]], answer: Sequence[Drawn[E]], geometry: Geometry[E]) -> Correction:
    """Pairs what was proposed with what was answered, classes aside but for ties, and counts."""
    if not proposal or not answer:
        return Correction(added=len(answer), removed=len(proposal))
    shared = geometry.similarity([one.extent for one in proposal], [one.extent for one in answer])
    same = np.array([[one.label == two.label for two in answer] for one in proposal])
    at, to = match(shared + SAME_CLASS * same, shared >= geometry.least)
    overlap, alike = shared[at, to], same[at, to]
    kept = int((alike & (overlap >= SAME)).sum())
    moved = int(alike.sum()) - kept
    return Correction(
        kept, moved, int((~alike).sum()), len(answer) - len(at), len(proposal) - len(at), float(overlap.sum())
    )


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How close to gold an answer must be: overlap of an object, and the F1 of all of them."""

    overlap: float = 0.5
    f1: float = 0.75


@dataclass(frozen=True, slots=True)
class GoldResult:
    """An answer beside gold: what each part of the skill is counted from.

    Attributes:
        found, missed: gold objects, by extent.
        false: objects that are none.
        right_class: of the found ones.
        extent: mean similarity of the found ones; None without any.
        f1: objects right in extent and class.
        passed: within the tolerance.
    """

    found: int
    missed: int
    false: int
    right_class: int
    extent: float | None
    f1: float
    passed: bool


def beside_gold(
    answer: Sequence[Drawn[E]], gold: Sequence[Drawn[E]], geometry: Geometry[E], tolerance: Tolerance | None = None
) -> GoldResult:
    """Judge an answer to a gold item; without objects on either side it is right."""
    chosen = tolerance or Tolerance()
    if not answer or not gold:
        right = not answer and not gold
        return GoldResult(0, len(gold), len(answer), 0, None, float(right), right)
    shared = geometry.similarity([one.extent for one in answer], [one.extent for one in gold])
    same = np.array([[one.label == two.label for two in gold] for one in answer])
    at, to = match(shared + SAME_CLASS * same, shared >= chosen.overlap)
    right_class = int(same[at, to].sum())
    f1 = 2.0 * right_class / (len(answer) + len(gold))
    extent = float(shared[at, to].mean()) if len(at) else None
    return GoldResult(
        len(at), len(gold) - len(at), len(answer) - len(at), right_class, extent, f1, passed=f1 >= chosen.f1
    )
