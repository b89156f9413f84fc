"""References: what a signal looks like while nothing is wrong, learned from its events."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from operator import eq
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.drift.alphabet import Alphabet
from services.monitor.domain.drift.packing import lengthened, shortened
from services.monitor.domain.drift.season import USED, chi2_above, curve, points

Floats = NDArray[np.float64]
BLOCKS = 100
KNOWN = 10_000
"""Events from which on shares are taken as known, but for what fading pays for."""
MAX_SYMBOLS = 500
LEAST_BLOCKS, LEAST_COUNT = 10, 10
OVERFLOW = "\x7f"
"""Stands for every symbol after the first 500 of a reference; rare by construction."""


@dataclass(frozen=True, eq=False)
class Reference:
    """Counts of a signal, and how far its events are from independent.

    Attributes:
        counts: (size,) per code of the alphabet.
        singles: symbols that occurred once, which tell how often a new one is to be expected (Good and Turing).
        repeats: chance that an event repeats the one before it, beyond what its share explains.
        overdispersion: variance of block counts beside that of such a chain, 1 or more.
        season: (blocks, size) how the share moves over the reference; None where chance explains it.
    """

    alphabet: Alphabet
    counts: NDArray[np.int64]
    singles: int = 0
    repeats: float = 0.0
    overdispersion: float = 1.0
    season: Floats | None = None

    @property
    def n(self) -> int:
        return int(self.counts.sum())

    @property
    def known(self) -> bool:
        """Whether its shares are taken as they are; those of smaller ones go on being learned."""
        return self.n >= KNOWN

    @property
    def season_points(self) -> Floats | None:
        """(POINTS, size) what is used of its season."""
        return None if self.season is None else points(self.season)

    @property
    def inflation(self) -> float:
        """Variance of a long count beside that of independent events."""
        return (1.0 + self.repeats) / (1.0 - self.repeats) * self.overdispersion

    @property
    def p(self) -> Floats:
        """(size,) the shares, none of them zero."""
        mass = self.counts + 0.5
        mass[-1] += self.singles
        result: Floats = mass / mass.sum()
        return result

    def shares(self) -> dict[str, float]:
        """Share by name, of what occurred."""
        return {name: float(c / self.n) for name, c in zip(self.alphabet.names, self.counts.tolist(), strict=True) if c}


@dataclass
class Learner:
    """Gathers a reference in blocks.

    Attributes:
        target: events wanted.
        blocks: counts of each block by symbol; a block is a hundredth of the target, and wider once that is exceeded.
        repeats: events equal to the one before.
    """

    target: int
    n: int = 0
    repeats: int = 0
    last: str | None = None
    seen: set[str] = field(default_factory=set)
    blocks: list[Counter[str]] = field(default_factory=list)
    width: int = 0

    def __post_init__(self) -> None:
        self.width = self.width or max(self.target // BLOCKS, 1)
        self._filled = self.blocks[-1].total() if self.blocks else 0

    def add(self, symbols: Sequence[str]) -> None:
        """Take in the next events."""
        if not self.seen.issuperset(symbols):
            symbols = [self._bounded(symbol) for symbol in symbols]
        start = 0
        while start < len(symbols):
            room = self.width - self._filled
            if not self.blocks or room <= 0:
                self._open_block()
                room = self.width
            part = symbols[start : start + room]
            self.blocks[-1].update(part)
            self._filled += len(part)
            self.repeats += (part[0] == self.last) + sum(map(eq, part, part[1:]))
            self.last = part[-1]
            self.n += len(part)
            start += len(part)

    def _open_block(self) -> None:
        if len(self.blocks) >= 2 * BLOCKS:
            self._widen()
        self.blocks.append(Counter())
        self._filled = 0

    def _bounded(self, symbol: str) -> str:
        if symbol not in self.seen and len(self.seen) >= MAX_SYMBOLS:
            symbol = OVERFLOW
        self.seen.add(symbol)
        return symbol

    def counted(self, alphabet: Alphabet) -> NDArray[np.int64]:
        """(size,) what was learned, by the codes of an alphabet."""
        return np.array(_coded(sum(self.blocks, Counter[str]()), alphabet), dtype=np.int64)

    @classmethod
    def merged(cls, learners: Sequence["Learner"]) -> "Learner":
        """What replicas learned from parts of the events, each its own; block by block, as they lie in time.

        Args:
            learners: one or more, of the same target; in any order. They stay as they are.
        """
        copies = [cls.load(one.state()) for one in learners]
        width = max(one.width for one in copies)
        for one in copies:
            while one.width < width:
                one._widen()  # noqa: SLF001  # of this class
        blocks = [sum(row, Counter[str]()) for row in zip_longest(*(one.blocks for one in copies), fillvalue=Counter())]
        n, repeats = sum(one.n for one in copies), sum(one.repeats for one in copies)
        seen = set[str]().union(*(one.seen for one in copies))
        return cls(copies[0].target, n, repeats, None, seen, blocks, width * len(copies))

    def _widen(self) -> None:
        pairs = zip_longest(self.blocks[::2], self.blocks[1::2], fillvalue=Counter[str]())
        self.blocks = [a + b for a, b in pairs]
        self.width *= 2
        self._filled = self.blocks[-1].total() if self.blocks else 0

    def forget_half(self) -> None:
        """Drop the older half."""
        kept = self.blocks[len(self.blocks) // 2 :]
        n = sum(block.total() for block in kept)
        self.repeats = round(self.repeats * n / max(self.n, 1))
        self.blocks, self.n = kept, n

    def homogeneous(self, inflation: float, level: float = 0.001) -> bool:
        """Whether the two halves look alike: a change that goes on has no reference yet.

        Args:
            inflation: variance of counts beside that of independent events.
            level: how often it is denied of halves that are; 0.01 or 0.001.
        """
        half = len(self.blocks) // 2
        first, second = (sum(part, Counter()) for part in (self.blocks[:half], self.blocks[half:]))
        names = sorted(name for name, c in (first + second).items() if c >= LEAST_COUNT)
        if len(names) <= 1 or not first or not second:
            return True
        table = np.array([[first[name] for name in names], [second[name] for name in names]], dtype=float)
        expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
        statistic = float(((table - expected) ** 2 / expected).sum()) / inflation
        return statistic < chi2_above(level, len(names) - 1)

    def reference(self, *, prior: Reference | None = None, seasonal: bool = True) -> Reference:
        """What was learned so far.

        Args:
            prior: an earlier reference of the signal; how its events depend on each other is taken from it while this
                one is less than half full.
            seasonal: whether to look for a season.
        """
        counts = sum(self.blocks, Counter[str]())
        alphabet = Alphabet.of(counts)
        blocks = np.array([_coded(block, alphabet) for block in self.blocks], dtype=float)
        total = blocks.sum(axis=0).astype(np.int64)
        if prior is not None and self.n * 2 < self.target:
            repeats, overdispersion, season = prior.repeats, prior.overdispersion, None
        else:
            repeats = _repeats(total / max(self.n, 1), self.repeats, self.n)
            chain = (1.0 + repeats) / (1.0 - repeats)
            full = blocks[blocks.sum(axis=1) >= self.width]
            season = curve(full, max(chain, _noise(full))) if seasonal else None
            overdispersion = _overdispersion(full, chain, season)
        singles = sum(1 for c in counts.values() if c == 1)
        return Reference(alphabet, total, singles, repeats, overdispersion, season)

    def state(self) -> dict[str, Any]:
        return {
            "target": self.target, "n": self.n, "repeats": self.repeats, "last": self.last, "width": self.width,
            "counts": {symbol: shortened(block[symbol] for block in self.blocks) for symbol in sorted(self.seen)},
            "length": len(self.blocks),
        }  # fmt: skip

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> "Learner":
        if "blocks" in state:  # of an earlier version
            blocks = [Counter[str](block) for block in state["blocks"]]
        else:
            blocks = [Counter[str]() for _ in range(state["length"])]
            for symbol, counts in state["counts"].items():
                for block, count in zip(blocks, lengthened(counts, len(blocks)), strict=True):
                    if count:
                        block[symbol] = count
        seen = {symbol for block in blocks for symbol in block}
        return cls(state["target"], state["n"], state["repeats"], state["last"], seen, blocks, state["width"])


def _coded(block: Mapping[str, int], alphabet: Alphabet) -> list[int]:
    row = [0] * alphabet.size
    for code, count in zip(alphabet.codes(block), block.values(), strict=True):
        row[code] += count
    return row


def _repeats(shares: Floats, repeats: int, n: int) -> float:
    """By how much repeats exceed chance; 0 where that may be chance."""
    if n <= 1:
        return 0.0
    by_chance = float((shares**2).sum())
    if by_chance >= 1.0:
        return 0.0
    found = (repeats / (n - 1) - by_chance) / (1.0 - by_chance)
    error = (by_chance / (n * (1.0 - by_chance))) ** 0.5
    return min(found, 0.99) if found > 3.0 * error else 0.0


def _noise(blocks: Floats) -> float:
    """Variance of block counts beside that of independent events, by successive differences: slow swings cancel out."""
    if len(blocks) < LEAST_BLOCKS:
        return 1.0
    sizes, mean = blocks.sum(axis=1).mean(), blocks.sum(axis=0) / blocks.sum()
    used = mean > USED
    degrees = (len(blocks) - 1) * max(int(used.sum()) - 1, 1)
    return float((np.diff(blocks[:, used], axis=0) ** 2 / (2.0 * sizes * mean[used])).sum()) / degrees


def _overdispersion(blocks: Floats, chain: float, season: Floats | None) -> float:
    """Pearson's statistic of the block counts per degree of freedom, beside a chain's; 1 where that may be chance."""
    if len(blocks) < LEAST_BLOCKS:
        return 1.0
    sizes = blocks.sum(axis=1, keepdims=True)
    mean = blocks.sum(axis=0) / sizes.sum()
    used = mean > USED
    expected = sizes * (mean if season is None else np.maximum(mean + season, 1e-6))
    degrees = (len(blocks) - 1) * (int(used.sum()) - 1)
    if degrees < 1:
        return 1.0
    spread = ((blocks - expected)[:, used] ** 2 / (sizes * mean[used])).sum()
    found = float(spread) / degrees / chain
    return found if found > 1.0 + 2.0 * (2.0 / degrees) ** 0.5 else 1.0


def reference_state(reference: Reference) -> dict[str, Any]:
    """As JSON."""
    season = reference.season_points
    return {
        "named": reference.alphabet.named, "rare": reference.alphabet.rare, "counts": reference.counts.tolist(),
        "singles": reference.singles, "repeats": reference.repeats, "overdispersion": reference.overdispersion,
        "season": None if season is None else np.round(season, 5).tolist(),
    }  # fmt: skip


def load_reference(state: Mapping[str, Any]) -> Reference:
    """From `reference_state`, or from a file of counts: {"counts": {symbol: n}}."""
    counts = state["counts"]
    if isinstance(counts, dict):
        alphabet = Alphabet.of(counts)
        row = np.array(_coded(counts, alphabet), dtype=np.int64)
        singles = sum(1 for c in counts.values() if c == 1)
        repeats, overdispersion = float(state.get("repeats", 0.0)), float(state.get("overdispersion", 1.0))
        return Reference(alphabet, row, singles, min(max(repeats, 0.0), 0.99), max(overdispersion, 1.0))
    season = state["season"]
    return Reference(
        Alphabet(tuple(state["named"]), tuple(state["rare"])),
        np.array(counts, dtype=np.int64),
        state["singles"],
        state["repeats"],
        state["overdispersion"],
        None if season is None else np.array(season),
    )
