"""Cohen's kappa of pairs of annotators.

The kappa of a pair with few units in common is noise, and their number grows with the square of the crowd. So only
the busiest annotators are paired, and only where they share enough units; a pair whose kappa is undefined (both gave
one and the same class only) is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from services.qc.domain.answers import Answers, Bools, Floats

BUSIEST = 60
IN_COMMON = 20
TINY = 1e-12
CHUNK = 50


@dataclass(frozen=True, slots=True)
class PairTable:
    """Pairs of annotators with enough units in common.

    Attributes:
        pairs: (pairs, 2); annotators.
        cells: (pairs * classes * classes, units); 1 where the pair gave these two classes to that unit.
        classes: how many classes there are.
    """

    pairs: NDArray[np.int64]
    cells: csr_array
    classes: int

    def __len__(self) -> int:
        return len(self.pairs)

    def tables(self, weights: Floats) -> Floats:
        """How often a pair gave two classes; `weights` (units, draws), result (pairs, classes, classes, draws)."""
        found: Floats = self.cells @ weights
        return found.reshape(len(self.pairs), self.classes, self.classes, weights.shape[1])

    def kappas(self, weights: Floats) -> Floats:
        """The kappa of each pair, NaN where undefined; `weights` (units, draws), result (pairs, draws)."""
        tables = self.tables(weights)
        total = np.maximum(tables.sum(axis=(1, 2)), TINY)
        observed = np.einsum("pccd->pd", tables) / total
        expected = (tables.sum(axis=2) * tables.sum(axis=1)).sum(axis=1) / total**2
        known = (expected < 1.0 - TINY) & (total > TINY)
        kappa = (observed - expected) / np.where(known, 1.0 - expected, 1.0)
        return np.where(known, kappa, np.nan)

    def only(self, places: Sequence[int]) -> "PairTable":
        """These pairs, in this order."""
        square = self.classes**2
        rows = (np.asarray(places, dtype=np.int64)[:, None] * square + np.arange(square)).reshape(-1)
        return PairTable(self.pairs[np.asarray(places, dtype=np.int64)], self.cells[rows], self.classes)

    def known(self) -> "PairTable":
        """Only the pairs whose kappa is defined."""
        defined = ~np.isnan(self.kappas(np.ones((self.cells.shape[1], 1)))[:, 0])
        kept = np.repeat(defined, self.classes**2)
        return PairTable(self.pairs[defined], self.cells[np.nonzero(kept)[0]], self.classes)

    def mean_kappa(self) -> float | None:
        """The mean over pairs; None without any."""
        return float(self.kappas(np.ones((self.cells.shape[1], 1))).mean()) if len(self) else None

    def resampled(self, resamples: int, rng: np.random.Generator) -> Floats:
        """The mean kappa of that many bootstrap resamples of the units."""
        units = self.cells.shape[1]
        if not len(self) or not resamples:
            return np.empty(0)
        drawn = []
        for start in range(0, resamples, CHUNK):
            size = min(CHUNK, resamples - start)
            weights = rng.multinomial(units, np.full(units, 1.0 / units), size=size).T.astype(np.float64)
            kappas = self.kappas(weights)
            number = np.maximum((~np.isnan(kappas)).sum(axis=0), 1)
            drawn.append(np.nansum(kappas, axis=0) / number)
        return np.concatenate(drawn)


def _busiest(answers: Answers) -> Bools:
    """Answers by the annotators with the most; of equal ones those of the lower index."""
    given = np.bincount(answers.annotator, minlength=answers.annotators)
    chosen = np.zeros(answers.annotators, dtype=np.bool_)
    chosen[np.argsort(-given, kind="stable")[:BUSIEST]] = True
    kept: Bools = chosen[answers.annotator]
    return kept


def _joined(answers: Answers) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every two answers to one item, as places; the first is before the second."""
    spans = np.bincount(answers.item, minlength=answers.items)
    ends = np.cumsum(spans)[answers.item]
    after = ends - np.arange(len(answers)) - 1
    first = np.repeat(np.arange(len(answers)), after)
    second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(after) - after, after)
    return first, second


def pair_table(answers: Answers, *, busiest: bool = True, in_common: int = IN_COMMON) -> PairTable:
    """The pairs of annotators who share at least `in_common` items; of all annotators or of the busiest only."""
    chosen = answers.only(_busiest(answers)) if busiest else answers
    first, second = _joined(chosen)
    classes = answers.classes
    pair = chosen.annotator[first].astype(np.int64) * answers.annotators + chosen.annotator[second]
    names, place, shared = np.unique(pair, return_inverse=True, return_counts=True)
    enough = shared >= in_common
    kept = enough[place]
    row = (np.cumsum(enough) - 1)[place[kept]]
    cell = chosen.symbol[first[kept]].astype(np.int64) * classes + chosen.symbol[second[kept]]
    used, unit = np.unique(chosen.item[first[kept]], return_inverse=True)
    number = int(enough.sum())
    shape = (number * classes * classes, max(len(used), 1))
    cells = csr_array((np.ones(len(row)), (row * classes * classes + cell, unit)), shape=shape)
    people = np.stack([names[enough] // answers.annotators, names[enough] % answers.annotators], axis=1)
    return PairTable(people, cells, classes).known()
